"""The provider's endpoints: routing, the checks before any message is looked at, and faults."""

from __future__ import annotations

import hmac
import re
import time
from functools import partial
from typing import Any

import orjson

from atum_ops.simulator import control, oddities, rules, search, texts
from atum_ops.simulator.faults import EFFECTS, FaultKind, Target, Truth
from atum_ops.simulator.injector import Fault
from atum_ops.simulator.sending import UNALTERED, rehearse, submit
from atum_ops.simulator.state import State
from atum_ops.simulator.wire import Answer, Connection, Request

TOKEN_HEADER = b"x-postmark-server-token"
TEST_TOKEN = b"POSTMARK_API_TEST"
DRIP_EVERY_S = 0.2
_DETAILS = re.compile(r"/messages/outbound/([^/]+)/details")
_HANGS = frozenset({FaultKind.HANG_BEFORE, FaultKind.HANG_AFTER, FaultKind.HANG_HALFWAY})
_RESETS = frozenset({FaultKind.RESET_BEFORE, FaultKind.RESET_AFTER})


class Service:
    """Handles every request of a simulator; one `State` behind it."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._control = control.Control(state)
        self._routes = {
            ("POST", "/email"): partial(self._email, in_batch=False),
            ("POST", "/email/batch"): partial(self._email, in_batch=True),
            ("GET", "/messages/outbound"): self._search,
            ("GET", "/server"): self._server,
            ("GET", "/message-streams"): self._streams,
        }

    def __call__(self, request: Request, connection: Connection) -> None:
        path = request.path.lower().rstrip("/")
        if path.startswith(control.PREFIX):
            self._control(request, connection)
            return
        self._state.counts["requests"] += 1
        handler = self._routes.get((request.method, path))
        details = _DETAILS.fullmatch(path) if handler is None and request.method == "GET" else None
        if handler is None and details is None:
            connection.answer(texts.json_answer({"ErrorCode": 404, "Message": texts.NOT_FOUND}, status=404))
        elif (refusal := self._check(request, sends=request.method == "POST")) is not None:
            connection.answer(refusal)
        elif details is not None:
            self._details(details[1], connection)
        elif handler is not None:
            handler(request, connection)

    # the checks every request goes through

    def _check(self, request: Request, *, sends: bool) -> Answer | None:
        headers = request.headers
        token = headers.get(TOKEN_HEADER, b"")
        known = hmac.compare_digest(token.lower(), self._state.config.token.encode().lower())
        if not known and not (sends and token == TEST_TOKEN):
            return texts.error(10, texts.BAD_TOKEN, status=401)
        if b"application/json" not in headers.get(b"accept", b"").lower():
            return texts.error(409, texts.BAD_HEADERS, status=415)
        if sends and b"application/json" not in headers.get(b"content-type", b"").lower():
            return texts.error(409, texts.BAD_HEADERS, status=415)
        return None

    # sending

    def _email(self, request: Request, connection: Connection, *, in_batch: bool) -> None:
        items = _messages(request, in_batch=in_batch)
        if isinstance(items, Answer):
            connection.answer(items)
            return
        state, config = self._state, self._state.config
        if request.headers.get(TOKEN_HEADER) == TEST_TOKEN:
            answers = rehearse(items, state.account, at=time.time(), in_batch=in_batch)
            connection.answer(oddities.honest(answers, in_batch=in_batch))
            return
        state.counts["sends"] += 1
        state.counts["offered"] += len(items)
        fault = state.injector.choose(items)
        latency_ms = config.latency_ms + config.latency_per_item_ms * len(items)
        if latency_ms:
            connection.loop.call_later(latency_ms / 1000, self._conclude, items, connection, fault, in_batch)
        else:
            self._conclude(items, connection, fault, in_batch)

    def _conclude(
        self, items: list[dict[str, Any]], connection: Connection, fault: Fault | None, in_batch: bool
    ) -> None:
        if fault is not None and EFFECTS[fault.rule.kind].truth is Truth.NOTHING:
            self._misbehave(fault, connection)
            return
        state = self._state
        try:
            answers = submit(
                items,
                state.account,
                state.ledger,
                request=state.next_request(),
                in_batch=in_batch,
                alterations=UNALTERED if fault is None else oddities.alterations(fault, items),
            )
        except OSError as error:
            connection.answer(
                texts.error(101, texts.INTERNAL.format(error_id=f"ledger: {error}"), status=500)
            )
            return
        state.counts["refused"] += sum(1 for answer in answers if answer["ErrorCode"])
        state.keep_content(items, answers)
        if state.index.active:
            state.index.advance(len(answers))
        if fault is None:
            connection.answer(oddities.honest(answers, in_batch=in_batch))
        else:
            self._misbehave(fault, connection, answers, in_batch=in_batch)

    def _misbehave(
        self,
        fault: Fault,
        connection: Connection,
        answers: list[dict[str, Any]] | None = None,
        *,
        in_batch: bool = False,
    ) -> None:
        kind, hang_s = fault.rule.kind, self._state.injector.plan.hang_s
        if kind in _HANGS:
            connection.hang(at_most_s=hang_s)
        elif kind in _RESETS:
            connection.reset()
        elif (answer := oddities.instead(fault)) is not None:
            connection.answer(answer)
        else:
            answer = oddities.distort(kind, answers or [], in_batch=in_batch)
            if kind is FaultKind.DRIP:
                connection.drip(answer, every_s=DRIP_EVERY_S, at_most_s=hang_s)
            elif kind is FaultKind.CUT_BODY:
                connection.cut(answer)
            else:
                connection.answer(answer)

    # reading

    def _search(self, request: Request, connection: Connection) -> None:
        state = self._state
        state.counts["searches"] += 1
        fault = state.injector.choose(target=Target.SEARCH)
        if fault is not None:
            self._misbehave(fault, connection)
            return
        try:
            query = search.parse_query(request.query)
        except search.BadQuery as error:
            connection.answer(texts.error(700, str(error)))
            return
        self._when_indexed(connection, partial(self._find, query, connection))

    def _find(self, query: search.Query, connection: Connection) -> None:
        ledger = self._state.ledger
        first = 1 if query.since is None else ledger.accepted_before(query.since) + 1
        last = self._state.visible()
        if query.before is not None:
            last = min(last, ledger.accepted_before(query.before))
        page = self._state.index.search(
            query.terms, first=first, last=last, offset=query.offset, count=query.count
        )
        connection.answer(search.page_answer(page))

    def _details(self, message_id: str, connection: Connection) -> None:
        self._when_indexed(connection, partial(self._show, message_id, connection))

    def _show(self, message_id: str, connection: Connection) -> None:
        seq = self._state.index.find_id(message_id)
        if seq is None or seq > self._state.visible():
            connection.answer(texts.error(701, texts.NO_MESSAGE))
            return
        text, html = self._state.content(message_id)
        connection.answer(
            texts.json_answer(search.details(self._state.ledger.record(seq), text=text, html=html))
        )

    def _when_indexed(self, connection: Connection, then: partial[None]) -> None:
        # In steps, so that the first search after a long run does not stop every other request.
        if self._state.index.behind:
            self._state.index.advance()
            connection.loop.call_soon(self._when_indexed, connection, then)
        else:
            then()

    def _server(self, _: Request, connection: Connection) -> None:
        connection.answer(texts.json_answer(texts.server(self._state.config.token)))

    def _streams(self, _: Request, connection: Connection) -> None:
        streams = [texts.stream(name, kind) for name, kind in self._state.config.streams.items()]
        connection.answer(texts.json_answer({"MessageStreams": streams, "TotalCount": len(streams)}))


def _messages(request: Request, *, in_batch: bool) -> list[dict[str, Any]] | Answer:
    most = rules.BATCH_BYTES if in_batch else rules.MESSAGE_BYTES
    if request.oversized or len(request.body) > most:
        return texts.html(413, "413 Request Entity Too Large")
    try:
        document = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        return texts.error(402, texts.BAD_JSON)
    items = document if in_batch else [document]
    if not isinstance(items, list) or not all(type(item) is dict for item in items):
        return texts.error(402, texts.BAD_JSON)
    for item in items:
        if wrong := rules.mistyped(item):
            return texts.error(403, texts.BAD_FIELDS.format(fields=", ".join(f"'{name}'" for name in wrong)))
    if len(items) > rules.BATCH_ITEMS:
        return texts.error(410, texts.TOO_MANY)
    return items
