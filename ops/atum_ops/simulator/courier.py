"""Sends events to webhooks as the provider does: one per POST, and again up the ladder when it is not taken."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson
from uuid_utils import uuid4

from atum_ops.simulator.fates import fractions
from atum_ops.simulator.lives import mail_of, recipients_of
from atum_ops.simulator.webhook_client import WebhookClient
from atum_ops.simulator.webhook_events import events, probe, subscription
from atum_ops.simulator.webhook_faults import WebhookFaults, posts
from atum_ops.simulator.webhook_ladder import Verdict, judge, ladder_s
from atum_ops.simulator.webhooks import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_ops.simulator.config import SimulatorConfig
    from atum_ops.simulator.lives import Happened
    from atum_ops.simulator.webhook_events import Event
    from atum_ops.simulator.webhooks import Webhook, Webhooks

_CONTENT: Final = "Return-Path: <>\r\nSubject: Undelivered Mail\r\n\r\nThis is the content of the bounce.\r\n"
_DRAWS: Final = 7


@dataclass(slots=True, eq=False, kw_only=True)
class Delivery:
    """One event on its way to one webhook. `attempted` is done after the first attempt, however it ended."""

    webhook_id: int
    record_type: str
    body: bytes
    trace: str
    ladder: tuple[float, ...]
    tried: int = 0
    attempted: asyncio.Future[None] | None = field(default=None)


class Courier:
    """Posts what happens to the webhooks that want it. Needs a running loop once something happens."""

    def __init__(self, webhooks: Webhooks, config: SimulatorConfig) -> None:
        self.counts: Counter[str] = Counter()
        self.faults = config.telling_faults()
        self._webhooks = webhooks
        self._config = config
        self._client = WebhookClient(timeout_s=config.webhook_timeout_s)
        self._waiting: deque[Delivery] = deque()
        self._later: dict[Delivery, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._early: list[asyncio.Future[None]] = []

    @property
    def pending(self) -> int:
        """How many deliveries wait, are being made, or are to be made later."""
        return len(self._waiting) + len(self._tasks) + len(self._later)

    def use(self, faults: WebhookFaults) -> None:
        """Let these faults hit what happens from now on; counts go on."""
        self.faults = faults

    def is_early(self, mail: str) -> bool:
        """Say whether the first event of a mail is to be posted before its sending request is answered."""
        return bool(self._webhooks) and self.faults.hurries(mail)

    def take_early(self) -> list[asyncio.Future[None]]:
        """Give what the answer of the request that was just accepted is to wait for."""
        early, self._early = self._early, []
        return early

    def tell(self, happened: Happened) -> None:
        """Post the events of a step."""
        if not self._webhooks:
            return
        record = happened.record
        about = (mail_of(record), happened.recipient, happened.step.what)
        for event in events(happened):
            self._tell(event, about, recipients=len(recipients_of(record)), early=happened.early)

    def tell_of_customer(self, stream: str, address: str, *, suppressed: bool) -> None:
        """Post that a customer suppressed an address or took that back."""
        at = time.time()
        reason = "ManualSuppression" if suppressed else None
        event = subscription(stream, address, at, reason=reason, origin="Customer")
        self._tell(event, (address, at, reason), recipients=0)

    async def verify(self, webhook: Webhook) -> dict[str, int | None]:
        """Post a sample of each type that a webhook wants; give the status of each answer, None: there was none."""
        bodies = [
            orjson.dumps(probe(kind, webhook.settings["MessageStream"], time.time()))
            for kind in webhook.enabled
        ]
        answers = await asyncio.gather(*(self._post(webhook, body, str(uuid4()), 0) for body in bodies))
        return dict(zip(webhook.enabled, answers, strict=True))

    def clear(self, faults: WebhookFaults) -> None:
        """Forget what was to be posted, the counts, and the faults but for these."""
        self.stop()
        self.counts.clear()
        self.faults = faults

    def stop(self) -> None:
        """Post nothing any more, and close every connection."""
        for timer in self._later.values():
            timer.cancel()
        for task in self._tasks:
            task.cancel()
        self._later.clear()
        self._tasks.clear()
        self._waiting.clear()
        self._client.close()

    def _tell(self, event: Event, about: Sequence[object], *, recipients: int, early: bool = False) -> None:
        kind = event["RecordType"]
        wanting = [one for one in self._webhooks.all(event["MessageStream"]) if one.wants(kind)]
        if not wanting:
            return
        self.counts["events"] += 1
        if self.faults.outage == "lost":
            self.counts["lost"] += 1
            return
        hits = self.faults.hits(kind, *about)
        if early:
            hits -= {"lost", "late", "reordered"}
            self.counts["early"] += 1
        self.counts.update(hits)
        draws = fractions(self.faults.seed, "draws", kind, *about, count=_DRAWS)
        trace = str(uuid4())
        for webhook in wanting:
            for post in posts(event, hits, self.faults, recipients=recipients, draws=draws):
                delivery = Delivery(
                    webhook_id=webhook.id,
                    record_type=kind,
                    body=orjson.dumps(_with_content(post.event, webhook)),
                    trace=str(uuid4()) if post.own_trace else trace,
                    ladder=ladder_s(self._config.retry_rules, kind),
                )
                if early:
                    delivery.attempted = asyncio.get_running_loop().create_future()
                    self._early.append(delivery.attempted)
                self._post_after(delivery, post.after_s)

    def _post_after(self, delivery: Delivery, after_s: float) -> None:
        if after_s:
            loop = asyncio.get_running_loop()
            self._later[delivery] = loop.call_later(after_s * self._config.time_scale, self._due, delivery)
        else:
            self._waiting.append(delivery)
            self._go_on()

    def _due(self, delivery: Delivery) -> None:
        self._later.pop(delivery, None)
        self._waiting.append(delivery)
        self._go_on()

    def _go_on(self) -> None:
        if self._waiting and len(self._tasks) < self._config.webhook_connections:
            task = asyncio.get_running_loop().create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._worked)

    def _worked(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._go_on()

    async def _work(self) -> None:
        while self._waiting:
            delivery = self._waiting.popleft()
            try:
                await self._attempt(delivery)
            finally:
                if delivery.attempted is not None and not delivery.attempted.done():
                    delivery.attempted.set_result(None)

    async def _attempt(self, delivery: Delivery) -> None:
        webhook, kind = self._webhooks.get(delivery.webhook_id), delivery.record_type
        if webhook is None:
            self.counts["unregistered"] += 1
            return
        if webhook.statuses.get(kind) is not Status.ACTIVE:
            self._count(webhook, kind, "paused")
            return
        remaining = len(delivery.ladder) - delivery.tried
        self.counts["posts"] += 1
        failing = self.faults.outage == "failing"
        status = None if failing else await self._post(webhook, delivery.body, delivery.trace, remaining)
        verdict = judge(self._config.retry_rules, status)
        if verdict is Verdict.TAKEN:
            webhook.failures[kind] = 0
            self._count(webhook, kind, "taken")
        elif verdict is Verdict.RETRY and remaining:
            self._count(webhook, kind, "retried")
            delivery.tried += 1
            self._post_after(delivery, delivery.ladder[delivery.tried - 1])
        else:
            self._count(webhook, kind, "dropped" if verdict is Verdict.DROP else "exhausted")
            self._give_up(webhook, kind)

    def _give_up(self, webhook: Webhook, kind: str) -> None:
        webhook.failures[kind] += 1
        if webhook.failures[kind] >= self._config.webhook_pause_after:
            webhook.statuses[kind] = Status.PAUSED

    def _count(self, webhook: Webhook, kind: str, what: str) -> None:
        self.counts[what] += 1
        webhook.totals[kind][what] += 1

    async def _post(self, webhook: Webhook, body: bytes, trace: str, remaining: int) -> int | None:
        headers = [
            ("User-Agent", "Postmark"),
            ("Content-Type", "application/json"),
            ("Accept", "*/*"),
            ("X-PM-Webhook-Trace-Id", trace),
            ("X-PM-Retries-Remaining", str(remaining)),
            *webhook.headers(),
        ]
        return await self._client.post(webhook.url, headers, body)


def _with_content(event: Event, webhook: Webhook) -> dict[str, Any]:
    trigger = webhook.settings["Triggers"].get(event["RecordType"], {})
    return {**event, "Content": _CONTENT} if trigger.get("IncludeContent") else event
