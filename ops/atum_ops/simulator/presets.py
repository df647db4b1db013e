"""Fault plans with names, for people."""

from __future__ import annotations

from atum_ops.simulator.faults import SEARCH_ONLY, FaultKind, FaultPlan, FaultRule, Target
from atum_schema.errors import SettingsError

_DEFAULT: dict[FaultKind, float] = {
    FaultKind.RATE_LIMIT: 0.01,
    FaultKind.RATE_LIMIT_RETRY_AFTER: 0.01,
    FaultKind.SERVER_ERROR_BEFORE: 0.01,
    FaultKind.SERVER_ERROR_AFTER: 0.01,
    FaultKind.MAINTENANCE: 0.005,
    FaultKind.MAINTENANCE_HTML: 0.005,
    FaultKind.BAD_GATEWAY_BEFORE: 0.0025,
    FaultKind.BAD_GATEWAY_AFTER: 0.0025,
    FaultKind.GATEWAY_TIMEOUT_BEFORE: 0.0025,
    FaultKind.GATEWAY_TIMEOUT_AFTER: 0.0025,
    FaultKind.HANG_BEFORE: 0.005,
    FaultKind.HANG_AFTER: 0.005,
    FaultKind.HANG_HALFWAY: 0.005,
    FaultKind.RESET_BEFORE: 0.005,
    FaultKind.RESET_AFTER: 0.005,
    FaultKind.CUT_BODY: 0.005,
    FaultKind.DRIP: 0.0025,
    FaultKind.MIXED: 0.02,
    FaultKind.DELAYED: 0.01,
    FaultKind.PARTIAL_INACTIVE: 0.01,
    FaultKind.PARTIAL_INACTIVE_LONG: 0.005,
    FaultKind.TRUNCATED_JSON: 0.01,
    FaultKind.SHORT_ARRAY: 0.01,
    FaultKind.CODE_AS_STRING: 0.01,
    FaultKind.HTML_200: 0.01,
    FaultKind.CUT_CHUNKED: 0.005,
    FaultKind.CLOSED_AFTER: 0.005,
    FaultKind.EXTRA_FIELDS: 0.005,
    FaultKind.MISSING_TO: 0.005,
}
_OUTAGE = (FaultKind.MAINTENANCE, FaultKind.MAINTENANCE_HTML, FaultKind.SERVER_ERROR_BEFORE)
_AMBIGUOUS = (
    FaultKind.SERVER_ERROR_AFTER,
    FaultKind.HANG_AFTER,
    FaultKind.HANG_HALFWAY,
    FaultKind.RESET_BEFORE,
    FaultKind.RESET_AFTER,
    FaultKind.CUT_BODY,
    FaultKind.TRUNCATED_JSON,
    FaultKind.SHORT_ARRAY,
)

#: `default` leaves out what stops a lane, a sender or a mail: not every mail would be resolved.
PRESETS: dict[str, tuple[FaultRule, ...]] = {
    "none": (),
    "default": tuple(FaultRule(kind=kind, probability=chance) for kind, chance in _DEFAULT.items()),
    "outage": tuple(FaultRule(kind=kind, probability=1 / len(_OUTAGE)) for kind in _OUTAGE),
    "ambiguous": tuple(FaultRule(kind=kind, probability=0.05) for kind in _AMBIGUOUS),
    "blind": (FaultRule(kind=FaultKind.MAINTENANCE, target=Target.SEARCH),),
}


def preset(name: str, *, seed: int = 0) -> FaultPlan:
    """Give the plan of that name; the name of a kind stands for a plan in which it hits every request it can.

    Raises SettingsError, listing the presets, when there is none.
    """
    if name in PRESETS:
        return FaultPlan(rules=PRESETS[name], seed=seed)
    if name not in set(FaultKind):
        raise SettingsError(
            f"no fault preset {name!r}; there are {', '.join(PRESETS)}, and every kind of fault"
        )
    kind = FaultKind(name)
    target = Target.SEARCH if kind in SEARCH_ONLY else Target.SEND
    return FaultPlan(rules=(FaultRule(kind=kind, target=target),), seed=seed)
