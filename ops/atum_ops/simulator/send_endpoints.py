"""`POST /email` and `POST /email/batch` (Postmark developer docs, "Send a single email", "Send batch emails")."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from atum_ops.simulator import oddities, rules, texts
from atum_ops.simulator.exchange import Answer
from atum_ops.simulator.faults import EFFECTS, FaultKind, Truth
from atum_ops.simulator.fieldtypes import mistyped
from atum_ops.simulator.misbehaviour import misbehave
from atum_ops.simulator.sending import UNALTERED, rehearse, submit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from atum_ops.simulator.exchange import Request
    from atum_ops.simulator.faults import FaultPlan
    from atum_ops.simulator.injector import Fault
    from atum_ops.simulator.sending import Document
    from atum_ops.simulator.state import State
    from atum_ops.simulator.wire import Connection

Messages = list[dict[str, Any]]

#: How long an answer waits for events that are to come before it.
EARLY_S = 1.0


@dataclass(slots=True, kw_only=True)
class Submission:
    """A request that passed the checks of the whole, on its way to acceptance."""

    items: Messages
    body: bytes
    connection: Connection
    plan: FaultPlan
    fault: Fault | None
    in_batch: bool

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for it any more, which all but one kind of fault respect."""
        return self.connection.gone and (
            self.fault is None or self.fault.rule.kind is not FaultKind.ACCEPT_LATE
        )


class SendEndpoints:
    """Takes messages, after the configured latency, and answers honestly or as a fault demands."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._waiting: set[asyncio.Task[None]] = set()

    def single(self, request: Request, connection: Connection) -> None:
        """Handle `POST /email`."""
        self._take(request, connection, in_batch=False)

    def batch(self, request: Request, connection: Connection) -> None:
        """Handle `POST /email/batch`."""
        self._take(request, connection, in_batch=True)

    def rehearse(self, request: Request, connection: Connection, *, in_batch: bool) -> None:
        """Handle both for the token POSTMARK_API_TEST: no latency, no faults, nothing accepted."""
        items = read_messages(request, in_batch=in_batch)
        if not isinstance(items, Answer):
            answers = rehearse(items, self._state.account, at=time.time(), in_batch=in_batch)
            items = oddities.honest(answers, in_batch=in_batch)
        connection.answer(items)

    def _take(self, request: Request, connection: Connection, *, in_batch: bool) -> None:
        items = read_messages(request, in_batch=in_batch)
        if isinstance(items, Answer):
            connection.answer(items)
            return
        state = self._state
        state.counts["sends"] += 1
        if state.bucket is not None and (limited := self._limit(len(items))) is not None:
            connection.answer(limited)
            return
        state.counts["offered"] += len(items)
        plan, fault = state.injector.plan, state.injector.choose(items)
        submission = Submission(
            items=items,
            body=request.body,
            connection=connection,
            plan=plan,
            fault=fault,
            in_batch=in_batch,
        )
        latency_s = state.conditions.latency_s(len(items), state.latency_draw)
        if fault is not None and fault.rule.kind is FaultKind.ACCEPT_LATE:
            latency_s += plan.late_s
        if latency_s:
            connection.loop.call_later(latency_s, self._conclude, submission)
        else:
            self._conclude(submission)

    def _limit(self, messages: int) -> Answer | None:
        state = self._state
        wait_s = state.bucket.wait_s(messages, time.monotonic()) if state.bucket is not None else 0.0
        if not wait_s:
            return None
        state.counts["limited"] += 1
        extra = f"Retry-After: {math.ceil(wait_s)}\r\n" if state.conditions.rate_retry_after else ""
        return texts.error(429, texts.SLOW_DOWN, status=429, extra=extra)

    def _conclude(self, submission: Submission) -> None:
        fault = submission.fault
        if submission.abandoned:
            self._state.counts["abandoned"] += 1
            return
        if fault is not None and EFFECTS[fault.rule.kind].truth is Truth.NOTHING:
            misbehave(fault, submission.connection, submission.plan)
            return
        answers = self._accept(submission)
        if early := self._state.courier.take_early():
            self._answer_after(early, partial(self._answer, submission, answers))
        else:
            self._answer(submission, answers)

    def _answer(self, submission: Submission, answers: list[Document] | Answer) -> None:
        fault, connection, plan = submission.fault, submission.connection, submission.plan
        if isinstance(answers, Answer):
            connection.answer(answers)
        elif fault is not None:
            misbehave(fault, connection, plan, answers=answers, in_batch=submission.in_batch)
        else:
            connection.answer(oddities.honest(answers, in_batch=submission.in_batch))

    def _accept(self, submission: Submission) -> list[Document] | Answer:
        state, items, fault = self._state, submission.items, submission.fault
        alterations = UNALTERED if fault is None else oddities.alterations(fault, items)
        before = state.ledger.accepted
        try:
            answers = submit(
                items,
                state.account,
                state.ledger,
                request=state.next_request(),
                in_batch=submission.in_batch,
                alterations=alterations,
            )
        except OSError as error:
            return texts.error(101, texts.INTERNAL.format(error_id=f"ledger: {error}"), status=500)
        if state.lives.plan is not None:
            state.lives.follow(before)
        state.counts["refused"] += sum(1 for answer in answers if answer["ErrorCode"])
        state.contents.keep(submission.body, [answer.get("MessageID") for answer in answers])
        if state.index.active:
            state.index.advance(len(answers))
        return answers

    def _answer_after(self, early: list[asyncio.Future[None]], answer: Callable[[], None]) -> None:
        async def wait() -> None:
            await asyncio.wait(early, timeout=EARLY_S)
            answer()

        task = asyncio.get_running_loop().create_task(wait())
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)


def read_messages(
    request: Request,
    *,
    in_batch: bool,
    within: str | None = None,
    mistyped: Callable[[Mapping[str, Any]], list[str]] = mistyped,
) -> Messages | Answer:
    """Check what concerns a whole request, in order: size, JSON, field types, count; give its messages.

    A batch is an array, or an object that has it as its field `within`.
    """
    if request.oversized or len(request.body) > (rules.BATCH_BYTES if in_batch else rules.MESSAGE_BYTES):
        return texts.html(413, "413 Request Entity Too Large")
    try:
        document = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        return texts.error(402, texts.BAD_JSON)
    if in_batch and within is not None:
        document = document.get(within) if isinstance(document, dict) else None
    items = document if in_batch else [document]
    if not isinstance(items, list) or not all(type(item) is dict for item in items):
        return texts.error(402, texts.BAD_JSON)
    for item in items:
        if wrong := mistyped(item):
            return texts.error(403, texts.BAD_FIELDS.format(fields=", ".join(f"'{name}'" for name in wrong)))
    if len(items) > rules.BATCH_ITEMS:
        return texts.error(410, texts.TOO_MANY)
    return items
