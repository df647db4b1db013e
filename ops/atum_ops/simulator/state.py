"""Everything a running simulator knows."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any

from atum_ops.simulator.index import Index
from atum_ops.simulator.injector import Injector
from atum_ops.simulator.ledger import Ledger
from atum_ops.simulator.rules import Account

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_ops.simulator.config import SimulatorConfig
    from atum_ops.simulator.faults import FaultPlan

_LISTED_DUPLICATES = 1000


class State:
    """One simulated Postmark server: ledger, search index, account, fault plan, counters."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.ledger = Ledger(config.ledger_path)
        self.index = Index(self.ledger)
        self.injector = Injector(config.plan())
        self.account = Account(streams=dict(config.streams), signatures=config.signatures)
        self.counts: Counter[str] = Counter()
        self.requests = self.ledger.last_request
        self._content: OrderedDict[str, tuple[str, str]] = OrderedDict()

    def next_request(self) -> int:
        """Give the next sending request its number (from 1, going on after a restart with a ledger file)."""
        self.requests += 1
        return self.requests

    def visible(self) -> int:
        """Give the `seq` up to which messages can be found now."""
        return self.ledger.accepted_by(time.time() - self.config.index_lag_s)

    def use(self, plan: FaultPlan) -> None:
        """Start the plan from its beginning; the counts of what fired start over."""
        self.injector = Injector(plan)

    def reset(self) -> None:
        """Forget messages, counters and inactive addresses, and start the current plan from its beginning."""
        self.ledger.clear()
        self.index = Index(self.ledger)
        self.account.inactive.clear()
        self.counts.clear()
        self._content.clear()
        self.use(self.injector.plan)

    def keep_content(self, items: Sequence[Any], answers: Sequence[dict[str, Any]]) -> None:
        """Keep the bodies of the latest accepted messages for `/details`."""
        most = self.config.keep_content
        if not most:
            return
        content = self._content
        for item, answer in zip(items[-most:], answers[-most:], strict=False):
            message_id = answer.get("MessageID")
            if message_id is not None:
                content[message_id] = (item.get("TextBody") or "", item.get("HtmlBody") or "")
        while len(content) > most:
            content.popitem(last=False)

    def content(self, message_id: str) -> tuple[str, str]:
        """Give text and HTML body, or two empty strings when they are no longer kept."""
        return self._content.get(message_id, ("", ""))

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
            "last_seq": self.ledger.accepted,
            "faults": {str(kind): count for kind, count in self.injector.fired.items()},
        }
