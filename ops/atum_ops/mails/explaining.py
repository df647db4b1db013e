"""Why a mail is where it is: in sentences, on what evidence, and what happens next. Pure.

Addresses appear as the log has them; the content never.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from atum_ops.mails.deciding import REPLAY
from atum_ops.mails.evidence import evidence
from atum_ops.mails.facts import clock, distance
from atum_schema.flow import OPEN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from atum_ops.mails.facts import Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Where a mail is, why, and what comes next: each a list of sentences."""

    #: As people see it.
    status: str
    where: list[str]
    evidence: list[str]
    next: list[str]
    #: Commands that a person may give now.
    commands: list[str] = field(default_factory=list)


def explain(facts: Facts) -> Explanation:
    """Explain a mail."""
    status = status_of(facts)
    where, following, commands = _OF[status](facts)
    return Explanation(
        status=status,
        where=[where, *_lineage(facts)],
        evidence=evidence(facts),
        next=following,
        commands=[command.format(id=facts.mail["id"]) for command in commands],
    )


def status_of(facts: Facts) -> str:
    """Give the status as people see it."""
    mail, batch = facts.mail, facts.view.batch
    status: str = mail["status"]
    if status in {"queued", "scheduled", "retrying"} and batch is not None and batch["state"] != "unknown":
        return "sending"
    if status == "scheduled" and mail["send_at"] <= facts.now:
        return "queued"
    return status


_Answer = tuple[str, list[str], list[str]]
_CANCEL: Final = "atum-mailer mail cancel {id}"
_HOLD: Final = "atum-mailer mail hold {id}"
_RESEND: Final = "atum-mailer mail resend {id} --dry-run"


def _scheduled(facts: Facts) -> _Answer:
    at = facts.mail["send_at"]
    return (
        f"It waits for the time that the application set: {clock(at)} ({distance(facts, at)}).",
        [
            f"It is due {distance(facts, at)}, and then takes its turn in the lane.",
            *_lane(facts),
            *_limits(facts),
        ],
        [_CANCEL, _HOLD],
    )


def _queued(facts: Facts) -> _Answer:
    due = facts.ready_at
    if due is not None and due > facts.now:
        words = f"It was released, and waits for its own time: {clock(due)} ({distance(facts, due)})."
    else:
        since = due or facts.mail["accepted_at"]
        words = (
            f"It is due since {clock(since)} ({distance(facts, since)}), and waits for its turn in the lane."
        )
    return words, [*_turn(facts), *_lane(facts), *_limits(facts)], [_CANCEL, _HOLD]


def _sending(facts: Facts) -> _Answer:
    batch = facts.view.batch or {}
    state = batch.get("state")
    if state == "posting":
        words = f"It is being posted to the provider since {clock(batch['posting_at'])}, by {batch['claimed_by']}."
        following = [
            f"The answer decides. If none comes by {clock(batch['lease_until'])}, it is unknown, and searched for."
        ]
        return words, following, []
    if state == "claimed":
        words = f"A worker has taken it ({batch['claimed_by']}, {clock(batch['claimed_at'])}) and is about to post it."
        following = [
            f"If it does not by {clock(batch['lease_until'])}, the mail is issued again: nothing was posted."
        ]
    else:
        told = "its ticket is in RabbitMQ" if batch.get("published_at") else "its ticket is being published"
        words = f"It travels in a batch since {clock(batch['issued_at'])}; {told}."
        following = [
            "A worker takes it next. A ticket that is lost is published again, or workers find the batch."
        ]
    return words, following, [_CANCEL]


def _retrying(facts: Facts) -> _Answer:
    mail = facts.mail
    due = facts.ready_at or mail["due_at"]
    words = f"The provider did not take it for now ({mail['reason'] or 'no reason was kept'})"
    if mail["detail"]:
        words += f": {mail['detail']}"
    return (
        f"{words.rstrip('.')}.",
        [f"The next attempt is due {clock(due)} ({distance(facts, due)}).", *_lane(facts), *_limits(facts)],
        ["atum-mailer mail retry {id}", _CANCEL, _HOLD],
    )


def _unknown(facts: Facts) -> _Answer:
    searched = (
        f"{facts.searches} searches that count have not found it"
        if facts.searches
        else "no search counts yet"
    )
    following = [
        f"The provider is searched for it {distance(facts, facts.search_at)} ({clock(facts.search_at)}); {searched}."
        if facts.search_at is not None
        else "The provider is searched for it by its id.",
        "Found, it is sent. Not found by all searches, it "
        + {"resend": "goes out again.", "hold": "is held for a person."}.get(
            facts.on_unknown or "", "goes out again or is held, as its lane says (ATUM_RESEND_LANES)."
        ),
    ]
    why = facts.mail["reason"] or "no clear answer"
    words = (
        f"It was posted, and nobody knows yet whether the provider took it ({why}). It is not sent again until that is"
        " settled by evidence."
    )
    return words, following, []


def _held(facts: Facts) -> _Answer:
    since = facts.held_since
    when = "" if since is None else f" since {clock(since)}"
    reason = facts.mail["reason"]
    words = {
        "held_back": f"It is held back by a person{when} ({facts.mail['detail'] or 'no name was kept'}).",
        "not_found": f"It waits for a person{when}: it was posted without a clear answer, and searches of the provider"
        " did not find it.",
        "beyond_retention": f"It waits for a person{when}: it was posted without a clear answer, so long ago that the"
        " provider could not be searched for it.",
    }.get(reason or "", f"It waits for a person{when} ({reason or 'no reason was kept'}).")
    following = ["Nothing happens by itself: release it, or cancel it."]
    if any(attempt.outcome == "unknown" for attempt in facts.attempts):
        following.append("The provider may have it: releasing it may make a second copy.")
    return words, following, ["atum-mailer mail release {id}", _CANCEL]


def _sent(facts: Facts) -> _Answer:
    return (
        f"The provider accepted it{_at(facts.mail['finished_at'])} (MessageID {_message_id(facts)}).",
        ["The recipient's server decides; the provider's webhook tells, or workers ask (ATUM_CATCH_UP_S)."],
        [],
    )


def _delivered(facts: Facts) -> _Answer:
    del facts
    return "The recipient's server took it.", ["Nothing: it has arrived."], []


def _bounced(facts: Facts) -> _Answer:
    del facts
    return (
        "The recipient's server refused it for good.",
        [
            "Nothing happens by itself. The provider will not mail that address again until the suppression is lifted."
        ],
        [_RESEND],
    )


def _complained(facts: Facts) -> _Answer:
    del facts
    return (
        "A recipient called it spam.",
        ["Nothing: it is never sent again, and the address is suppressed for good in its stream."],
        [],
    )


def _dead(facts: Facts) -> _Answer:
    mail = facts.mail
    why = {
        "attempts_exhausted": "all its attempts were used up",
        "tries_exhausted": "it was posted as often as is allowed",
        "poison": "workers died each time that they had it alone",
    }.get(
        mail["reason"] or "", f"the provider refused it for good ({mail['reason'] or 'no reason was kept'})"
    )
    detail = f": {mail['detail']}" if mail["detail"] else ""
    return (
        f"It is dead{_at(mail['finished_at'])}: {why}{detail}.",
        ["Nothing happens by itself. It is in the dead-letter queue with its content, and can be replayed."],
        [f"{REPLAY} {{id}}", _RESEND],
    )


def _suppressed(facts: Facts) -> _Answer:
    return (
        f"It was not posted: its recipients must not be mailed in the stream {facts.mail['stream']}.",
        ["Nothing: its content is gone."],
        [f"atum-mailer suppressions list --stream {facts.mail['stream']}"],
    )


def _canceled(facts: Facts) -> _Answer:
    by = f" ({facts.mail['detail']})" if facts.mail["detail"] else ""
    return (
        f"It was canceled{_at(facts.mail['finished_at'])} before it was posted{by}."
        if not facts.attempts
        else f"It was canceled{_at(facts.mail['finished_at'])}{by}.",
        ["Nothing: its content is gone."],
        [],
    )


def _expired(facts: Facts) -> _Answer:
    at = facts.mail["expires_at"]
    return (
        "Its time ran out before the provider took it"
        + ("." if at is None else f": it was to be sent by {clock(at)}."),
        ["Nothing: its content is gone."],
        [],
    )


_OF: Final[Mapping[str, Callable[[Facts], _Answer]]] = {
    "scheduled": _scheduled,
    "queued": _queued,
    "sending": _sending,
    "retrying": _retrying,
    "unknown": _unknown,
    "held": _held,
    "sent": _sent,
    "delivered": _delivered,
    "bounced": _bounced,
    "complained": _complained,
    "dead": _dead,
    "suppressed": _suppressed,
    "canceled": _canceled,
    "expired": _expired,
}


def _turn(facts: Facts) -> list[str]:
    if any(window.state == OPEN and window.silent_s is None for window in facts.windows):
        return ["The lane is open: the relay takes it with its next batch, unless the window is full."]
    return []


def _lane(facts: Facts) -> list[str]:
    """Say what keeps its lane from sending, and what mends that."""
    lines = []
    for window in facts.windows:
        name = f"The lane {window.lane}" + (f" ({window.account})" if len(facts.windows) > 1 else "")
        if window.state != OPEN:
            mend = f": {window.remedy}" if window.remedy else ""
            lines.append(f"{name} is {window.state} since {clock(window.since)} ({window.reason}){mend}.")
        elif window.silent_s is not None:
            lines.append(f"{name} is silent for {window.silent_s:,.0f} s, as the provider asked.")
    if not facts.windows:
        bound = f" with the account {facts.account}" if facts.account else ""
        lines.append(f"No relay has served the lane {facts.mail['lane']}{bound} yet: is one running?")
    elif facts.account is not None:
        lines.append(f"Only the account {facts.account} may send it.")
    return lines


def _limits(facts: Facts) -> list[str]:
    """Say what may keep it, or some of its recipients, from being sent at all."""
    lines = [
        f"{address} is suppressed in the stream {facts.mail['stream']}, and will be left out."
        for address in facts.suppressed
    ]
    at = facts.mail["expires_at"]
    return lines if at is None else [*lines, f"Not sent by {clock(at)} ({distance(facts, at)}), it expires."]


def _lineage(facts: Facts) -> list[str]:
    old = facts.mail["resent_from"]
    lines = [] if old is None else [f"It is {old}, sent again."]
    lines += [f"It was sent again as {child.id}, which is {child.status}." for child in facts.children]
    return lines


def _message_id(facts: Facts) -> str:
    return facts.mail["provider_message_id"] or "not told"


def _at(moment: datetime | None) -> str:
    return "" if moment is None else f" at {clock(moment)}"
