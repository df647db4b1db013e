"""A PostgreSQL and a RabbitMQ to use now: the ones that are named, else private ones."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from atum_ops.stack.find import Places, find_postgres, find_rabbit, usual_places
from atum_ops.stack.given import describe_broker, describe_database
from atum_ops.stack.packages import POSTGRES_PACKAGE, RABBIT_PACKAGE, install, remedy
from atum_ops.stack.postgres import PostgresNode
from atum_ops.stack.rabbit import RabbitNode
from atum_ops.stack.runs import note_elsewhere, run_directory
from atum_schema.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from atum_ops.stack.node import Node

_NodeT = TypeVar("_NodeT", bound="Node")


class LocalStack:
    """Context manager for the two servers that everything needs.

    A server named by `database_url` or `amqp_url` is used as it is. For each that is not named a private,
    empty node starts on 127.0.0.1, both at once, with its data in a directory of this run below `directory`;
    leaving kills the nodes and removes their data. Servers that are not installed are installed with
    apt-get where root's rights are at hand and `may_install` allows it. Who needs no RabbitMQ says `broker=False`. Entering raises StackError, saying
    what to install or to change, when a server cannot be had; nothing is left running then.
    """

    def __init__(
        self,
        directory: Path = Path(".local"),
        *,
        database_url: str | None = None,
        amqp_url: str | None = None,
        broker: bool = True,
        may_install: bool = True,
        places: Places | None = None,
    ) -> None:
        self._directory = directory
        self._database_url = database_url
        self._amqp_url = amqp_url
        self._needs_broker = broker and amqp_url is None
        self._may_install = may_install
        self._places = places or usual_places()
        self._exit = ExitStack()
        self._description: tuple[str, str] = ("", "")
        #: The private nodes, for those who want to kill or wipe them; None where a server was named.
        self.postgres: PostgresNode | None = None
        self.rabbit: RabbitNode | None = None

    @property
    def database_url(self) -> str:
        """`postgresql://…`, with the password."""
        return self._database_url or _started(self.postgres).url

    @property
    def amqp_url(self) -> str:
        """`amqp://…`, with the password."""
        return self._amqp_url or _started(self.rabbit).url

    def describe(self) -> str:
        """Two lines for people: products, versions, whose they are and where they listen."""
        return "\n".join(self._description)

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            database = None if self._database_url is None else describe_database(self._database_url)
            broker = None if self._amqp_url is None else describe_broker(self._amqp_url)
            self._provide_programs()
            self._start_nodes(undo)
            nodes = (database or _private(_started(self.postgres)), broker or self._describe_rabbit())
            self._description = nodes
            self._exit = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def _describe_rabbit(self) -> str:
        return "no RabbitMQ" if self.rabbit is None else _private(self.rabbit)

    def _provide_programs(self) -> None:
        missing = []
        if self._database_url is None and find_postgres(self._places) is None:
            missing.append(POSTGRES_PACKAGE)
        if self._needs_broker and find_rabbit(self._places) is None:
            missing.append(RABBIT_PACKAGE)
        if missing and not self._may_install:
            raise StackError(remedy(missing))
        if missing:
            install(missing, self._places)

    def _start_nodes(self, undo: ExitStack) -> None:
        if self._database_url is not None and not self._needs_broker:
            return
        run = undo.enter_context(run_directory(self._directory))
        nodes: list[Node] = []
        if self._database_url is None:
            self.postgres = PostgresNode(run / "postgres", places=self._places)
            note_elsewhere(run, self.postgres.directory)
            nodes.append(self.postgres)
        if self._needs_broker:
            self.rabbit = RabbitNode(run / "rabbit", places=self._places)
            nodes.append(self.rabbit)
        for node in nodes:
            undo.callback(node.kill)
        _start_all(nodes)


def _start_all(nodes: Sequence[Node]) -> None:
    with ThreadPoolExecutor(len(nodes)) as pool:
        try:
            for start in as_completed([pool.submit(node.start) for node in nodes]):
                start.result()
        except BaseException:
            # The pool waits for the other start: end it now instead of when it is ready.
            for node in nodes:
                node.kill()
            raise


def _started(node: _NodeT | None) -> _NodeT:
    if node is None:
        raise StackError("the local stack is not running; enter it first")
    return node


def _private(node: Node) -> str:
    return f"private {node.version()} on 127.0.0.1:{node.port}, data in {node.directory}"
