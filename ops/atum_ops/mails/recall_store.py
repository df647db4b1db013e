"""Finding what has not gone yet, by its owners and not by a walk over the log; and counting what has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from psycopg.rows import args_row, tuple_row

from atum_ops.selection import MATCHES, STATUS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from atum_ops.selection import Selection
    from atum_schema.database import Connection

AT_ONCE: Final = 500
"""Mails that are looked at in one transaction."""

_COUNTED: Final = 20_000


class Candidate(NamedTuple):
    """A mail that has not gone, or of which nobody knows."""

    id: UUID
    matches: bool


# In one snapshot every mail that has not gone has exactly one owner: `ready`, a batch, or a person.
CANDIDATES: Final = (
    """
WITH owned AS MATERIALIZED (
    (SELECT mail_id AS id FROM atum.ready
     WHERE mail_id > %(after)s AND mail_id >= %(first)s AND mail_id < %(last)s ORDER BY mail_id LIMIT %(scan)s)
    UNION ALL
    (SELECT u.id FROM atum.batch b CROSS JOIN unnest(b.mail_ids) AS u(id)
     WHERE u.id > %(after)s AND u.id >= %(first)s AND u.id < %(last)s ORDER BY u.id LIMIT %(scan)s)
    UNION ALL
    (SELECT mail_id FROM atum.held
     WHERE mail_id > %(after)s AND mail_id >= %(first)s AND mail_id < %(last)s ORDER BY mail_id LIMIT %(scan)s)
), nearest AS MATERIALIZED (
    SELECT DISTINCT id FROM owned ORDER BY id LIMIT %(scan)s
)
SELECT n.id, (
"""  # noqa: S608
    + MATCHES
    + """) AS matches
FROM nearest n JOIN atum.mail m ON m.id = n.id
ORDER BY n.id
"""
)


def candidates(connection: Connection, selection: Selection, *, after: UUID) -> list[Candidate]:
    """Give the next mails behind `after` that have not gone, at most `AT_ONCE`, and whether they match."""
    values = {**selection.values(), "after": after, "scan": AT_ONCE}
    with connection.cursor(row_factory=args_row(Candidate)) as cursor:
        return cursor.execute(CANDIDATES, values).fetchall()


class Counted(NamedTuple):
    """Mails of one status among those that were looked at."""

    status: str
    posting: bool
    number: int


REACHED: Final = """
SELECT m.id FROM atum.mail m WHERE m.id > %(after)s AND m.id >= %(first)s AND m.id < %(last)s
ORDER BY m.id OFFSET %(scan)s - 1 LIMIT 1
"""


def _reached(connection: Connection, values: Mapping[str, Any]) -> UUID | None:
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(REACHED, values).fetchone()
    return None if row is None else row[0]


COUNT: Final = (
    """
SELECT """  # noqa: S608
    + STATUS
    + """ AS status,
       m.id IN (SELECT unnest(b.mail_ids) FROM atum.batch b WHERE b.state = 'posting') AS posting, count(*) AS number
FROM atum.mail m
WHERE m.id > %(after)s AND m.id <= %(until)s AND m.id >= %(first)s AND m.id < %(last)s AND """
    + MATCHES
    + """
GROUP BY 1, 2
"""
)


def count(connection: Connection, selection: Selection, *, after: UUID) -> tuple[list[Counted], UUID | None]:
    """Count mails that match behind `after`, by status; with where to go on, None at the end."""
    values = {**selection.values(), "after": after, "scan": _COUNTED}
    until = _reached(connection, values)
    with connection.cursor(row_factory=args_row(Counted)) as counting:
        found = counting.execute(COUNT, {**values, "until": until or values["last"]}).fetchall()
    return found, until
