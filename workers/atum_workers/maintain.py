"""The `maintain` actor: does a task that is due, under a lease, and gives it back."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import psycopg
from psycopg_pool import PoolTimeout

from atum_schema import database, log_context, maintenance, traces
from atum_schema.maintenance import Begun, Task
from atum_schema.seldom import Seldom
from atum_workers.tell_suppressions import tell_suppressions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any
    from uuid import UUID

    from psycopg_pool import ConnectionPool

    from atum_schema.database import Connection
    from atum_workers.tell_suppressions import SuppressionApi

log = logging.getLogger(__name__)

_AGAIN_S = 5.0


class Ran(Protocol):
    """Who is told of a run of a task."""

    def __call__(self, task: str, *, failed: bool) -> None:
        """Note whether it has failed."""


def _unheard(task: str, *, failed: bool) -> None:
    """Do nothing with a run."""
    del task, failed


class LeaseLost(Exception):
    """Another worker has taken the task over: this one was too slow for its lease."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A task that is ours for a while."""

    pool: ConnectionPool[Connection]
    token: UUID
    #: What the task has kept from its earlier runs.
    progress: Mapping[str, Any]
    stopping: Callable[[], bool]

    def go_on(self, progress: Mapping[str, Any] | None = None) -> None:
        """Renew the lease after a step, and keep what the task has come to. Raises `LeaseLost`."""
        with self.pool.connection() as connection:
            if not maintenance.go_on(connection, self.token, progress=progress):
                raise LeaseLost


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """Does tasks. Each gets a lease and gives the seconds until it is due again."""

    pool: ConnectionPool[Connection]
    tasks: Mapping[Task, Callable[[Lease], float]]
    #: Whether the worker is to stop; a task then ends after its step.
    stopping: Callable[[], bool]
    #: Whether it is time to say again that the database is away.
    complaints: Seldom = field(default_factory=Seldom)
    #: Told each task that was done or has failed; must not raise.
    ran: Ran = _unheard

    def maintain(self, task_id: UUID) -> None:
        """Do a task if nobody is at it. What fails is said in the table and in the log, and tried again soon.

        A database that is away is waited for by nobody: the task is due again when it is back.
        """
        try:
            self._maintain(task_id)
        except (psycopg.Error, PoolTimeout) as error:
            if not _is_passing(error):
                raise
            if self.complaints.due():
                log.warning(
                    "maintain: the database is away; the task is done later", extra=traces.kind(error)
                )

    def _maintain(self, task_id: UUID) -> None:
        with self.pool.connection() as connection:
            begun = maintenance.begin(connection, task_id)
        if begun is None:
            return
        with log_context.work(task=begun.name):
            self._do(begun)

    def _do(self, begun: Begun) -> None:
        lease = Lease(pool=self.pool, token=begun.token, progress=begun.progress, stopping=self.stopping)
        failure = None
        due_s = _AGAIN_S
        try:
            due_s = self.tasks[Task(begun.name)](lease)
        except LeaseLost:
            log.warning("maintain: another worker has taken the task over")
            return
        except Exception as error:  # noqa: BLE001 (whatever it is, the task is given back)
            failure = type(error).__name__
            if _is_passing(error):
                log.warning("maintain: a task is tried again", extra={"again_s": due_s, **traces.kind(error)})
            else:
                log.error("maintain: a task failed", extra=traces.where(error))  # noqa: TRY400 (it may quote an event)
        self.ran(begun.name, failed=failure is not None)
        with self.pool.connection() as connection:
            maintenance.end(connection, begun.token, due_s=due_s, failure=failure)


def _is_passing(error: Exception) -> bool:
    return isinstance(error, PoolTimeout) or (
        isinstance(error, psycopg.Error) and database.is_transient(error)
    )


def applying(round_once: Callable[[Connection], int]) -> Callable[[Lease], float]:
    """Make the task that applies events until none is due."""

    def apply(lease: Lease) -> float:
        with lease.pool.connection() as connection:
            while round_once(connection) and not lease.stopping():
                lease.go_on()
        return 0.0

    return apply


def telling_suppressions(api: SuppressionApi) -> Callable[[Lease], float]:
    """Make the task that tells the provider whom not to mail, until nothing of that is due."""

    def tell(lease: Lease) -> float:
        while tell_suppressions(lease.pool, api) and not lease.stopping():
            lease.go_on()
        return 0.0

    return tell
