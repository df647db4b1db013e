"""Looking through the log, newest first, a page of bounded cost at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from psycopg.rows import args_row, tuple_row

from atum_ops.selection import MATCHES, STATUS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from atum_ops.selection import Selection
    from atum_schema.database import Connection

SCANNED: Final = 10_000
"""Mails that are looked at for one page, however few of them match."""

NEWEST: Final = UUID(int=(1 << 128) - 1)
_OLDEST: Final = UUID(int=0)
_BY_WORK: Final = frozenset({"held", "dead"})


class Logged(NamedTuple):
    """A mail in the log, with the answer to its last POST."""

    id: UUID
    accepted_at: datetime
    status: str
    client: str
    lane: str
    stream: str
    sender: str
    to: str
    cc: str | None
    bcc: str | None
    subject: str
    tag: str | None
    attempts: int
    tries: int
    cycle: int
    http_status: int | None
    error_code: int | None
    reason: str | None
    detail: str | None
    message_id: str | None
    send_at: datetime | None
    due_at: datetime | None
    finished_at: datetime | None
    account: str | None
    resent_from: UUID | None
    size: int


class Page(NamedTuple):
    """Some of the mails that match."""

    mails: list[Logged]
    #: Where to go on: only older mails were not looked at. None: the end was reached.
    before: UUID | None


# The lowest id of those that are looked at for a page.
REACH: Final = """
SELECT m.id FROM atum.mail m
WHERE m.id < %(before)s AND m.id >= %(first)s AND m.id < %(last)s
ORDER BY m.id DESC OFFSET %(scan)s - 1 LIMIT 1
"""

_MAILS: Final = (
    """ m.id, m.accepted_at, """  # noqa: S608
    + STATUS
    + """ AS status, m.client, m.lane, m.stream, m.sender, m.to_line AS to, m.cc_line AS cc, m.bcc_line AS bcc, m.subject,
       m.tag, m.attempts, m.tries, m.cycle, a.http_status, a.code AS error_code, m.reason, m.detail,
       m.provider_message_id AS message_id, m.send_at, m.due_at, m.finished_at, m.account, m.resent_from, m.size
FROM atum.mail m
LEFT JOIN LATERAL (
    SELECT t.http_status, t.code FROM atum.attempt t WHERE t.mail_id = m.id ORDER BY t.posting_at DESC LIMIT 1) a ON true
"""
)

PAGE: Final = (
    "SELECT"
    + _MAILS
    + """
WHERE m.id >= %(bottom)s AND m.id < %(before)s AND m.id >= %(first)s AND m.id < %(last)s AND """
    + MATCHES
    + """
ORDER BY m.id DESC LIMIT %(limit)s
"""
)

# What waits for a person is in small tables of its own.
NEAREST: Final = """
SELECT id FROM (
    (SELECT mail_id AS id FROM atum.held
     WHERE 'held' = ANY(%(statuses)s) AND mail_id < %(before)s AND mail_id >= %(first)s AND mail_id < %(last)s
     ORDER BY mail_id DESC LIMIT %(scan)s)
    UNION
    (SELECT mail_id FROM atum.dead_letter
     WHERE 'dead' = ANY(%(statuses)s) AND mail_id < %(before)s AND mail_id >= %(first)s AND mail_id < %(last)s
     ORDER BY mail_id DESC LIMIT %(scan)s)) AS waiting
ORDER BY id DESC LIMIT %(scan)s
"""

PAGE_OF: Final = (
    "SELECT"
    + _MAILS
    + """
WHERE m.id = ANY(%(ids)s) AND """
    + MATCHES
    + """
ORDER BY m.id DESC LIMIT %(limit)s
"""
)


def page(
    connection: Connection,
    selection: Selection,
    *,
    limit: int,
    before: UUID | None = None,
    scan: int = SCANNED,
) -> Page:
    """Give up to `limit` mails that match and are older than `before`, having looked at `scan` at most."""
    values = {**selection.values(), "before": before or NEWEST, "limit": limit, "scan": scan}
    wanted = values["statuses"]
    if wanted is not None and _BY_WORK.issuperset(wanted):
        ids = _nearest(connection, values)
        bottom = ids[-1] if len(ids) == scan else None
        found = _page_of(connection, {**values, "ids": ids})
    else:
        bottom = _reach(connection, values)
        found = _page(connection, {**values, "bottom": bottom or _OLDEST})
    return Page(found, found[-1].id if len(found) == limit else bottom)


def _reach(connection: Connection, values: Mapping[str, Any]) -> UUID | None:
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(REACH, values).fetchone()
    return None if row is None else row[0]


def _page(connection: Connection, values: Mapping[str, Any]) -> list[Logged]:
    with connection.cursor(row_factory=args_row(Logged)) as cursor:
        return cursor.execute(PAGE, values).fetchall()


def _nearest(connection: Connection, values: Mapping[str, Any]) -> list[UUID]:
    with connection.cursor(row_factory=tuple_row) as cursor:
        return [mail_id for (mail_id,) in cursor.execute(NEAREST, values)]


def _page_of(connection: Connection, values: Mapping[str, Any]) -> list[Logged]:
    with connection.cursor(row_factory=args_row(Logged)) as cursor:
        return cursor.execute(PAGE_OF, values).fetchall()


BOUNDS: Final = """
SELECT (SELECT m.id FROM atum.mail m WHERE m.id >= %(first)s AND m.id < %(last)s ORDER BY m.id LIMIT 1) AS oldest,
       (SELECT m.id FROM atum.mail m WHERE m.id >= %(first)s AND m.id < %(last)s ORDER BY m.id DESC LIMIT 1) AS newest
"""


def bounds(connection: Connection, selection: Selection) -> tuple[UUID, UUID] | None:
    """Give the oldest and the newest mail within the times of the selection; None if there is none."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(BOUNDS, selection.values()).fetchone()
    return None if row is None or row[0] is None else (row[0], row[1])
