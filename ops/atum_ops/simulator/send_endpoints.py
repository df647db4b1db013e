"""`POST /email` and `POST /email/batch` (Postmark developer docs, "Send a single email", "Send batch emails")."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from atum_ops.simulator import oddities, rules, texts
from atum_ops.simulator.faults import EFFECTS, Truth
from atum_ops.simulator.fieldtypes import mistyped
from atum_ops.simulator.misbehaviour import misbehave
from atum_ops.simulator.sending import UNALTERED, rehearse, submit
from atum_ops.simulator.wire import Answer

if TYPE_CHECKING:
    from atum_ops.simulator.injector import Fault
    from atum_ops.simulator.sending import Document
    from atum_ops.simulator.state import State
    from atum_ops.simulator.wire import Connection, Request

Messages = list[dict[str, Any]]


@dataclass(slots=True, kw_only=True)
class Submission:
    """A request that passed the checks of the whole, on its way to acceptance."""

    items: Messages
    connection: Connection
    fault: Fault | None
    in_batch: bool


class SendEndpoints:
    """Takes messages, after the configured latency, and answers honestly or as a fault demands."""

    def __init__(self, state: State) -> None:
        self._state = state

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
        state, config = self._state, self._state.config
        state.counts["sends"] += 1
        state.counts["offered"] += len(items)
        fault = state.injector.choose(items)
        submission = Submission(items=items, connection=connection, fault=fault, in_batch=in_batch)
        latency_ms = config.latency_ms + config.latency_per_item_ms * len(items)
        if latency_ms:
            connection.loop.call_later(latency_ms / 1000, self._conclude, submission)
        else:
            self._conclude(submission)

    def _conclude(self, submission: Submission) -> None:
        # Runs even when the client has gone meanwhile: the provider does not notice that either.
        fault, connection, in_batch = submission.fault, submission.connection, submission.in_batch
        hang_s = self._state.injector.plan.hang_s
        if fault is not None and EFFECTS[fault.rule.kind].truth is Truth.NOTHING:
            misbehave(fault, connection, hang_s=hang_s)
            return
        answers = self._accept(submission)
        if isinstance(answers, Answer):
            connection.answer(answers)
        elif fault is not None:
            misbehave(fault, connection, hang_s=hang_s, answers=answers, in_batch=in_batch)
        else:
            connection.answer(oddities.honest(answers, in_batch=in_batch))

    def _accept(self, submission: Submission) -> list[Document] | Answer:
        state, items, fault = self._state, submission.items, submission.fault
        alterations = UNALTERED if fault is None else oddities.alterations(fault, items)
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
        state.counts["refused"] += sum(1 for answer in answers if answer["ErrorCode"])
        state.keep_content(items, answers)
        if state.index.active:
            state.index.advance(len(answers))
        return answers


def read_messages(request: Request, *, in_batch: bool) -> Messages | Answer:
    """Check what concerns a whole request, in order: size, JSON, field types, count; give its messages."""
    if request.oversized or len(request.body) > (rules.BATCH_BYTES if in_batch else rules.MESSAGE_BYTES):
        return texts.html(413, "413 Request Entity Too Large")
    try:
        document = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        return texts.error(402, texts.BAD_JSON)
    items = document if in_batch else [document]
    if not isinstance(items, list) or not all(type(item) is dict for item in items):
        return texts.error(402, texts.BAD_JSON)
    for item in items:
        if wrong := mistyped(item):
            return texts.error(403, texts.BAD_FIELDS.format(fields=", ".join(f"'{name}'" for name in wrong)))
    if len(items) > rules.BATCH_ITEMS:
        return texts.error(410, texts.TOO_MANY)
    return items
