"""What people and API clients changed by hand, and what came of it. Append-only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from psycopg.types.json import Jsonb

from atum_schema.script import Statement, blocking

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atum_schema.script import Script

RECORD: Final = """
INSERT INTO atum.audit (actor, action, detail) SELECT %(actor)s, %(action)s, unnest(%(details)s::jsonb[])
"""


def recording(actor: str, action: str, *details: Mapping[str, Any]) -> Script[None]:
    """Record an action, once for each detail, in the transaction of what it changes.

    `actor` is 'operator:<name>', 'client:<name>' or 'system:<part>'; `action` is a stable word, '<what>.<done>'.
    """
    yield from recording_all(actor, action, details)


def recording_all(actor: str, action: str, details: Sequence[Mapping[str, Any]]) -> Script[None]:
    """Record an action on many things, in one statement."""
    if details:
        values = {"actor": actor, "action": action, "details": [Jsonb(dict(detail)) for detail in details]}
        yield Statement(RECORD, values)


record = blocking(recording)
