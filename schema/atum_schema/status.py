"""Where a mail is: one total machine of statuses and causes.

::

    accepted ─▶ scheduled ─▶ queued ─▶ sending ─▶ sent ─▶ delivered | bounced | complained
                               ▲          │
                               │          ├─▶ retrying   (a due time in the future, then sending again)
                               │          ├─▶ dead       (refused for good, or attempts used up)
                               │          ├─▶ expired    (its time ran out before a POST)
                               │          └─▶ unknown    (posted, and no clear answer)
                               │                 │
                               └── resend ───────┼─▶ sent   (found by evidence)
                                                 └─▶ held   (waits for a person)

`scheduled`, `queued` and `retrying` are stored when they are decided; `sending` is never stored: a mail is
sending while a batch holds it (see docs/decisions.md, "sending is derived"). Every (status, cause) pair has
an answer in `TRANSITIONS`; a pair that keeps its status is a late or repeated fact, which is recorded and
changes nothing. The database holds the same table as a CHECK on `event`.
"""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """The states of a mail, each with the sentence that defines it."""

    SCHEDULED = "scheduled"
    """Accepted, and not to be sent before its `send_at`."""
    QUEUED = "queued"
    """Accepted and due; no POST was made in this cycle, or a recorded settling allowed another."""
    SENDING = "sending"
    """Held by a batch in flight (derived, never stored)."""
    RETRYING = "retrying"
    """The last POST was refused for now; another is due at a known time."""
    UNKNOWN = "unknown"
    """Posted without a clear answer; nothing is sent again until evidence settles it."""
    HELD = "held"
    """Waits for a person: not settled by evidence, or held back by one."""
    SENT = "sent"
    """The provider accepted it (proof: an answer, a search result or a webhook)."""
    DELIVERED = "delivered"
    """The recipient's server took it (webhook)."""
    BOUNCED = "bounced"
    """The recipient's server refused it for good (webhook)."""
    COMPLAINED = "complained"
    """The recipient called it spam (webhook); stronger than any other fact."""
    DEAD = "dead"
    """Refused for good or exhausted; kept, and can be replayed as the next cycle."""
    SUPPRESSED = "suppressed"
    """Not posted because the recipient must not be mailed."""
    CANCELED = "canceled"
    """Stopped by the application or an operator before a POST."""
    EXPIRED = "expired"
    """Its `expires_at` passed before a POST."""


class Cause(StrEnum):
    """Why a mail changed its status: one event each."""

    ACCEPTED = "accepted"
    """`enqueue` stored it."""
    ACCEPTED_FOR_LATER = "accepted_for_later"
    """`enqueue` stored it with a `send_at` in the future."""
    PROVIDER_ACCEPTED = "provider_accepted"
    """An answer says that the provider took it."""
    PROVIDER_REJECTED = "provider_rejected"
    """An answer says that the provider will never take it."""
    RETRY_SCHEDULED = "retry_scheduled"
    """An answer says not now; another attempt has a due time."""
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    """Not now, and the charged attempts are used up."""
    TRIES_EXHAUSTED = "tries_exhausted"
    """Not now, and the cap on POSTs is reached, charged or not."""
    OUTCOME_UNKNOWN = "outcome_unknown"
    """Posted, and no clear answer came."""
    REISSUED = "reissued"
    """A worker stopped between claim and posting mark; nothing was posted, so the mails wait again."""
    EXPIRED = "expired"
    """`expires_at` had passed at the last check before a POST."""
    CANCELED = "canceled"
    """The application or an operator stopped it."""
    FOUND = "found"
    """A search of the provider, or a webhook, proves acceptance."""
    RESEND_ALLOWED = "resend_allowed"
    """Settling found no evidence and the policy is `resend`."""
    HELD = "held"
    """Settling found no evidence and the policy is `hold`."""
    HELD_BACK = "held_back"
    """A person stopped it for the time being, before a POST."""
    RELEASED = "released"
    """A person lets a held mail go out again."""
    HURRIED = "hurried"
    """A person made its next attempt due at once."""
    RESENT = "resent"
    """A person sent it again as a new mail; the detail names that one."""
    DISCARDED = "discarded"
    """A person gave a dead mail up; its content is gone."""
    SEARCHED = "searched"
    """The provider was searched for an unknown mail; the detail says what the search is worth."""
    ANSWERED_LATE = "answered_late"
    """An answer says that an earlier POST was not taken; the mail had moved on by then."""
    DUPLICATE_FOUND = "duplicate_found"
    """A second acceptance of the mail is proven."""
    POISONED = "poisoned"
    """It was alone with its worker each time that the worker died."""
    REPLAYED = "replayed"
    """An operator starts the next cycle of a dead mail."""
    SUPPRESSED = "suppressed"
    """The recipient must not be mailed."""
    PARTLY_SUPPRESSED = "partly_suppressed"
    """Some of its recipients must not be mailed, and were left out."""
    DELIVERED = "delivered"
    """Webhook: delivered."""
    BOUNCED = "bounced"
    """Webhook: hard bounce."""
    COMPLAINED = "complained"
    """Webhook: spam complaint."""


S, C = Status, Cause

WAITING = frozenset({S.SCHEDULED, S.QUEUED, S.RETRYING, S.SENDING})
"""No POST of this mail is unresolved; its owner is `ready` or a batch."""

ENDED = frozenset({S.SENT, S.DELIVERED, S.BOUNCED, S.COMPLAINED, S.DEAD, S.SUPPRESSED, S.CANCELED, S.EXPIRED})
"""Nothing more is sent of this mail unless proof or a person says otherwise."""

PROVEN = frozenset({S.SENT, S.DELIVERED, S.BOUNCED, S.COMPLAINED})
"""The provider is known to have accepted the mail."""

_UNPROVEN_ENDS = frozenset({S.DEAD, S.SUPPRESSED, S.CANCELED, S.EXPIRED})
_OPEN = WAITING | {S.UNKNOWN, S.HELD}

# Which statuses a cause moves, and where to. All other pairs keep their status: the fact came late or twice.
_MOVES: dict[Cause, tuple[frozenset[Status], Status]] = {
    # Proof is never discarded: it also pulls back ends that were reached without it.
    C.PROVIDER_ACCEPTED: (_OPEN | _UNPROVEN_ENDS, S.SENT),
    C.FOUND: (_OPEN | _UNPROVEN_ENDS, S.SENT),
    C.DELIVERED: (_OPEN | _UNPROVEN_ENDS | {S.SENT}, S.DELIVERED),
    # A bounce may follow a delivery (late bounces are common), a complaint may follow anything.
    C.BOUNCED: (_OPEN | _UNPROVEN_ENDS | {S.SENT, S.DELIVERED}, S.BOUNCED),
    C.COMPLAINED: (frozenset(S) - {S.COMPLAINED}, S.COMPLAINED),
    # A clear "no" settles an unknown outcome as well as an expected one.
    C.PROVIDER_REJECTED: (WAITING | {S.UNKNOWN, S.HELD}, S.DEAD),
    C.RETRY_SCHEDULED: (WAITING | {S.UNKNOWN, S.HELD}, S.RETRYING),
    C.ATTEMPTS_EXHAUSTED: (WAITING | {S.UNKNOWN, S.HELD}, S.DEAD),
    C.TRIES_EXHAUSTED: (WAITING | {S.UNKNOWN, S.HELD}, S.DEAD),
    C.POISONED: (WAITING | {S.UNKNOWN, S.HELD}, S.DEAD),
    C.OUTCOME_UNKNOWN: (WAITING, S.UNKNOWN),
    C.EXPIRED: (WAITING | {S.UNKNOWN, S.HELD}, S.EXPIRED),
    # An unknown mail may be at the provider already: it is settled first, so a cancel does not move it.
    C.CANCELED: (WAITING | {S.HELD}, S.CANCELED),
    C.SUPPRESSED: (WAITING, S.SUPPRESSED),
    C.RESEND_ALLOWED: (frozenset({S.UNKNOWN}), S.QUEUED),
    C.HELD: (frozenset({S.UNKNOWN}), S.HELD),
    C.HELD_BACK: (WAITING, S.HELD),
    C.RELEASED: (frozenset({S.HELD}), S.QUEUED),
    C.DISCARDED: (frozenset({S.DEAD}), S.CANCELED),
    C.REPLAYED: (_UNPROVEN_ENDS, S.QUEUED),
    C.REISSUED: (frozenset(), S.QUEUED),
    C.HURRIED: (frozenset(), S.QUEUED),
    C.RESENT: (frozenset(), S.SENT),
    C.PARTLY_SUPPRESSED: (frozenset(), S.QUEUED),
    C.SEARCHED: (frozenset(), S.UNKNOWN),
    C.ANSWERED_LATE: (frozenset(), S.UNKNOWN),
    C.DUPLICATE_FOUND: (frozenset(), S.SENT),
    C.ACCEPTED: (frozenset(), S.QUEUED),
    C.ACCEPTED_FOR_LATER: (frozenset(), S.SCHEDULED),
}

BIRTH: dict[Cause, Status] = {C.ACCEPTED: S.QUEUED, C.ACCEPTED_FOR_LATER: S.SCHEDULED}
"""The two ways a mail comes into being."""

TRANSITIONS: dict[tuple[Status, Cause], Status] = {
    (status, cause): target if status in movable else status
    for cause, (movable, target) in _MOVES.items()
    for status in Status
}
"""Every (status, cause) pair and the status that follows: total by construction, and tested to be."""


def after(status: Status, cause: Cause) -> Status:
    """Give the status that follows `status` when `cause` becomes known. Total: never raises."""
    return TRANSITIONS[status, cause]


def stored_pairs() -> list[tuple[str, str, str]]:
    """List (from, cause, to) as the CHECK on `event` must have them; "" is the birth of a mail.

    `sending` is left out: it is derived and never stored.
    """
    births = [("", cause.value, target.value) for cause, target in BIRTH.items()]
    moves = [
        (status.value, cause.value, target.value)
        for (status, cause), target in TRANSITIONS.items()
        if S.SENDING not in (status, target)
    ]
    return births + moves
