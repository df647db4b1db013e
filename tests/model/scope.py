"""How large the world is, how long things take, and what may go wrong in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.model.state import Budget

_NOTHING: Final = Budget()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Bounds of one exploration. Times are ticks."""

    mails: int = 1
    workers: int = 1
    relays: int = 1
    reconcilers: int = 1
    left: Budget = _NOTHING
    #: Mails per batch, and batches in flight.
    batch_mails: int = 1
    window: int = 1
    #: "resend" or "hold"
    policy: str = "resend"
    #: What the provider may answer: accepted, outage (provider-wide), deferred (this mail), rejected.
    answers: tuple[str, ...] = ("accepted",)
    #: Whether a request may vanish unprocessed, and an answer may be lost or unclear.
    unclear: bool = True
    #: POSTs per mail, and charged attempts.
    tries: int = 2
    attempts: int = 2
    #: Whether tickets are modelled; if not, any ticket may come at any time.
    tickets: bool = False
    #: Whether a mail of the stream is always accepted soon after the anchor.
    busy: bool = False
    #: Whether each round wants a control that was accepted after the round before: stronger than the design.
    fresh_control: bool = False
    #: Whether recording may be repeated because its acknowledgement got lost.
    repeats: bool = False
    #: Whether a fallback provider takes mails.
    fallback: bool = False
    #: A mail that kills each worker which loads it.
    poison: int | None = None

    deadline: int = 2
    #: Longest time in the network, and longest freeze between the final check and the last write.
    network: int = 1
    freeze: int = 1
    #: Longest time until a search finds what was accepted.
    lag: int = 2
    claim_lease: int = 3
    #: More than deadline and network.
    posting_lease: int = 3
    #: Ticks before each search. Together they cover `freeze` and `lag`.
    search_after: tuple[int, ...] = (1, 1, 1)

    #: What is taken for granted of the outside; each is a case of the honest bound when it is not.
    lag_is_bounded: bool = True
    freeze_is_bounded: bool = True
    network_is_bounded: bool = True
    commits_are_kept: bool = True
    #: Whether a loss of commits shows, by a new timeline for example.
    loss_shows: bool = False
