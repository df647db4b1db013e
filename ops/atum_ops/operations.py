"""Orders on many mails: what was asked for, how far it is, what became of them. Killed in the middle, one can be taken up again.

The audit log has two entries of each: that it began, and what came of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from psycopg.rows import args_row
from psycopg.types.json import Jsonb

from atum_schema import audit
from atum_schema.errors import AtumError
from atum_schema.ids import new_mail_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from atum_schema.database import Connection


class Operation(NamedTuple):
    """An order on many mails, as it stands."""

    #: UUIDv7: newer ones are greater.
    id: UUID
    #: '<what>.<order>', a stable word.
    kind: str
    actor: str
    reason: str | None
    #: What was asked for.
    selection: dict[str, Any]
    began_at: datetime
    #: Where to go on; None: at the beginning.
    last: dict[str, Any] | None
    #: What became of the mails so far, by a stable word.
    counts: dict[str, int]
    ended_at: datetime | None


BEGIN: Final = """
INSERT INTO atum.operation (id, kind, actor, reason, selection)
VALUES (%(id)s, %(kind)s, %(actor)s, %(reason)s, %(selection)s)
RETURNING id, kind, actor, reason, selection, began_at, last, counts, ended_at
"""


def begin(
    connection: Connection, kind: str, *, actor: str, reason: str | None, selection: Mapping[str, Any]
) -> Operation:
    """Begin an order, in the log of operations and in the audit log."""
    values = {
        "id": new_mail_id(),
        "kind": kind,
        "actor": actor,
        "reason": reason,
        "selection": Jsonb(dict(selection)),
    }
    with connection.transaction(), connection.cursor(row_factory=args_row(Operation)) as cursor:
        operation = cursor.execute(BEGIN, values).fetchone()
        if operation is None:
            raise AssertionError("an insert that returns nothing")
        audit.record(connection, actor, f"{kind}.began", _detail(operation))
    return operation


ADVANCE: Final = """
UPDATE atum.operation SET last = %(last)s, counts = %(counts)s WHERE id = %(id)s AND ended_at IS NULL RETURNING true
"""


def advance(
    connection: Connection, operation: UUID, *, last: Mapping[str, Any], counts: Mapping[str, int]
) -> None:
    """Keep how far an order is, in the transaction of what it did. Raises `AtumError` if it has ended meanwhile."""
    values = {"id": operation, "last": Jsonb(dict(last)), "counts": Jsonb(dict(counts))}
    if connection.execute(ADVANCE, values).fetchone() is None:
        raise AtumError(f"operation {operation} was ended by somebody else")


END: Final = """
UPDATE atum.operation SET ended_at = clock_timestamp(), counts = %(counts)s WHERE id = %(id)s AND ended_at IS NULL
RETURNING id, kind, actor, reason, selection, began_at, last, counts, ended_at
"""


def end(connection: Connection, operation: UUID, *, actor: str, counts: Mapping[str, int]) -> None:
    """End an order, with what came of it. Ending it twice is once."""
    with connection.transaction(), connection.cursor(row_factory=args_row(Operation)) as cursor:
        ended = cursor.execute(END, {"id": operation, "counts": Jsonb(dict(counts))}).fetchone()
        if ended is not None:
            audit.record(connection, actor, f"{ended.kind}.ended", _detail(ended) | {"counts": ended.counts})


FIND: Final = """
SELECT id, kind, actor, reason, selection, began_at, last, counts, ended_at FROM atum.operation WHERE id = %(id)s
"""


def find(connection: Connection, operation: UUID, kind: str) -> Operation:
    """Give an order to be taken up again. Raises `AtumError` if there is none of this kind, or if it has ended."""
    with connection.cursor(row_factory=args_row(Operation)) as cursor:
        found = cursor.execute(FIND, {"id": operation}).fetchone()
    if found is None or found.kind != kind:
        raise AtumError(f"there is no operation {operation} of the kind {kind}")
    if found.ended_at is not None:
        raise AtumError(f"operation {operation} ended at {found.ended_at:%Y-%m-%d %H:%M:%S} UTC")
    return found


def _detail(operation: Operation) -> dict[str, Any]:
    return {"operation": str(operation.id), "reason": operation.reason, "selection": operation.selection}
