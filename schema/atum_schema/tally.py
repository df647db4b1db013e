"""Counters that outlive processes: never pruned, moved in the transaction of what they count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from atum_schema.script import Statement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from atum_schema.script import Script

# In one order, so that two writers never wait for each other in a circle.
COUNT: Final = """
INSERT INTO atum.tally (name, reason, number)
SELECT name, reason, number
FROM unnest(%(names)s::text[], %(reasons)s::text[], %(numbers)s::bigint[]) AS t(name, reason, number)
ORDER BY name, reason
ON CONFLICT (name, reason) DO UPDATE SET number = tally.number + excluded.number
"""


def counting(counts: Mapping[tuple[str, str], int]) -> Script[None]:
    """Add to counters by (name, reason). Last in a transaction: whoever counts the same waits for its end."""
    moved = sorted((key, number) for key, number in counts.items() if number)
    if moved:
        yield Statement(
            COUNT,
            {
                "names": [name for (name, _), _ in moved],
                "reasons": [reason for (_, reason), _ in moved],
                "numbers": [number for _, number in moved],
            },
        )
