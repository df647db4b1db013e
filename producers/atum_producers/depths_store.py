"""What relays have seen of queues of RabbitMQ, for whoever looks at Postgres only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_producers.depths import Depth
    from atum_schema.database import Connection

# In the order of names, so that two relays wait for each other at most once.
NOTE: Final = """
INSERT INTO atum.broker_queue (name, messages, consumers)
SELECT name, messages, consumers
FROM unnest(%(names)s::text[], %(messages)s::bigint[], %(consumers)s::int[]) AS t(name, messages, consumers) ORDER BY name
ON CONFLICT (name) DO UPDATE
SET messages = excluded.messages, consumers = excluded.consumers, looked_at = clock_timestamp()
"""


def note(connection: Connection, depths: Sequence[Depth]) -> None:
    """Note what was seen just now."""
    values = {
        "names": [depth.name for depth in depths],
        "messages": [depth.messages for depth in depths],
        "consumers": [depth.consumers for depth in depths],
    }
    connection.execute(NOTE, values)
