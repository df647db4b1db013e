"""What the read side asks of the database: searches over more than one page of the log, and the content of a mail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from atum_producers import story_store
from atum_producers.api.postmark.query import REACHABLE
from atum_schema.script import Statement

if TYPE_CHECKING:
    from uuid import UUID

    from atum_producers.api.postmark.query import Query
    from atum_producers.story_store import ListedMail
    from atum_schema.script import Script

#: A search looks at so many pages of `story_store.SCANNED` mails at most.
PAGES: Final = 10


class Found(NamedTuple):
    """One page of a search."""

    mails: list[ListedMail]
    #: Mails that matched among those that were looked at.
    total: int


def searching(client: str, query: Query) -> Script[Found]:
    """Search a client's mails, newest first: the newest 100,000 in the time that is asked for, or 10,000 that match."""
    mails: list[ListedMail] = []
    total, before = 0, query.before
    for _ in range(PAGES):
        page = yield from story_store.listing(
            client,
            query.filters,
            limit=query.count - len(mails),
            before=before,
            since=query.since,
            offset=max(query.offset - total, 0),
        )
        mails += page.mails
        total += page.matched
        before = page.end
        if before is None or total >= REACHABLE:
            break
    return Found(mails, total)


class ContentRow(NamedTuple):
    """The encrypted content of a mail."""

    key_id: str
    body: bytes


CONTENT = "SELECT key_id, body FROM atum.content WHERE mail_id = %(id)s"


def reading_content(mail_id: UUID) -> Script[ContentRow | None]:
    """Give the content of a mail, None when it was dropped."""
    rows: list[ContentRow] = yield Statement(CONTENT, {"id": mail_id}, ContentRow)
    return rows[0] if rows else None
