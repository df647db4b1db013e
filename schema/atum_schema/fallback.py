"""Which provider may be given a lane's mail now: Postmark, or the SMTP relay that stands in for it. Pure.

::

    mode   the primary's window                 new mail goes to      its pinned mail goes to
    any    paused by a person                   nobody                nobody
    off    whatever                             the primary           SMTP
    auto   open, or not open for a short time   the primary           SMTP
    auto   not open for long                    SMTP; probes go on    SMTP
    on     whatever                             SMTP                  SMTP

New mail is what is pinned to nobody. Of that, SMTP never gets a mail with an attempt whose outcome is unknown: nobody
can tell that it was not sent already, so it waits for the primary, whose provider can be asked. Where no SMTP relay is
set up, all goes as if the mode were off, and what is pinned to SMTP waits.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from atum_schema.flow import OPEN

if TYPE_CHECKING:
    from atum_schema.flow import Window

SMTP: Final = "smtp"
"""Name of the account that stands in: the SMTP relay of the settings."""

HELD_REASON: Final = "fallback_unknown"
"""Why a mail is held whose SMTP outcome nobody knows: an SMTP relay cannot be asked what it has taken."""

OFF: Final = "off"
AUTO: Final = "auto"
ON: Final = "on"


NOT_CONFIGURED: Final = "not_configured"
PAUSED_BY_A_PERSON: Final = "paused_by_a_person"
ENABLED: Final = "enabled"
PRIMARY_OPEN: Final = "primary_open"
PRIMARY_CLOSED: Final = "primary_closed"
NOT_CLOSED_FOR_LONG: Final = "not_closed_for_long"

IN_USE: Final = frozenset({ENABLED, PRIMARY_CLOSED})
"""The words of `Decision.why` with which new mail goes to SMTP."""


class Taking(Enum):
    """Which of a lane's due mails an account may be given."""

    NOTHING = "nothing"
    #: Everything that is not pinned to another account.
    ANY = "any"
    #: What is pinned to it.
    PINNED = "pinned"
    #: What is pinned to it, and all others without an unresolved attempt, pinned to nobody.
    NEW = "new"
    #: What is pinned to it, and all others with an unresolved attempt: they wait for it alone.
    LEFT = "left"


class Decision(NamedTuple):
    """What the primary and SMTP may be given, and why, in a stable word."""

    primary: Taking
    smtp: Taking
    why: str

    @property
    def in_use(self) -> bool:
        """Whether new mail goes to SMTP."""
        return self.why in IN_USE


def primary_takes(mode: str, *, configured: bool) -> Taking:
    """Say what the primary may be given; its own window decides how much of it, if any."""
    return Taking.LEFT if configured and mode == ON else Taking.ANY


def decide(mode: str, *, configured: bool, after_s: float, primary: Window, now: float) -> Decision:
    """Say who may be given a lane's mail.

    `mode` and `after_s` are the settings, `configured` whether there is an SMTP relay, `primary` the window of the
    lane's primary account at `now`, in seconds since 1970.
    """
    why = _why(mode, configured=configured, after_s=after_s, primary=primary, now=now)
    if why == PAUSED_BY_A_PERSON:
        return Decision(Taking.NOTHING, Taking.NOTHING, why)
    smtp = Taking.NEW if why in IN_USE else Taking.PINNED if configured else Taking.NOTHING
    return Decision(primary_takes(mode, configured=configured), smtp, why)


def _why(mode: str, *, configured: bool, after_s: float, primary: Window, now: float) -> str:
    if not configured:
        return NOT_CONFIGURED
    if primary.paused_by is not None:
        return PAUSED_BY_A_PERSON
    if mode != AUTO:
        return ENABLED if mode == ON else OFF
    if primary.state == OPEN:
        return PRIMARY_OPEN
    return PRIMARY_CLOSED if now - primary.since > after_s else NOT_CLOSED_FOR_LONG
