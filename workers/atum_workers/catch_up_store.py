"""What catching up reads and writes: mails of which nobody has told, events, and events that are old."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
from psycopg.rows import args_row, tuple_row

from atum_schema import inbox
from atum_schema.script import run
from atum_schema.status import PROVEN
from atum_schema.webhook import Kind, identity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from atum_schema.database import Connection
    from atum_schema.encryption import Keyring

SCANNED: Final = 5000
"""Mails that one look goes over."""

_KNOWN: Final = [
    kind.value for kind in (Kind.SUPPRESSED, Kind.SOFT_BOUNCED, Kind.DELIVERED, Kind.BOUNCED, Kind.COMPLAINED)
]

LAST = """
SELECT (array_agg(id ORDER BY id DESC))[1], count(*)
FROM (SELECT id FROM atum.mail WHERE id > %(after)s AND id < %(before)s ORDER BY id LIMIT %(scan)s) s
"""


def last(connection: Connection, *, after: UUID, before: UUID) -> tuple[UUID | None, int]:
    """Give the last of the next mails between two ids, and how many these are; at most `SCANNED`."""
    values = {"after": after, "before": before, "scan": SCANNED}
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(LAST, values).fetchone()
    return (None, 0) if row is None else (row[0], row[1])


class Untold(NamedTuple):
    """A mail that was accepted, and nobody has told what became of it for all its recipients."""

    id: UUID
    message_id: str


# As many recipients as there are @ in the lines: one too many where a name has one, and then it is asked in vain. Those
# that an SMTP relay took carry a Message-ID of ours, which has an @ too; the provider does not know them.
UNTOLD = """
SELECT m.id, m.provider_message_id AS message_id
FROM atum.mail m, LATERAL (SELECT concat_ws(',', m.to_line, m.cc_line, m.bcc_line) AS line) l
WHERE m.id > %(after)s AND m.id <= %(last)s AND m.status = ANY(%(proven)s) AND strpos(m.provider_message_id, '@') = 0
      AND (SELECT count(DISTINCT e.recipient) FROM atum.recipient_event e
           WHERE e.mail_id = m.id AND e.kind = ANY(%(known)s))
          < length(l.line) - length(replace(l.line, '@', ''))
ORDER BY m.id
"""


def untold(connection: Connection, *, after: UUID, last: UUID) -> list[Untold]:
    """Give the mails after one id and up to another about which the provider is to be asked."""
    values = {"after": after, "last": last, "proven": [status.value for status in PROVEN], "known": _KNOWN}
    with connection.cursor(row_factory=args_row(Untold)) as cursor:
        return cursor.execute(UNTOLD, values).fetchall()


KNOWN = "SELECT dedupe FROM atum.webhook_inbox WHERE dedupe = ANY(%(dedupes)s)"


def unknown(connection: Connection, documents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give those events that catching up has not stored yet."""
    by_identity = {identity(each): each for each in documents}
    with connection.cursor(row_factory=tuple_row, binary=True) as cursor:
        known = {dedupe for (dedupe,) in cursor.execute(KNOWN, {"dedupes": list(by_identity)})}
    return [each for dedupe, each in by_identity.items() if dedupe not in known]


def store(connection: Connection, documents: Sequence[Mapping[str, Any]], keyring: Keyring) -> int:
    """Store what was learned as events; give how many are new."""
    if not documents:
        return 0
    arrivals = [inbox.arrival(orjson.dumps(each), each, keyring=keyring) for each in documents]
    return len(run(connection, inbox.storing(arrivals, source="catch_up", key_id=keyring.active)))


IN_USE = "SELECT EXISTS (SELECT FROM atum.tally WHERE name = 'webhook_accepted' AND number > 0)"


def webhooks_in_use(connection: Connection) -> bool:
    """Say whether any webhook has ever come."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(IN_USE).fetchone()
    return bool(row and row[0])


FORGET = """
DELETE FROM atum.webhook_inbox
WHERE id IN (SELECT id FROM atum.webhook_inbox
             WHERE id < %(before)s AND state IN ('applied', 'ignored', 'unmatched', 'unreadable')
                   AND done_at < clock_timestamp() - make_interval(secs => %(retention_s)s)
             ORDER BY id LIMIT %(limit)s)
"""


def forget(connection: Connection, *, before: UUID, retention_s: float, limit: int) -> int:
    """Delete events that were done with long ago, the oldest first; `before` is an id from that time."""
    values = {"before": before, "retention_s": retention_s, "limit": limit}
    return connection.execute(FORGET, values).rowcount
