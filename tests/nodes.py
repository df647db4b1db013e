"""What the fixtures are made of: servers, databases and virtual hosts that are cheap to make and to drop."""

from __future__ import annotations

import secrets
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from atum_ops.stack.postgres import PostgresNode
from atum_ops.stack.rabbit import RabbitNode
from tests.memory import directory_in_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from atum_ops.stack.node import Node
    from atum_ops.stack.pristine import Pristine

TEMPLATE = "atum_template"
_VHOSTS_PER_CALL = 16
_HAS_STRATEGIES = 150_000


@contextmanager
def open_directory() -> Iterator[Path]:
    """A temporary directory that other users may pass through (pytest's own may not be), removed at the end."""
    with directory_in_memory() as directory:
        directory.chmod(0o755)
        yield directory


@contextmanager
def private_postgres(pristine: Pristine | None = None) -> Iterator[PostgresNode]:
    """A started PostgreSQL of one's own, killed at the end."""
    with open_directory() as directory:
        node = PostgresNode(directory / "postgres", pristine=pristine)
        with _killed_at_end(node):
            node.start()
            yield node


@contextmanager
def private_rabbit() -> Iterator[RabbitNode]:
    """A started RabbitMQ of one's own, killed at the end."""
    with open_directory() as directory:
        node = RabbitNode(directory / "rabbit")
        with _killed_at_end(node):
            node.start()
            yield node


@contextmanager
def _killed_at_end(node: Node) -> Iterator[None]:
    try:
        yield
    finally:
        node.kill()


class Databases:
    """Databases on one server, each a copy of a template that was migrated once."""

    def __init__(self, node: PostgresNode) -> None:
        self._node = node

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """Give the URL of a new migrated database; drop it at the end, whoever is still connected."""
        name = f"test_{secrets.token_hex(6)}"
        try:
            self._copy(TEMPLATE, name)
        except psycopg.errors.InvalidCatalogName:
            self._make_template()
            self._copy(TEMPLATE, name)
        try:
            yield database_at(self._node.url, name)
        finally:
            self._run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _copy(self, template: str, name: str) -> None:
        with psycopg.connect(self._node.url, autocommit=True) as connection:
            # Copying the files costs half as much as writing every page to the WAL, which 15 made the default.
            strategy = "STRATEGY file_copy" if connection.info.server_version >= _HAS_STRATEGIES else ""
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} {}").format(
                    sql.Identifier(name), sql.Identifier(template), sql.SQL(strategy)
                )
            )

    def _make_template(self) -> None:
        from atum_schema.migrate import migrate

        # Gets its name when it is whole.
        unfinished = f"{TEMPLATE}_unfinished"
        self._run(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(unfinished)))
        self._run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(unfinished)))
        migrate(database_at(self._node.url, unfinished))
        self._run(
            sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                sql.Identifier(unfinished), sql.Identifier(TEMPLATE)
            )
        )

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._node.url, autocommit=True) as connection:
            connection.execute(statement)


def database_at(url: str, name: str) -> str:
    """Give the URL of another database on the same server."""
    return f"{url.rpartition('/')[0]}/{name}"


class VirtualHosts:
    """Virtual hosts on one node, each handed out once.

    Made many at a time by one `rabbitmqctl eval`: a rabbitmqctl call costs more than the virtual host.
    """

    def __init__(self, node: RabbitNode) -> None:
        self._node = node
        self._spare: list[str] = []

    def fresh(self) -> str:
        """Give the URL of a virtual host that nobody has used."""
        if not self._spare:
            self._spare = self._make()
        return self._node.vhost_url(self._spare.pop())

    def _make(self) -> list[str]:
        names = [f"test-{secrets.token_hex(6)}" for _ in range(_VHOSTS_PER_CALL)]
        binaries = ",".join(f'<<"{name}">>' for name in names)
        self._node.rabbitmqctl(
            "eval",
            f"""lists:foreach(fun(Name) ->
                rabbit_vhost:add(Name, <<"atum">>),
                rabbit_auth_backend_internal:set_permissions(
                    <<"atum">>, Name, <<".*">>, <<".*">>, <<".*">>, <<"tests">>)
            end, [{binaries}]).""",
        )
        return names


def eventually(condition: Callable[[], bool], *, seconds: float = 30) -> bool:
    """Ask again until the condition holds, at most this long; True when it held."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def raise_alarm(node: RabbitNode) -> None:
    """Set RabbitMQ's alarm of memory, and wait until it is in force: what was published before does not notice it."""
    node.rabbitmqctl("set_vm_memory_high_watermark", "0.00001")
    assert eventually(lambda: "memory" in node.rabbitmqctl("eval", "rabbit_alarm:get_alarms()."))


def all_gone(pids: Iterable[int]) -> bool:
    """Whether none of these processes exists any more."""
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)
