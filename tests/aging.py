"""Mails of months long ago, in partitions of their own, and the task that drops them."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from uuid import UUID

from psycopg import sql

from atum_schema import database, maintenance, settings
from atum_schema.ids import first_mail_id
from atum_schema.maintenance import Task
from atum_schema.retention import PARENTS, Month
from atum_workers.maintain import Lease
from atum_workers.retain import Retained, Retaining

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from psycopg_pool import ConnectionPool

    from tests.command_line import Place


def month(back: int) -> Month:
    """Give the month so many months ago."""
    return Month.of(datetime.now(UTC)).plus(-back)


def make(place: Place, of: Month) -> Month:
    """Make the partitions of a month, as the sweeper did when it was new."""
    for parent in PARENTS:
        statement = sql.SQL(
            "CREATE TABLE atum.{} PARTITION OF atum.{} FOR VALUES FROM (atum.month_floor({})) TO (atum.month_floor({}))"
        )
        place.connection.execute(
            statement.format(
                sql.Identifier(of.partition(parent)),
                sql.Identifier(parent),
                sql.Literal(of.day),
                sql.Literal(of.plus(1).day),
            )
        )
    return of


@contextmanager
def accepted(at: datetime) -> Iterator[None]:
    """Let new mails have ids of that moment."""

    def made() -> UUID:
        low = secrets.randbits(80) & ~(0xF << 76) & ~(0x3 << 62) | (0x7 << 76) | (0x2 << 62)
        return UUID(int=first_mail_id(at).int | low)

    with patch("atum_schema.acceptance.new_mail_id", made):
        yield


def age(place: Place, ids: Collection[UUID], *, days: float) -> None:
    """Let the mails have been accepted, and have ended, so many days earlier."""
    place.sql(
        "UPDATE atum.mail SET accepted_at = accepted_at - %(age)s, finished_at = finished_at - %(age)s WHERE id = ANY(%(ids)s)",
        age=timedelta(days=days),
        ids=list(ids),
    )


def ended_in(
    place: Place, of: Month, outcome: Mapping[str, Any], number: int = 1, **fields: Any
) -> list[UUID]:
    """Take so many mails of a month to this outcome, at that time."""
    with accepted(of.begins + timedelta(days=3)):
        ids = place.ended(outcome, number, **fields)
    age(place, ids, days=days_since(of))
    return ids


def days_since(of: Month) -> float:
    """Say how many days ago the middle of a month was."""
    return (datetime.now(UTC) - of.begins).total_seconds() / 86_400 - 15


def partitions(place: Place) -> set[str]:
    """Name all partitions of the log."""
    rows = place.sql("SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'")
    return {name for (name,) in rows}


def counts(place: Place, ids: Collection[UUID]) -> dict[str, int]:
    """Say how many rows each table has about these mails."""
    rows = place.sql(
        "SELECT 'mail', count(*) FROM atum.mail WHERE id = ANY(%(ids)s)"
        " UNION ALL SELECT 'event', count(*) FROM atum.event WHERE mail_id = ANY(%(ids)s)"
        " UNION ALL SELECT 'attempt', count(*) FROM atum.attempt WHERE mail_id = ANY(%(ids)s)"
        " UNION ALL SELECT 'recipient_event', count(*) FROM atum.recipient_event WHERE mail_id = ANY(%(ids)s)"
        " UNION ALL SELECT 'content', count(*) FROM atum.content WHERE mail_id = ANY(%(ids)s)",
        ids=list(ids),
    )
    return dict(rows)


def retaining(place: Place, pool: ConnectionPool[database.Connection], **fields: Any) -> Retaining:
    """Make the task, with the settings of the place."""
    configured = settings.load(
        database_url=place.url,
        content_keys=place.environment["ATUM_CONTENT_KEYS"],
        **{
            name: fields.pop(name)
            for name in ("privacy", "retention_days", "content_retention_days")
            if name in fields
        },
    )
    return Retaining(pool=pool, settings=configured, **{"pauses_s": (0.01,), **fields})


def begun(
    place: Place, pool: ConnectionPool[database.Connection], *, stopping: Callable[[], bool] = lambda: False
) -> Lease:
    """Take the task's lease."""
    ((task,),) = place.sql("SELECT id FROM atum.maintenance WHERE name = %(name)s", name=Task.RETAIN.value)
    with pool.connection() as connection:
        taken = maintenance.begin(connection, task)
    assert taken is not None
    return Lease(pool=pool, token=taken.token, progress=taken.progress, stopping=stopping)


def retain(
    place: Place, pool: ConnectionPool[database.Connection], *, everything: bool = True, **fields: Any
) -> Retained:
    """Do one run under a lease of its own."""
    lease = begun(place, pool)
    retained = retaining(place, pool, **fields).run(lease, everything=everything)
    with pool.connection() as connection:
        maintenance.end(connection, lease.token, due_s=3600)
    return retained
