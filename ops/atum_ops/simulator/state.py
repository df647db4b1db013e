"""Everything a running simulator knows."""

from __future__ import annotations

import random
import secrets
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from atum_ops.simulator.contents import Contents
from atum_ops.simulator.courier import Courier
from atum_ops.simulator.entrance import Entrance
from atum_ops.simulator.index import Index
from atum_ops.simulator.injector import Injector
from atum_ops.simulator.ledger import Ledger
from atum_ops.simulator.lives import Lives
from atum_ops.simulator.ratelimit import Bucket
from atum_ops.simulator.rules import Account
from atum_ops.simulator.webhooks import Webhooks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from atum_ops.simulator.config import SimulatorConfig
    from atum_ops.simulator.fates import FatePlan
    from atum_ops.simulator.faults import FaultKind, FaultPlan
    from atum_ops.simulator.scenarios import Scenario
    from atum_ops.simulator.webhooks import Status, Webhook

_LISTED_DUPLICATES = 1000


class State:
    """One simulated Postmark server: ledger, search index, account, faults, conditions, counters.

    A scenario covers plan, conditions and token while it plays; what it covers stays as it was, or is changed by `use`
    and `tune`, and shows again afterwards.
    """

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.ledger = Ledger(config.ledger_path)
        self.index = Index(self.ledger)
        self.account = Account(streams=dict(config.streams), signatures=config.signatures)
        self.entrance = Entrance()
        self.counts: Counter[str] = Counter()
        self.requests = self.ledger.last_request
        self.webhooks = Webhooks(config.streams)
        self.webhooks.use(config.webhooks)
        self.courier = Courier(self.webhooks, config)
        self.lives = Lives(self.ledger, self.account.suppressions, self._first_fates())
        self.lives.tell, self.lives.early = self.courier.tell, self.courier.is_early
        self.contents = Contents(most=config.keep_content, most_bytes=config.keep_bytes)
        self._scenario: Scenario | None = None
        self._fired: Counter[FaultKind] = Counter()
        self._own_injector = Injector(config.plan(), self._fired)
        self._own_conditions = config.conditions()
        self._rate = (0.0, 0.0)
        self.bucket: Bucket | None = None
        self.latency_draw = _draw(self.plan)
        self._apply()

    @property
    def plan(self) -> FaultPlan:
        """The fault plan outside of scenarios."""
        return self._own_injector.plan

    def next_request(self) -> int:
        """Give the next sending request its number (from 1, going on after a restart with a ledger file)."""
        self.requests += 1
        return self.requests

    def visible(self) -> int:
        """Give the `seq` up to which messages can be found now."""
        return self.ledger.accepted_by(time.time() - self.conditions.index_lag_s)

    def use(self, plan: FaultPlan) -> None:
        """Start the plan from its beginning; the counts of what fired start over."""
        self._fired.clear()
        self._own_injector = Injector(plan, self._fired)
        self.latency_draw = _draw(plan)
        self._apply()

    def tune(self, changes: Mapping[str, Any]) -> None:
        """Change some of the conditions. Raises SettingsError when one is unknown or wrong."""
        self._own_conditions = self._own_conditions.but(changes)
        self._apply()

    def cover(self, scenario: Scenario | None) -> None:
        """Let a scenario cover plan, conditions and token, or none."""
        self._scenario = scenario
        self._apply()

    def reset(self) -> None:
        """Forget messages, counters, suppressions and tuning, and start the current plan from its beginning.

        Fates, webhooks and their faults are again as the simulator was started with.
        """
        self.ledger.clear()
        self.index = Index(self.ledger)
        self.account.suppressions.replace(())
        self.counts.clear()
        self.contents.clear()
        self.webhooks.use(self.config.webhooks)
        self.courier.clear(self.config.telling_faults())
        self.lives.clear(self._first_fates())
        self._own_conditions = self.config.conditions()
        self.use(self.plan)

    def register(self, webhook: Webhook, status: Status) -> None:
        """Keep a webhook, with all its types in one status; from the first one on, messages have fates."""
        webhook.become(status)
        self.webhooks.save(webhook)
        if self.lives.plan is None:
            self.lives.use(self.config.fate_plan())

    def change_suppression(self, stream: str, address: str, *, suppressed: bool) -> bool:
        """Suppress an address by hand or lift that, and tell; False when the customer may not."""
        suppressions = self.account.suppressions
        before = suppressions.at_last(stream, address)
        done = (suppressions.suppress if suppressed else suppressions.delete)(stream, address)
        if done and not suppressed:
            self.lives.bounces.activate(stream, address.lower())
        if done and (before is not None) is not suppressed:
            self.courier.tell_of_customer(stream, address.lower(), suppressed=suppressed)
        return done

    def _apply(self) -> None:
        scenario, plan = self._scenario, self.plan
        self.conditions = self._own_conditions
        self.injector = self._own_injector
        # What is asked for at every request is made here once, so that nothing but this knows of scenarios.
        self.token = self.config.token.encode().lower()
        if scenario is not None:
            self.conditions = self._own_conditions.but(scenario.conditions)
            self.injector = Injector(replace(plan, rules=scenario.rules), self._fired)
            if scenario.revoked:
                self.token = secrets.token_hex(32).encode()
        self.entrance.idle_s = self.conditions.idle_s
        self.account.suppressions.lag_s = self.conditions.suppression_lag_s
        rate = (self.conditions.rate_per_s, self.conditions.rate_burst)
        if rate != self._rate:
            self._rate = rate
            per_s, burst = rate
            self.bucket = Bucket(per_s=per_s, burst=burst, now=time.monotonic()) if per_s else None

    def fired(self) -> dict[str, int]:
        """Count the faults that fired, by kind."""
        return {str(kind): count for kind, count in self._fired.items()}

    def summary(self) -> dict[str, Any]:
        """Count: accepted messages, requests, distinct ids, duplicates, faults. JSON-ready."""
        repeated = self.ledger.repeated
        return {
            "accepted": self.ledger.accepted,
            "distinct": self.ledger.distinct,
            "unlabelled": self.ledger.unlabelled,
            "duplicates": len(repeated),
            "extra_copies": sum(repeated.values()) - len(repeated),
            "duplicate_ids": dict(list(repeated.items())[:_LISTED_DUPLICATES]),
            "requests": self.counts["requests"],
            "sends": self.counts["sends"],
            "offered": self.counts["offered"],
            "refused": self.counts["refused"],
            "searches": self.counts["searches"],
            "limited": self.counts["limited"],
            "abandoned": self.counts["abandoned"],
            "last_seq": self.ledger.accepted,
            "faults": self.fired(),
            "webhooks": dict(self.courier.counts),
        }

    def _first_fates(self) -> FatePlan | None:
        told = self.config.fates is not None or self.config.webhooks
        return self.config.fate_plan() if told else None


def _draw(plan: FaultPlan) -> random.Random:
    return random.Random(f"latency:{plan.seed}")  # noqa: S311 - reproducible, not secret
