"""All that is known of one mail and explains it, and how its times are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from atum_ops.windows import WindowState
    from atum_producers.story_store import MailView


class Attempt(NamedTuple):
    """One POST of a mail, and what is known of its answer."""

    batch: UUID
    #: Whose; None where that was not kept yet.
    account: str | None
    outcome: str
    charged: bool
    posting_at: datetime
    http_status: int | None
    code: int | None
    message_id: str | None
    detail: str | None


class Child(NamedTuple):
    """A mail that sent this one again."""

    id: UUID
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that explains a mail."""

    view: MailView
    now: datetime
    attempts: Sequence[Attempt] = ()
    children: Sequence[Child] = ()
    #: Those of its recipients that must not be mailed in its stream now.
    suppressed: Sequence[str] = ()
    on_unknown: str | None = None
    has_content: bool = True
    ready_at: datetime | None = None
    held_since: datetime | None = None
    #: When the provider is searched for it next, and how many searches counted, while it is unknown.
    search_at: datetime | None = None
    searches: int = 0
    #: The windows of its lane that may send it.
    windows: Sequence[WindowState] = ()

    @property
    def mail(self) -> Mapping[str, Any]:
        """The row in the log."""
        return self.view.mail

    @property
    def account(self) -> str | None:
        """The only account that may send it, if it is bound to one."""
        account: str | None = self.mail["account"]
        return account


def clock(moment: datetime | None) -> str:
    """Write a moment, to the second."""
    return "an unknown time" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"


def distance(facts: Facts, moment: datetime | None) -> str:
    """Say how far away a moment is."""
    if moment is None:
        return "soon"
    seconds = (moment - facts.now).total_seconds()
    size = abs(seconds)
    for unit, name in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if size >= 2 * unit:
            words = f"{size / unit:.0f} {name}"
            break
    else:
        words = f"{size:.0f} seconds"
    return f"in {words}" if seconds > 0 else f"{words} ago"
