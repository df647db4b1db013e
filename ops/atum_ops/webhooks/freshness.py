"""Whether events come and are applied, as the inbox tells."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from psycopg.rows import tuple_row

from atum_schema.ids import first_mail_id
from atum_schema.status import PROVEN

if TYPE_CHECKING:
    from collections.abc import Collection

    from atum_schema.database import Connection

_COUNTED: Final = 50_000
_LOOKED_AT: Final = 1000
#: How long the provider may take until it tells of a mail that it took.
_TAKES: Final = timedelta(hours=1)


class Freshness(NamedTuple):
    """How the inbox fares."""

    #: Seconds since the last event of a webhook; None: there is none.
    last_s: float | None
    #: Whether mails were sent since, long enough ago that one of them should have been told of.
    silent: bool
    #: How many events of the last day are in each state.
    day: dict[str, int]
    #: Whether there are more, so that only the newest were counted.
    capped: bool
    #: Seconds that the oldest new event has waited to be applied; None: none waits.
    waits_s: float | None


# The test events of checks say nothing about the provider.
LAST = """
SELECT received_at, extract(epoch FROM clock_timestamp() - received_at)::float8
FROM atum.webhook_inbox WHERE source = 'webhook' AND kind IS DISTINCT FROM 'Test' ORDER BY id DESC LIMIT 1
"""

SENT = """
SELECT EXISTS (SELECT FROM atum.mail WHERE id > %(after)s AND id < %(before)s AND status = ANY(%(proven)s))
"""

DAY = """
SELECT state, count(*)
FROM (SELECT state FROM atum.webhook_inbox WHERE id > %(after)s ORDER BY id DESC LIMIT %(counted)s) t
GROUP BY state
"""

WAITS = """
SELECT extract(epoch FROM clock_timestamp() - min(received_at))::float8
FROM (SELECT received_at FROM atum.webhook_inbox WHERE state = 'new' ORDER BY due_at LIMIT %(looked_at)s) t
"""


def freshness(connection: Connection) -> Freshness:
    """Look at the inbox."""
    now = datetime.now(UTC)
    with connection.cursor(row_factory=tuple_row) as cursor:
        last = cursor.execute(LAST).fetchone()
        sent = {
            "after": first_mail_id(now if last is None else last[0]),
            "before": first_mail_id(now - _TAKES),
            "proven": [each.value for each in PROVEN],
        }
        silent = cursor.execute(SENT, sent).fetchone()
        values = {"after": first_mail_id(now - timedelta(days=1)), "counted": _COUNTED}
        day: dict[str, int] = dict(cursor.execute(DAY, values).fetchall())
        waits = cursor.execute(WAITS, {"looked_at": _LOOKED_AT}).fetchone()
    return Freshness(
        last_s=None if last is None else last[1],
        silent=bool(silent and silent[0]),
        day=day,
        capped=sum(day.values()) >= _COUNTED,
        waits_s=None if waits is None else waits[0],
    )


STORED = "SELECT dedupe FROM atum.webhook_inbox WHERE dedupe = ANY(%(dedupes)s)"


def stored(connection: Connection, dedupes: Collection[bytes]) -> set[bytes]:
    """Give those identities whose event is stored."""
    with connection.cursor(row_factory=tuple_row, binary=True) as cursor:
        return {dedupe for (dedupe,) in cursor.execute(STORED, {"dedupes": list(dedupes)})}
