"""What can be played for a while, for game days: faults, conditions and a door, under a name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from atum_ops.simulator.entrance import Door
from atum_ops.simulator.faults import EFFECTS, FaultKind, FaultRule, Target, Truth

if TYPE_CHECKING:
    from collections.abc import Mapping

K = FaultKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One thing to play, in place of the fault plan and on top of the conditions.

    `says` tells people what happens. `refused_s` is for how long at a time nothing listens (0: never; infinite: all
    the time), `listening_s` for how long it listens in between. While `revoked`, no token is right.
    """

    says: str
    rules: tuple[FaultRule, ...] = ()
    conditions: Mapping[str, float | bool] = field(default_factory=dict)
    door: Door = Door.OPEN
    refused_s: float = 0.0
    listening_s: float = 0.0
    revoked: bool = False


def _mix(kinds: Mapping[FaultKind, float], *targets: Target) -> tuple[FaultRule, ...]:
    return tuple(
        FaultRule(kind=kind, probability=share, target=target)
        for target in targets
        for kind, share in kinds.items()
        if target is Target.SEND or EFFECTS[kind].truth is Truth.NOTHING
    )


_DOWN = {K.MAINTENANCE: 0.3, K.MAINTENANCE_HTML: 0.2, K.BAD_GATEWAY_BEFORE: 0.3, K.RESET_BEFORE: 0.2}
_SHAKY = {
    K.MAINTENANCE: 0.1,
    K.SERVER_ERROR_BEFORE: 0.05,
    K.SERVER_ERROR_AFTER: 0.02,
    K.BAD_GATEWAY_BEFORE: 0.03,
    K.BAD_GATEWAY_AFTER: 0.02,
    K.GATEWAY_TIMEOUT_AFTER: 0.02,
    K.HANG_BEFORE: 0.01,
    K.HANG_AFTER: 0.01,
    K.RESET_BEFORE: 0.02,
    K.RESET_AFTER: 0.02,
}
_ALWAYS = float("inf")

SCENARIOS: dict[str, Scenario] = {
    "outage": Scenario(
        says="everything fails with 503, 502 or a reset; for one second in five nothing listens; nothing is accepted",
        rules=_mix(_DOWN, Target.SEND, Target.SEARCH),
        refused_s=1.0,
        listening_s=4.0,
    ),
    "brownout": Scenario(
        says="three requests in ten fail, before or after acceptance; the others are slow",
        rules=_mix(_SHAKY, Target.SEND, Target.SEARCH),
        conditions={"latency_ms": 300.0, "latency_tail": 1.5},
    ),
    "slow": Scenario(
        says="answers take half a second and more; one in a hundred takes ten times as long and more",
        conditions={"latency_ms": 500.0, "latency_tail": 2.0},
    ),
    "rate-limit": Scenario(
        says="429 with Retry-After above 50 messages per second",
        conditions={"rate_per_s": 50.0, "rate_burst": 50.0, "rate_retry_after": True},
    ),
    "revoked-token": Scenario(says="no token is valid: 401", revoked=True),
    "unapproved": Scenario(
        says="the account may not send: every message fails with ErrorCode 413",
        rules=(FaultRule(kind=K.NOT_APPROVED),),
    ),
    "search-down": Scenario(
        says="searches fail with 503, sending works",
        rules=(FaultRule(kind=K.MAINTENANCE, target=Target.SEARCH),),
    ),
    "search-lag": Scenario(
        says="what was accepted in the last two minutes is not found", conditions={"index_lag_s": 120.0}
    ),
    "refused": Scenario(says="nothing listens: connections are refused", refused_s=_ALWAYS),
    "reset": Scenario(says="connections are taken and reset before a request is read", door=Door.RESET),
    "stalled": Scenario(says="connections are taken and nothing is read from them", door=Door.STALL),
}
