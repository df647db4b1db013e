"""What the webhook endpoint does in Postgres: events into the inbox, and counts of what became of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from atum_schema import arrays, inbox
from atum_schema.script import Statement
from atum_schema.tally import counting

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from atum_schema.inbox import Arrival
    from atum_schema.script import Script

ACCEPTED: Final = "webhook_accepted"
"""Name in atum.tally of the events that were stored."""

DUPLICATE: Final = "webhook_duplicate"
"""Name in atum.tally of the events that were known already."""

REFUSED: Final = "webhook_refused"
"""Name in atum.tally of the requests that were not taken, by reason."""

PROBE: Final = "SELECT count(*) FROM (SELECT FROM atum.webhook_inbox LIMIT 1) t"

STORED: Final = """
SELECT id FROM atum.webhook_inbox WHERE id = ANY(%(ids)s)
"""


def taking(arrivals: Sequence[Arrival], *, tried: Sequence[UUID], key_id: str) -> Script[set[UUID]]:
    """Store events and count them, in a transaction of the caller's; give the ids of those that are new.

    `tried` are the ids of those that an earlier transaction may have stored: then they were new, and are counted.
    """
    before: set[UUID] = set()
    if tried:
        rows = yield Statement(STORED, {"ids": arrays.Uuids(tried)})
        before = {event_id for (event_id,) in rows}
    left = [arrival for arrival in arrivals if arrival.id not in before]
    new = (yield from inbox.storing(left, source="webhook", key_id=key_id)) if left else set()
    yield from counting({(ACCEPTED, ""): len(new), (DUPLICATE, ""): len(left) - len(new)})
    return new | before
