"""The explorations: small worlds, each large enough for some of the rules to matter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from tests.model.promises import ALL, EXCEPT_COPIES, Broken
from tests.model.scope import Scope
from tests.model.state import Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration:
    """A scope and what is promised in it."""

    #: What is in it, for the reader of the table.
    about: str
    scope: Scope
    promises: frozenset[Broken] = ALL


SCOPES: Final = {
    "killed workers": Exploration(about="2 workers, 1 kill", scope=Scope(workers=2, left=Budget(kills=1))),
    "crash": Exploration(
        about="2 workers, 1 crash of the database", scope=Scope(workers=2, left=Budget(crashes=1))
    ),
    "crash and kill": Exploration(
        about="2 workers, 1 crash of the database, 1 kill",
        scope=Scope(workers=2, left=Budget(crashes=1, kills=1)),
    ),
    "three workers": Exploration(about="3 workers, which are only frozen", scope=Scope(workers=3)),
    "clocks": Exploration(
        about="2 workers, 1 clock set back", scope=Scope(workers=2, left=Budget(clock_changes=1))
    ),
    "searches": Exploration(
        about="2 reconcilers, 3 failing searches",
        scope=Scope(reconcilers=2, left=Budget(failed_searches=3)),
    ),
    "searches and kill": Exploration(
        about="2 reconcilers, 1 failing search, 1 kill, 1 crash of the database",
        scope=Scope(reconcilers=2, left=Budget(failed_searches=1, kills=1, crashes=1)),
    ),
    "stalled index": Exploration(
        about="2 reconcilers, the index stops once, the stream is busy, no freeze",
        scope=Scope(reconcilers=2, freeze=0, busy=True, left=Budget(stalls=1)),
    ),
    "cancel": Exploration(
        about="2 mails in a batch, 1 cancel, 1 crash of the database",
        scope=Scope(mails=2, batch_mails=2, left=Budget(cancels=1, crashes=1)),
    ),
    "expiry": Exploration(
        about="2 workers, 1 expiry, 1 kill", scope=Scope(workers=2, left=Budget(expiries=1, kills=1))
    ),
    "answers": Exploration(
        about="2 workers, clear answers of both kinds, recording repeated",
        scope=Scope(workers=2, answers=("accepted", "outage"), repeats=True),
    ),
    "outage": Exploration(
        about="all answers, 3 tries",
        scope=Scope(answers=("accepted", "outage", "deferred", "rejected"), tries=3),
    ),
    "relays": Exploration(
        about="2 relays, 2 mails, window 1, clear answers", scope=Scope(mails=2, relays=2, unclear=False)
    ),
    "window": Exploration(about="2 mails, window 1, nobody searches", scope=Scope(mails=2, reconcilers=0)),
    "tickets": Exploration(
        about="2 workers, 1 lost and 1 repeated ticket, clear answers",
        scope=Scope(tickets=True, workers=2, unclear=False, left=Budget(lost_tickets=1, repeated_tickets=1)),
    ),
    "poison": Exploration(
        about="2 mails in a batch, one kills its worker, 1 more kill",
        scope=Scope(mails=2, batch_mails=2, poison=0, left=Budget(kills=1)),
    ),
    "fallback": Exploration(about="a fallback provider", scope=Scope(workers=2, fallback=True)),
    "hold": Exploration(
        about="policy hold, 1 kill", scope=Scope(workers=2, policy="hold", left=Budget(kills=1))
    ),
    "hold, late index": Exploration(
        about="policy hold, searchable at any time or never",
        scope=Scope(workers=2, policy="hold", lag_is_bounded=False),
    ),
    "late index": Exploration(
        about="2 workers, searchable at any time or never, clear answers of both kinds",
        scope=Scope(workers=2, lag_is_bounded=False, answers=("accepted", "outage")),
        promises=EXCEPT_COPIES,
    ),
    "two unknown batches": Exploration(
        about="searchable at any time or never, 3 tries",
        scope=Scope(lag_is_bounded=False, tries=3),
        promises=EXCEPT_COPIES,
    ),
    "late completion": Exploration(
        about="2 workers, requests complete at any time",
        scope=Scope(workers=2, network_is_bounded=False),
        promises=EXCEPT_COPIES,
    ),
    "late last write": Exploration(
        about="2 workers, frozen at the last write for any time",
        scope=Scope(workers=2, freeze_is_bounded=False),
        # The settling has allowed the second POST, and the first then leaves beside it.
        promises=EXCEPT_COPIES - {Broken.UNMARKED, Broken.BESIDE},
    ),
    "lost commits that show": Exploration(
        about="1 crash of the database that loses any commits, and is noticed",
        scope=Scope(commits_are_kept=False, loss_shows=True, left=Budget(crashes=1)),
        # What was lost is lost: marks, proof. Copies are not made of it.
        promises=frozenset({Broken.DUPLICATE, Broken.NOT_ONE_OWNER, Broken.STUCK}),
    ),
}
"""With all rules on, nothing is broken in any of them."""

_BOUNDED: Final = Scope(workers=2)

BEYOND: Final = {
    "(a) searchable only after the last counted search": replace(_BOUNDED, lag_is_bounded=False),
    "(b) frozen between final check and last write for longer": replace(_BOUNDED, freeze_is_bounded=False),
    "(c) a request is completed later than allowed for": replace(_BOUNDED, network_is_bounded=False),
    "(d) the database loses acknowledged commits": replace(
        _BOUNDED, commits_are_kept=False, left=Budget(crashes=1)
    ),
    "(e) a person overrides": replace(_BOUNDED, lag_is_bounded=False, left=Budget(releases=1)),
}
"""The cases of the honest bound: what is taken for granted of the outside, each not kept."""
