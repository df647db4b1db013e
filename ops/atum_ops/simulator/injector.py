"""Decides, request by request, which fault fires. State of one run of a plan; the plan itself never changes."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atum_ops.simulator.faults import FaultKind, FaultPlan, FaultRule, Target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FIELDS = ("To", "Cc", "Bcc")
_NOTHING: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """A rule that fired, with the seed of whatever else is left to chance (which items of a batch fail)."""

    rule: FaultRule
    seed: str


class Injector:
    """Runs a `FaultPlan`: same plan and same requests in the same order, same faults. `fired` counts them by kind."""

    def __init__(self, plan: FaultPlan, fired: Counter[FaultKind] | None = None) -> None:
        self.plan = plan
        self.fired: Counter[FaultKind] = Counter() if fired is None else fired
        self._random = random.Random(plan.seed)  # noqa: S311 - reproducible, not secret
        self._requests = 0
        self._matched = [0] * len(plan.rules)
        self._hits = [0] * len(plan.rules)

    def choose(
        self, items: Sequence[Mapping[str, Any]] = _NOTHING, *, target: Target = Target.SEND
    ) -> Fault | None:
        """Give what fires for the next request, or None."""
        rules = self.plan.rules
        if not rules:
            return None
        draw = self._random.random()
        self._requests += 1
        reached = 0.0
        chosen: Fault | None = None
        for index, rule in enumerate(rules):
            if rule.target is not target or not applies(rule, items):
                continue
            self._matched[index] += 1
            if rule.nth is not None and self._matched[index] != rule.nth:
                continue
            if rule.max_count is not None and self._hits[index] >= rule.max_count:
                continue
            reached += rule.probability
            if chosen is None and draw < reached:
                chosen = Fault(rule, f"{self.plan.seed}:{self._requests}")
                self._hits[index] += 1
                self.fired[rule.kind] += 1
        return chosen


def applies(rule: FaultRule, items: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether some message meets the rule's conditions (always, when it has none)."""
    if rule.metadata_key is None and rule.recipient is None:
        return True
    return any(hits(rule, item) for item in items)


def hits(rule: FaultRule, item: Mapping[str, Any]) -> bool:
    """Say whether this one message meets the rule's conditions."""
    if rule.metadata_key is not None:
        value = (item.get("Metadata") or {}).get(rule.metadata_key)
        if value is None or (rule.metadata_value is not None and value != rule.metadata_value):
            return False
    return rule.recipient is None or any(rule.recipient in (item.get(name) or "") for name in _FIELDS)
