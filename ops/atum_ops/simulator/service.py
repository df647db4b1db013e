"""The provider's front door: routes, token and header checks."""

from __future__ import annotations

import hmac
from functools import partial
from typing import TYPE_CHECKING

from atum_ops.simulator import texts
from atum_ops.simulator.control import PREFIX
from atum_ops.simulator.read_endpoints import DETAILS, ReadEndpoints
from atum_ops.simulator.send_endpoints import SendEndpoints

if TYPE_CHECKING:
    from atum_ops.simulator.control import Control
    from atum_ops.simulator.exchange import Answer, Request
    from atum_ops.simulator.state import State
    from atum_ops.simulator.wire import Connection, Handler

TOKEN_HEADER = b"x-postmark-server-token"
TEST_TOKEN = b"POSTMARK_API_TEST"
_JSON = b"application/json"


class Service:
    """Handles every request of a simulator; one `State` behind it. Paths are case-insensitive."""

    def __init__(self, state: State, control: Control) -> None:
        self._state = state
        self._control = control
        send, self._read = SendEndpoints(state), ReadEndpoints(state)
        self._routes: dict[tuple[str, str], Handler] = {
            ("POST", "/email"): send.single,
            ("POST", "/email/batch"): send.batch,
            ("GET", "/messages/outbound"): self._read.messages,
            ("GET", "/server"): self._read.server,
            ("GET", "/message-streams"): self._read.streams,
        }
        self._rehearsals: dict[tuple[str, str], Handler] = {
            ("POST", "/email"): partial(send.rehearse, in_batch=False),
            ("POST", "/email/batch"): partial(send.rehearse, in_batch=True),
        }

    def __call__(self, request: Request, connection: Connection) -> None:
        """Answer one request, now or later."""
        path = request.path.lower().rstrip("/")
        if path.startswith(PREFIX):
            self._control(request, connection)
            return
        self._state.counts["requests"] += 1
        handler = self._route(request, path)
        if handler is None:
            connection.answer(texts.error(404, texts.NOT_FOUND, status=404))
        elif (refusal := self._check(request, path)) is not None:
            connection.answer(refusal)
        elif request.headers.get(TOKEN_HEADER) == TEST_TOKEN:
            self._rehearsals[request.method, path](request, connection)
        else:
            handler(request, connection)

    def _route(self, request: Request, path: str) -> Handler | None:
        handler = self._routes.get((request.method, path))
        if handler is None and request.method == "GET" and DETAILS.fullmatch(path):
            return self._read.details
        return handler

    def _check(self, request: Request, path: str) -> Answer | None:
        headers = request.headers
        token = headers.get(TOKEN_HEADER, b"")
        testing = token == TEST_TOKEN and (request.method, path) in self._rehearsals
        if not testing and not hmac.compare_digest(token.lower(), self._state.token):
            return texts.error(10, texts.UNAUTHORIZED, status=401)
        if _JSON not in headers.get(b"accept", b"").lower():
            return texts.error(409, texts.BAD_HEADERS, status=415)
        if request.method == "POST" and _JSON not in headers.get(b"content-type", b"").lower():
            return texts.error(409, texts.BAD_HEADERS, status=415)
        return None
