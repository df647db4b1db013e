"""`clock`: ours, the database's and the provider's agree. Ids of mails, deadlines and due times come from them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from atum_ops.health import database_store
from atum_ops.health.findings import Finding, bad, good, unknown, warning
from atum_ops.health.surroundings import NotSet, deadline
from atum_workers import postmark_account
from atum_workers.postmark_api import ProviderFailed

if TYPE_CHECKING:
    from atum_ops.health.surroundings import Surroundings

NAME: Final = "clock"
WARNING_S: Final = 2.0
BAD_S: Final = 30.0
_REMEDY: Final = "synchronise the clocks of both machines (NTP, chrony)"


def look(surroundings: Surroundings) -> list[Finding]:
    """Compare our clock with that of the database, and with the provider's."""
    before = time.time()
    theirs = database_store.now(surroundings.connection)
    after = time.time()
    found = [judge("the database's clock", theirs - (before + after) / 2, doubt_s=(after - before) / 2)]
    if surroundings.offline:
        return found
    try:
        before = time.time()
        server = postmark_account.server(surroundings.api, deadline())
        after = time.time()
    except (NotSet, ProviderFailed) as error:
        return [*found, unknown(NAME, f"the provider's clock was not seen: {error}")]
    if server.clock is None:
        return [*found, unknown(NAME, "the provider's clock was not seen: its answer has no Date")]
    # It tells whole seconds, cut off: on average it is half a second later than it says.
    skew = server.clock + 0.5 - (before + after) / 2
    return [*found, judge("the provider's clock", skew, doubt_s=0.5 + (after - before) / 2)]


def judge(whose: str, skew_s: float, *, doubt_s: float) -> Finding:
    """Say what a difference means; `doubt_s` of it may come from measuring."""
    certain = max(0.0, abs(skew_s) - doubt_s)
    text = f"{whose} is {abs(skew_s):.1f} s {'ahead of' if skew_s > 0 else 'behind'} ours"
    if certain >= BAD_S:
        return bad(NAME, text, _REMEDY)
    if certain >= WARNING_S:
        return warning(NAME, text, _REMEDY)
    return good(NAME, f"{whose} agrees with ours")
