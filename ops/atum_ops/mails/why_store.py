"""What is read to explain where one mail is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg.rows import args_row

from atum_ops import reading, windows
from atum_ops.mails.facts import Attempt, Child, Facts
from atum_schema.addresses import folded, parse_addresses
from atum_schema.errors import MailNotFound
from atum_workers import sparing_store

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from atum_schema.database import Connection

ATTEMPTS = """
SELECT batch_id AS batch, account, outcome, charged, posting_at, http_status, code, provider_message_id AS message_id, detail
FROM atum.attempt WHERE mail_id = %(id)s ORDER BY posting_at
"""


def attempts(connection: Connection, mail_id: UUID) -> list[Attempt]:
    """Give all POSTs of a mail, in order of time."""
    with connection.cursor(row_factory=args_row(Attempt)) as cursor:
        return cursor.execute(ATTEMPTS, {"id": mail_id}).fetchall()


CHILDREN = "SELECT id, status FROM atum.mail WHERE resent_from = %(id)s ORDER BY id"


def children(connection: Connection, mail_id: UUID) -> list[Child]:
    """Give the mails that sent this one again, in order."""
    with connection.cursor(row_factory=args_row(Child)) as cursor:
        return cursor.execute(CHILDREN, {"id": mail_id}).fetchall()


class Beside(NamedTuple):
    """What is known of a mail in other tables than the log."""

    now: datetime
    on_unknown: str | None
    has_content: bool
    #: When the relay may take it, while it waits.
    ready_at: datetime | None
    held_since: datetime | None
    #: Of the batch that holds it: which account, and how far settling is.
    batch_account: str | None
    search_at: datetime | None
    searches: int | None


BESIDE = """
SELECT clock_timestamp() AS now, m.on_unknown,
       EXISTS (SELECT FROM atum.content c WHERE c.mail_id = m.id) AS has_content,
       (SELECT due_at FROM atum.ready r WHERE r.mail_id = m.id) AS ready_at,
       (SELECT since FROM atum.held h WHERE h.mail_id = m.id) AS held_since,
       b.account AS batch_account, b.search_at, b.searches
FROM atum.mail m
LEFT JOIN LATERAL (SELECT account, search_at, searches FROM atum.batch WHERE mail_ids @> ARRAY[m.id] LIMIT 1) b ON true
WHERE m.id = %(id)s
"""


def _beside(connection: Connection, mail_id: UUID) -> Beside | None:
    with connection.cursor(row_factory=args_row(Beside)) as cursor:
        return cursor.execute(BESIDE, {"id": mail_id}).fetchone()


def facts(connection: Connection, mail_id: UUID) -> Facts:
    """Read all that explains a mail. Raises `MailNotFound`."""
    view = reading.mail(connection, mail_id)
    beside = _beside(connection, mail_id)
    if view is None or beside is None:
        raise MailNotFound(f"no mail has the id {mail_id}")
    return Facts(
        view=view,
        now=beside.now,
        attempts=attempts(connection, mail_id),
        children=children(connection, mail_id),
        suppressed=_suppressed(connection, view.mail),
        on_unknown=beside.on_unknown,
        has_content=beside.has_content,
        ready_at=beside.ready_at,
        held_since=beside.held_since,
        search_at=beside.search_at,
        searches=beside.searches or 0,
        windows=[
            state
            for state in windows.windows(connection, {})
            if state.lane == view.mail["lane"]
            and (beside.batch_account or view.mail["account"]) in {None, state.account}
        ],
    )


def _suppressed(connection: Connection, mail: Mapping[str, Any]) -> list[str]:
    lines = [mail[name] for name in ("to_line", "cc_line", "bcc_line") if mail[name]]
    recipients = {(mail["stream"], folded(each.email)) for line in lines for each in parse_addresses(line)}
    return sorted(address for _, address in sparing_store.suppressed(connection, recipients))
