"""Looking through suppressions, a page at a time, and through what people did about one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from psycopg.types.json import Jsonb

from atum_schema.addresses import folded
from atum_schema.script import Statement, blocking
from atum_schema.suppression_orders import Known

if TYPE_CHECKING:
    from datetime import datetime

    from atum_schema.script import Script


class Wanted(NamedTuple):
    """Which suppressions are looked for; None is any."""

    stream: str | None = None
    address: str | None = None
    reason: str | None = None
    #: Whether those that were lifted are shown as well.
    lifted: bool = False


# All streams that there are, each found by one look into the primary key.
STREAMS: Final = """
WITH RECURSIVE known AS (
    (SELECT stream FROM atum.suppression ORDER BY stream LIMIT 1)
    UNION ALL
    SELECT (SELECT s.stream FROM atum.suppression s WHERE s.stream > known.stream ORDER BY s.stream LIMIT 1)
    FROM known WHERE known.stream IS NOT NULL
)
SELECT stream FROM known WHERE stream IS NOT NULL
"""

# One stream after the other along the primary key: each page begins where the last one ended.
LIST: Final = """
SELECT stream, address, suppressed, reason, origin, source, changed_at, note, pending, tries, due_at
FROM atum.suppression
WHERE stream = %(stream)s AND address > %(after)s AND (reason = %(reason)s OR %(reason)s::text IS NULL)
      AND (suppressed OR %(lifted)s)
ORDER BY address LIMIT %(limit)s
"""

OF_ADDRESS: Final = """
SELECT stream, address, suppressed, reason, origin, source, changed_at, note, pending, tries, due_at
FROM atum.suppression
WHERE stream = %(stream)s AND address = %(address)s AND address > %(after)s
      AND (reason = %(reason)s OR %(reason)s::text IS NULL) AND (suppressed OR %(lifted)s)
LIMIT %(limit)s
"""


def listing(wanted: Wanted, *, limit: int, after: tuple[str, str] | None = None) -> Script[list[Known]]:
    """List at most `limit` suppressions by stream and address, those that follow `after`."""
    rows = yield Statement(STREAMS, {})
    streams = [stream for (stream,) in rows if wanted.stream in {None, stream}]
    if after is not None:
        streams = streams[streams.index(after[0]) :] if after[0] in streams else []
    found: list[Known] = []
    for stream in streams:
        values = {
            "stream": stream,
            "address": None if wanted.address is None else folded(wanted.address),
            "after": after[1] if after is not None and stream == after[0] else "",
            "reason": wanted.reason,
            "lifted": wanted.lifted,
            "limit": limit - len(found),
        }
        if wanted.address is None:
            found += yield Statement(LIST, values, Known)
        else:
            found += yield Statement(OF_ADDRESS, values, Known)
        if len(found) >= limit:
            break
    return found


class Done(NamedTuple):
    """Something that was done about a suppression by hand, or came of it."""

    at: datetime
    actor: str
    action: str
    detail: dict[str, Any]


HISTORY: Final = """
SELECT at, actor, action, detail FROM atum.audit
WHERE action LIKE 'suppression.%%' AND detail @> %(about)s::jsonb
ORDER BY at, id
"""


def telling_history(address: str, *, stream: str | None = None) -> Script[list[Done]]:
    """Tell what people did about an address, in a stream or in all, and what came of it, oldest first."""
    about = {"address": folded(address)} | ({} if stream is None else {"stream": stream})
    rows: list[Done] = yield Statement(HISTORY, {"about": Jsonb(about)}, Done)
    return rows


list_page = blocking(listing)
history = blocking(telling_history)
