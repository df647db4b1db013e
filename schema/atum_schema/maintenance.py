"""Work that any worker does now and then: who does it, and when it is due.

A lease keeps each task to one worker at a time; a worker that dies is replaced when its lease is over. Postgres knows
what is due, a ticket only says so sooner.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from psycopg.types.json import Jsonb

from atum_schema.ids import new_token
from atum_schema.script import Statement, blocking

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from atum_schema.script import Script


class Task(StrEnum):
    """The tasks, each with the sentence that defines it."""

    APPLY_EVENTS = "apply_events"
    """Apply what the provider has told."""
    TELL_SUPPRESSIONS = "tell_suppressions"
    """Tell the provider whom not to mail, where people decided it here."""
    CATCH_UP = "catch_up"
    """Ask the provider for what no webhook has told."""
    SWEEP_DEAD = "sweep_dead"
    """Make `mail.dead` hold what Postgres holds."""
    ADD_UP = "add_up"
    """Add up the transitions that were counted, and forget processes that are long gone."""
    RETAIN = "retain"
    """Drop what is older than it is kept."""
    REENCRYPT = "reencrypt"
    """Encrypt anew what is not under the active key."""


LEASE_S: Final = 30.0
"""Seconds that a worker has for a step of a task before another may take it over."""

# Tasks that wait for something are due when there is something, the others by the clock.
DUE: Final = """
SELECT id FROM atum.maintenance
WHERE (lease_until IS NULL OR lease_until < clock_timestamp())
      AND CASE name
          WHEN 'apply_events' THEN EXISTS (
              SELECT FROM atum.webhook_inbox
              WHERE state IN ('new', 'parked') AND due_at < clock_timestamp() - make_interval(secs => %(after_s)s))
          WHEN 'tell_suppressions' THEN EXISTS (
              SELECT FROM atum.suppression
              WHERE pending IS NOT NULL AND due_at < clock_timestamp() - make_interval(secs => %(after_s)s))
          ELSE due_at < clock_timestamp() - make_interval(secs => %(after_s)s) END
"""
"""Ids of the tasks that have been due for `after_s` seconds and that nobody is at."""

TICKETS: Final = """
WITH due AS (
    SELECT id FROM atum.maintenance
    WHERE publish_after <= clock_timestamp() AND id = ANY(%(due)s)
    ORDER BY id FOR UPDATE SKIP LOCKED
)
UPDATE atum.maintenance m
SET publishes = publishes + 1,
    publish_after = clock_timestamp() + make_interval(secs => %(again_s)s * power(2, least(publishes, 5)))
FROM due WHERE m.id = due.id
RETURNING m.id
"""


def tickets_due(*, again_s: float) -> Script[list[UUID]]:
    """Give the tasks whose ticket is due (again), and put off their next turn by `again_s` seconds, doubling."""
    due = yield Statement(DUE, {"after_s": 0.0})
    if not due:
        return []
    rows = yield Statement(TICKETS, {"due": [task for (task,) in due], "again_s": again_s})
    return [task for (task,) in rows]


class Begun(NamedTuple):
    """A task that is ours until its lease is over."""

    name: str
    token: UUID
    #: What the task has kept from its earlier runs.
    progress: dict[str, Any]


BEGIN: Final = """
UPDATE atum.maintenance
SET token = %(token)s, lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s),
    started_at = clock_timestamp(), publishes = 0
WHERE id = %(id)s AND (lease_until IS NULL OR lease_until < clock_timestamp())
RETURNING name, token, progress
"""


def beginning(task: UUID, *, lease_s: float = LEASE_S) -> Script[Begun | None]:
    """Take a task; None when somebody is at it."""
    rows: list[Begun] = yield Statement(BEGIN, {"id": task, "token": new_token(), "lease_s": lease_s}, Begun)
    return rows[0] if rows else None


GO_ON: Final = """
UPDATE atum.maintenance
SET lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s), progress = coalesce(%(progress)s::jsonb, progress)
WHERE token = %(token)s AND lease_until IS NOT NULL
RETURNING true
"""


def going_on(
    token: UUID, *, progress: Mapping[str, Any] | None = None, lease_s: float = LEASE_S
) -> Script[bool]:
    """Renew the lease, and keep what the task has come to; False when another worker has taken it over."""
    values = {
        "token": token,
        "progress": None if progress is None else Jsonb(dict(progress)),
        "lease_s": lease_s,
    }
    rows = yield Statement(GO_ON, values)
    return bool(rows)


END: Final = """
UPDATE atum.maintenance
SET lease_until = NULL, token = NULL, ended_at = clock_timestamp(), failure = %(failure)s,
    due_at = least(clock_timestamp() + make_interval(secs => %(due_s)s), CASE WHEN due_at > started_at THEN due_at END),
    publish_after = clock_timestamp()
WHERE token = %(token)s
"""


def ending(token: UUID, *, due_s: float, failure: str | None = None) -> Script[None]:
    """Give a task back: it is due again in `due_s` seconds, or when somebody has asked for it meanwhile.

    `failure` says in a few words why it did not succeed.
    """
    yield Statement(END, {"token": token, "due_s": due_s, "failure": failure})


begin = blocking(beginning)
go_on = blocking(going_on)
end = blocking(ending)
