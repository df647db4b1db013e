"""The provider's read side: messages, server, streams (Postmark developer docs, "Messages API" and others)."""

from __future__ import annotations

import re
from email.utils import formatdate
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from atum_ops.simulator import search, texts
from atum_ops.simulator.faults import SEARCH_ONLY, FaultKind, Target
from atum_ops.simulator.index import Page
from atum_ops.simulator.misbehaviour import misbehave
from atum_ops.simulator.truth import message_events

if TYPE_CHECKING:
    from collections.abc import Callable

    from atum_ops.simulator.exchange import Request
    from atum_ops.simulator.injector import Fault
    from atum_ops.simulator.state import State
    from atum_ops.simulator.wire import Connection

STREAM = re.compile(r"/message-streams/([^/]+)/?", re.IGNORECASE)
DETAILS = re.compile(r"/messages/outbound/([^/]+)/details/?", re.IGNORECASE)


class ReadEndpoints:
    """Answers from the ledger, through the search index, which lags by the configured time."""

    def __init__(self, state: State) -> None:
        self._state = state

    def messages(self, request: Request, connection: Connection) -> None:
        """Handle `GET /messages/outbound`."""
        state = self._state
        state.counts["searches"] += 1
        fault = state.injector.choose(target=Target.SEARCH)
        if self._fails(fault, connection):
            return
        query = search.parse_query(request.query)
        if isinstance(query, texts.Refusal):
            connection.answer(texts.error(query.code, query.message))
        elif fault is not None and fault.rule.kind is FaultKind.SEARCH_EMPTY:
            connection.answer(search.page_answer(Page(0, [])))
        else:
            if fault is not None:
                query = search.unfiltered(query)
            self._when_indexed(connection, partial(self._find, query, connection))

    def details(self, request: Request, connection: Connection) -> None:
        """Handle `GET /messages/outbound/{id}/details`."""
        if self._fails(self._state.injector.choose(target=Target.SEARCH), connection):
            return
        match = DETAILS.fullmatch(request.path)
        message_id = match[1].lower() if match is not None else ""
        self._when_indexed(connection, partial(self._show, message_id, connection))

    def server(self, _: Request, connection: Connection) -> None:
        """Handle `GET /server`."""
        now = f"Date: {formatdate(usegmt=True)}\r\n"
        connection.answer(texts.json_answer(texts.server(self._state.config.token), extra=now))

    def streams(self, request: Request, connection: Connection) -> None:
        """Handle `GET /message-streams`, all or those of one `MessageStreamType`."""
        query = {key.lower(): value.lower() for key, value in parse_qsl(request.query)}
        wanted = query.get("messagestreamtype", "all")
        streams = [
            texts.stream(name, kind)
            for name, kind in self._state.config.streams.items()
            if wanted in {"all", kind.lower()}
        ]
        connection.answer(texts.json_answer({"MessageStreams": streams, "TotalCount": len(streams)}))

    def stream(self, request: Request, connection: Connection) -> None:
        """Handle `GET /message-streams/{id}`."""
        match = STREAM.fullmatch(request.path)
        name = self._state.account.stream_named(match[1] if match is not None else "")
        if name is None:
            connection.answer(texts.error(1226, texts.UNKNOWN_STREAM))
        else:
            connection.answer(texts.json_answer(texts.stream(name, self._state.config.streams[name])))

    def _fails(self, fault: Fault | None, connection: Connection) -> bool:
        if fault is None or fault.rule.kind in SEARCH_ONLY:
            return False
        misbehave(fault, connection, self._state.injector.plan)
        return True

    def _find(self, query: search.Query, connection: Connection) -> None:
        ledger = self._state.ledger
        first = 1 if query.since is None else ledger.accepted_before(query.since) + 1
        last = self._state.visible()
        if query.before is not None:
            last = min(last, ledger.accepted_before(query.before))
        page = self._state.index.search(
            query.terms,
            first=first,
            last=last,
            offset=query.offset,
            count=query.count,
            only=query.only,
        )
        connection.answer(search.page_answer(page))

    def _show(self, message_id: str, connection: Connection) -> None:
        seq = self._state.index.find_id(message_id)
        if seq is None or seq > self._state.visible():
            connection.answer(texts.error(701, texts.NO_MESSAGE))
            return
        kept = self._state.contents.get(message_id) or {}
        text, html = kept.get("TextBody", ""), kept.get("HtmlBody", "")
        record = self._state.ledger.record(seq)
        events = message_events(self._state.lives, record)
        connection.answer(texts.json_answer(search.details(record, text=text, html=html, events=events)))

    def _when_indexed(self, connection: Connection, then: Callable[[], None]) -> None:
        # In steps, so that the first search after a long run does not stop every other request.
        if self._state.index.behind:
            self._state.index.advance()
            connection.loop.call_soon(self._when_indexed, connection, then)
        else:
            then()
