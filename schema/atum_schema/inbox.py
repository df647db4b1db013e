"""The inbox of what the provider tells: storing an event is the whole of taking it. Applying comes later.

The webhook endpoint and catching up store in the same way, so a fact has one path whichever way it came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from atum_schema import arrays, webhook
from atum_schema.ids import new_mail_id
from atum_schema.script import Statement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any
    from uuid import UUID

    from atum_schema.encryption import Keyring
    from atum_schema.script import Script


class Arrival(NamedTuple):
    """An event that is ready to be stored: encrypted, and bound to its id."""

    id: UUID
    dedupe: bytes
    body: bytes


def arrival(
    raw: bytes, document: Mapping[str, Any], *, keyring: Keyring, trace: str | None = None
) -> Arrival:
    """Make an event ready: `raw` is kept as it came, `document` is what it says, `trace` its trace id, if any."""
    event_id = new_mail_id()
    return Arrival(
        id=event_id,
        dedupe=webhook.identity(document, trace=trace),
        body=keyring.encrypt(event_id, raw),
    )


# In order of their identity, so that two groups never wait for each other in a circle.
STORE = """
INSERT INTO atum.webhook_inbox (id, dedupe, source, key_id, body)
SELECT id, dedupe, %(source)s, %(key_id)s, body
FROM unnest(%(ids)s::uuid[], %(dedupes)s::bytea[], %(bodies)s::bytea[]) AS t(id, dedupe, body)
ORDER BY dedupe
ON CONFLICT (dedupe) DO NOTHING
RETURNING id
"""


def storing(arrivals: Sequence[Arrival], *, source: str, key_id: str) -> Script[set[UUID]]:
    """Store events in one statement; give the ids of those that are new. The others are known already.

    `source` is 'webhook' or 'catch_up', `key_id` that of the key which encrypted.
    """
    rows = yield Statement(
        STORE,
        {
            "source": source,
            "key_id": key_id,
            "ids": arrays.Uuids([each.id for each in arrivals]),
            "dedupes": arrays.Bytes([each.dedupe for each in arrivals]),
            "bodies": arrays.Bytes([each.body for each in arrivals]),
        },
    )
    return {event_id for (event_id,) in rows}
