"""What would become of a mail if it were replayed: one pure decision, for the dry run, the replay and the `revive` actor.

::

    proven to be at the provider ──▶ already delivered (the evidence in words)
    its cycle is over ─────────────▶ superseded
    it waits, or an earlier POST or a mail sent in its place is not settled ──▶ under way
    asked for as a dead letter, and not dead ──▶ not dead
    its time is over ──────────────▶ expired
    nothing is left to send ───────▶ content gone
    nobody is left to send it to ──▶ suppressed
    else ──────────────────────────▶ would send, to those who are not suppressed
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from atum_schema.addresses import parse_addresses
from atum_schema.status import PROVEN, WAITING, Status

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime
    from uuid import UUID


class Verdict(StrEnum):
    """What a replay of a mail comes to, each with the sentence that defines it."""

    WOULD_SEND = "would_send"
    """It would go out again, as its next cycle."""
    ALREADY_DELIVERED = "already_delivered"
    """The provider is proven to have accepted it, or the mail that was sent in its place."""
    SUPPRESSED = "suppressed"
    """Everybody it goes to must not be mailed by now."""
    EXPIRED = "expired"
    """Its `expires_at` has passed."""
    CONTENT_GONE = "content_gone"
    """Nothing is left that could be sent."""
    UNDER_WAY = "under_way"
    """It waits for its turn, or an earlier POST or a mail sent in its place is not settled yet."""
    NOT_DEAD = "not_dead"
    """It was asked for as a dead letter, and has come to another end meanwhile."""
    SUPERSEDED = "superseded"
    """Another cycle of it was asked for than the one it is in: an old copy."""
    NO_SUCH_MAIL = "no_such_mail"
    """No mail has this id."""
    WOULD_DISCARD = "would_discard"
    """It would be given up, and its content dropped: the answer where that is asked."""


class Judged(NamedTuple):
    """A verdict, with what it rests on in words: never an address."""

    verdict: Verdict
    detail: str


class Recipients(NamedTuple):
    """Bare addresses in lower case, as suppressions have them."""

    #: To and Cc: those whom everybody sees.
    seen: tuple[str, ...]
    bcc: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """Everybody."""
        return self.seen + self.bcc if self.bcc else self.seen


class Told(NamedTuple):
    """A fact that the provider has told of a mail."""

    kind: str
    at: datetime


class Posted(NamedTuple):
    """An earlier POST that ended without a clear no."""

    #: 'accepted' or 'unknown'.
    outcome: str
    at: datetime
    message_id: str | None


class Kin(NamedTuple):
    """A mail that was sent in the place of another."""

    id: UUID
    status: str


class Facts(NamedTuple):
    """What a verdict about one mail needs."""

    mail_id: UUID
    cycle: int
    status: str
    stream: str
    recipients: Recipients
    #: When the mail was accepted by the provider or reached its end.
    finished_at: datetime | None
    is_expired: bool
    has_content: bool
    #: How often a worker died with the mail alone in its hands.
    crashes: int = 0
    #: State of a batch that holds it.
    held_by: str | None = None
    posts: tuple[Posted, ...] = ()
    told: tuple[Told, ...] = ()
    kin: tuple[Kin, ...] = ()


_WOULD_SEND: Final = Judged(Verdict.WOULD_SEND, "")
_EVERY_ONE: Final = "its only recipient is suppressed"
_UNDER_WAY: Final = frozenset({*WAITING, Status.UNKNOWN, Status.HELD})


def judge(
    facts: Facts,
    suppressed: Collection[tuple[str, str]],
    *,
    cycle: int | None = None,
    letter: bool = True,
) -> Judged:
    """Say what a replay of the mail would come to. Total, and the same for the same facts.

    `suppressed` has those recipients, each with its stream, that must not be mailed. `cycle` is the one that is asked
    for, None: whichever it is in. `letter` says that it was asked for as a dead letter; else it may have any end.
    """
    return (
        _already_delivered(facts)
        or _superseded(facts, cycle)
        or _under_way(facts)
        or _not_to_be_sent(facts, letter=letter)
        or _sendable(facts, suppressed)
    )


def _already_delivered(facts: Facts) -> Judged | None:
    proof = _proof(facts)
    return None if proof is None else Judged(Verdict.ALREADY_DELIVERED, proof)


def _superseded(facts: Facts, cycle: int | None) -> Judged | None:
    if cycle is None or facts.cycle == cycle:
        return None
    return Judged(Verdict.SUPERSEDED, f"cycle {cycle} is over, the mail is in cycle {facts.cycle}")


def _not_to_be_sent(facts: Facts, *, letter: bool) -> Judged | None:
    if letter and facts.status != Status.DEAD:
        return Judged(Verdict.NOT_DEAD, f"it is {facts.status}")
    if facts.is_expired:
        return Judged(Verdict.EXPIRED, "its expires_at has passed")
    return None if facts.has_content else Judged(Verdict.CONTENT_GONE, "its content was dropped")


def _proof(facts: Facts) -> str | None:
    """Say in words why the provider is known to have it."""
    if facts.status in PROVEN:
        return _dated(f"it is {facts.status}", facts.finished_at)
    if not (facts.posts or facts.told or facts.kin):
        return None
    accepted = next((post for post in facts.posts if post.outcome == "accepted"), None)
    if accepted is not None:
        return _dated(f"the provider accepted it as {accepted.message_id or 'a message'}", accepted.at)
    if facts.told:
        first = min(facts.told, key=lambda told: told.at)
        return _dated(f"the provider told: {first.kind}", first.at)
    sent = next((kin for kin in facts.kin if kin.status in PROVEN), None)
    return None if sent is None else f"it was sent again as {sent.id}, which is {sent.status}"


def _under_way(facts: Facts) -> Judged | None:
    if facts.status in _UNDER_WAY:
        return Judged(Verdict.UNDER_WAY, f"it is {facts.status}")
    if facts.held_by is not None:
        return Judged(Verdict.UNDER_WAY, f"an earlier batch of it is {facts.held_by}")
    kin = next((kin for kin in facts.kin if kin.status in _UNDER_WAY), None)
    if kin is None:
        return None
    return Judged(Verdict.UNDER_WAY, f"it was sent again as {kin.id}, which is {kin.status}")


def _sendable(facts: Facts, suppressed: Collection[tuple[str, str]]) -> Judged:
    words = []
    out = _left_out(facts, suppressed) if suppressed else set()
    if out:
        everybody = len({*facts.recipients.all})
        # The same rule as at the posting mark: blind copies alone are not sent.
        if out.issuperset(facts.recipients.seen):
            only_blind = "" if len(out) == everybody else ", and only blind copies would be left"
            return Judged(Verdict.SUPPRESSED, left_out(len(out), everybody) + only_blind)
        words.append(f"{left_out(len(out), everybody)} and would be left out")
    if facts.posts:
        words.append("what became of an earlier POST was never proven")
    return Judged(Verdict.WOULD_SEND, "; ".join(words)) if words else _WOULD_SEND


def _left_out(facts: Facts, suppressed: Collection[tuple[str, str]]) -> set[str]:
    return {address for address in facts.recipients.all if (facts.stream, address) in suppressed}


def judge_discard(facts: Facts, *, cycle: int | None = None) -> Judged:
    """Say what giving the mail up would come to. Only what is dead can be given up."""
    superseded = _superseded(facts, cycle)
    if superseded is not None:
        return superseded
    if facts.status != Status.DEAD:
        return Judged(Verdict.NOT_DEAD, _dated(f"it is {facts.status}", facts.finished_at))
    return Judged(Verdict.WOULD_DISCARD, "" if facts.has_content else "its content was dropped")


def left_out(out: int, of: int) -> str:
    """Say how many of its recipients a mail does not go to."""
    if out == of:
        return _EVERY_ONE if of == 1 else f"all {of} recipients are suppressed"
    return f"{out} of {of} recipients {'is' if out == 1 else 'are'} suppressed"


def _dated(words: str, at: datetime | None) -> str:
    return words if at is None else f"{words}, {at:%Y-%m-%d %H:%M:%S} UTC"


def recipients(to_line: str, cc_line: str | None, bcc_line: str | None) -> Recipients:
    """Read the lines of the log."""
    seen = _addresses(to_line)
    if cc_line:
        seen += _addresses(cc_line)
    return Recipients(seen, _addresses(bcc_line) if bcc_line else ())


def _addresses(line: str) -> tuple[str, ...]:
    if '"' in line:
        return tuple([address.email.lower() for address in parse_addresses(line)])
    # Without a quoted name, commas part mailboxes and angle brackets hold addresses, as we wrote them ourselves.
    lower = line.lower()
    return tuple([_bare(mailbox) for mailbox in lower.split(", ")]) if "," in lower else (_bare(lower),)


def _bare(mailbox: str) -> str:
    return mailbox[mailbox.rindex("<") + 1 : -1] if mailbox.endswith(">") else mailbox
