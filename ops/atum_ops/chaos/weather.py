"""What the simulated provider does, and the settings that make everything that waits wait for seconds."""

from __future__ import annotations

import random
from typing import Final

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.faults import EFFECTS, SEARCH_ONLY, FaultKind, FaultPlan, FaultRule, Target, Truth

#: Seconds until a search finds an accepted message, at most.
INDEX_LAG_S: Final = 2.0
LATE_S: Final = 1.5

#: Of relays, workers and producers. All that settling allows for is longer than anything that is done to them.
SETTINGS: Final = {
    "ATUM_CLAIM_LEASE_S": "3",
    "ATUM_REQUEST_TIMEOUT_S": "2.5",
    "ATUM_LEASE_MARGIN_S": "2",
    "ATUM_SETTLE_S": "1,3,9",
    "ATUM_SETTLE_WITHOUT_CONTROL_S": "15",
    "ATUM_POLL_S": "0.2",
    "ATUM_TICKET_LOST_AFTER_S": "3",
    "ATUM_PUBLISH_TIMEOUT_S": "2",
    "ATUM_PULL_AFTER_S": "1",
    "ATUM_RETRY_BASE_S": "0.2",
    "ATUM_RETRY_MAX_S": "2",
    "ATUM_PROBE_S": "0.2",
    "ATUM_PROBE_MAX_S": "1",
    "ATUM_PAUSE_PROBE_S": "0.5",
    "ATUM_BATCH_MAILS": "50",
    "ATUM_THREADS": "4",
    # Dramatiq's own: milliseconds until a lost consumer starts again.
    "dramatiq_restart_delay": "200",
}

_SHARE: Final = 0.004
# Each of these stops a lane until a probe is answered.
_SELDOM: Final = 0.0005
_STOPPING: Final = frozenset(
    {
        FaultKind.UNAUTHORIZED,
        FaultKind.IP_NOT_ALLOWED,
        FaultKind.NO_CREDITS,
        FaultKind.PENDING_APPROVAL,
        FaultKind.NOT_APPROVED,
        FaultKind.STREAM_UNKNOWN,
        FaultKind.STREAM_ARCHIVED,
        FaultKind.SENDER_UNKNOWN,
        FaultKind.SENDER_UNCONFIRMED,
    }
)
_SEARCHES: Final = 0.01


def provider(seed: int) -> SimulatorConfig:
    """Give the provider of a run: slow now and then, a lagging index, and every kind of fault at some share."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    return SimulatorConfig(
        seed=seed,
        latency_ms=round(rng.uniform(5, 40), 1),
        latency_tail=2.5,
        index_lag_s=round(rng.uniform(0.5, INDEX_LAG_S), 2),
        faults=FaultPlan(rules=_rules(), seed=seed, hang_s=10.0, late_s=LATE_S),
    )


def _rules() -> tuple[FaultRule, ...]:
    sends = [
        FaultRule(kind=kind, probability=_SELDOM if kind in _STOPPING else _SHARE)
        for kind in FaultKind
        if kind not in SEARCH_ONLY
    ]
    # `search_empty` says that nothing is there: a lie that no search can see through (case a of the bound), so it is
    # left out.
    searches = [
        FaultRule(kind=kind, probability=_SEARCHES, target=Target.SEARCH)
        for kind in FaultKind
        if kind is not FaultKind.SEARCH_EMPTY
        and kind not in _STOPPING
        and EFFECTS[kind].truth is Truth.NOTHING
    ]
    return (*sends, *searches)
