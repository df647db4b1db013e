"""On what evidence a mail is where it is: what happened to it, in sentences, from the rows that were written then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from atum_ops.mails.facts import clock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from atum_ops.mails.facts import Attempt, Facts

_OK: Final = 200


def evidence(facts: Facts) -> list[str]:
    """Tell what happened, in order of time: each line is a row that was written then."""
    mail = facts.mail
    told = [(mail["accepted_at"], f"accepted from {mail['client']}, for the lane {mail['lane']}")]
    told += [(attempt.posting_at, _post(attempt)) for attempt in facts.attempts]
    told += [
        (event["at"], _CAUSES[event["cause"]] + _said(event["detail"]))
        for event in facts.view.events
        if event["cause"] in _CAUSES
    ]
    told += [
        (fact["told_at"] or fact["noted_at"], _fact(recipient["address"], fact))
        for recipient in facts.view.recipients
        for fact in recipient["facts"]
    ]
    return [f"{clock(at)}: {words}." for at, words in sorted(told, key=lambda one: one[0])]


def _fact(address: str, fact: Mapping[str, Any]) -> str:
    kind, source = fact["kind"].replace("_", " "), fact["source"].replace("_", " ")
    return f"{address or 'a recipient'} {kind}{_said(fact['detail'])} (by {source})"


_CAUSES: Final = {
    "searched": "searched for at the provider",
    "found": "the provider is proven to have it",
    "resend_allowed": "not found, so it may go out again",
    "held": "not found, so it is held",
    "held_back": "held back by a person",
    "released": "released by a person",
    "hurried": "made due at once by a person",
    "canceled": "canceled",
    "discarded": "given up by a person",
    "replayed": "its next cycle began",
    "resent": "sent again by a person",
    "expired": "its time had run out",
    "answered_late": "a late answer came",
    "duplicate_found": "a second copy at the provider is proven",
    "poisoned": "a worker died with it alone",
    "reissued": "given back before it was posted",
    "partly_suppressed": "some recipients were left out",
    "suppressed": "all recipients were left out",
}


def _post(attempt: Attempt) -> str:
    """Tell one POST and its answer."""
    answer = "no answer" if attempt.http_status is None else f"HTTP {attempt.http_status}"
    if attempt.code is not None and (attempt.code or attempt.http_status != _OK):
        answer += f", ErrorCode {attempt.code}"
    if attempt.message_id:
        answer += f", MessageID {attempt.message_id}"
    meaning = {
        "accepted": "accepted",
        "deferred": "not now" + ("" if attempt.charged else ", which costs the mail no attempt"),
        "rejected": "refused for good",
        "unknown": "nobody knows whether it was taken",
    }[attempt.outcome]
    account = f" to {attempt.account}" if attempt.account else ""
    return f"posted{account}: {answer}: {meaning}{_said(attempt.detail)}"


def _said(detail: str | None) -> str:
    return f": {detail.rstrip('.')}" if detail else ""
