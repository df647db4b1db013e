"""The provider's front door: routes, token and header checks."""

from __future__ import annotations

import hmac
import re
from functools import partial
from typing import TYPE_CHECKING

from atum_ops.simulator import texts
from atum_ops.simulator.account_endpoints import AccountEndpoints
from atum_ops.simulator.bounce_endpoints import BounceEndpoints
from atum_ops.simulator.control import PREFIX
from atum_ops.simulator.inbox import Inbox, is_inbox
from atum_ops.simulator.read_endpoints import ReadEndpoints
from atum_ops.simulator.send_endpoints import SendEndpoints
from atum_ops.simulator.suppression_endpoints import SuppressionEndpoints
from atum_ops.simulator.template_endpoints import TemplateEndpoints
from atum_ops.simulator.webhook_endpoints import WebhookEndpoints

if TYPE_CHECKING:
    from atum_ops.simulator.control import Control
    from atum_ops.simulator.exchange import Answer, Request
    from atum_ops.simulator.state import State
    from atum_ops.simulator.wire import Connection, Handler

TOKEN_HEADER = b"x-postmark-server-token"
TEST_TOKEN = b"POSTMARK_API_TEST"
_JSON = b"application/json"
#: What is before and after the id in a path; the paths in front are those of collections.
_NAMED = re.compile(r"(/messages/outbound|/message-streams|/bounces|/webhooks|/domains|/senders)/[^/]+(/.*)?")


class Service:
    """Handles every request of a simulator; one `State` behind it. Paths are case-insensitive."""

    def __init__(self, state: State, control: Control) -> None:
        self._state = state
        self._control = control
        self._inbox = Inbox(state)
        send, templates = SendEndpoints(state), TemplateEndpoints(state)
        read, suppressions = ReadEndpoints(state), SuppressionEndpoints(state)
        self._account = account = AccountEndpoints(state)
        bounces, webhooks = BounceEndpoints(state), WebhookEndpoints(state)
        self._routes: dict[tuple[str, str], Handler] = {
            ("POST", "/email"): send.single,
            ("POST", "/email/batch"): send.batch,
            ("POST", "/email/withTemplate"): partial(templates.send, in_batch=False),
            ("POST", "/email/batchWithTemplates"): partial(templates.send, in_batch=True),
            ("GET", "/messages/outbound"): read.messages,
            ("GET", "/messages/outbound/{id}/details"): read.details,
            ("GET", "/server"): read.server,
            ("GET", "/message-streams"): read.streams,
            ("GET", "/message-streams/{id}"): read.stream,
            ("GET", "/message-streams/{id}/suppressions/dump"): suppressions.dump,
            ("POST", "/message-streams/{id}/suppressions"): suppressions.create,
            ("POST", "/message-streams/{id}/suppressions/delete"): suppressions.delete,
            ("GET", "/deliverystats"): bounces.statistics,
            ("GET", "/bounces"): bounces.list,
            ("GET", "/bounces/{id}"): bounces.single,
            ("GET", "/bounces/{id}/dump"): bounces.dump,
            ("PUT", "/bounces/{id}/activate"): bounces.activate,
            ("GET", "/webhooks"): webhooks.list,
            ("POST", "/webhooks"): webhooks.create,
            ("GET", "/webhooks/{id}"): webhooks.single,
            ("PUT", "/webhooks/{id}"): webhooks.edit,
            ("DELETE", "/webhooks/{id}"): webhooks.remove,
            ("POST", "/webhooks/{id}/verify"): webhooks.verify,
            ("GET", "/webhooks/{id}/statistics"): webhooks.statistics,
            ("GET", "/domains"): account.domains,
            ("GET", "/domains/{id}"): account.domain,
            ("GET", "/senders"): account.senders,
        }
        self._paths = {(method, path.lower()): handler for (method, path), handler in self._routes.items()}
        self._rehearsals: dict[tuple[str, str], Handler] = {
            ("POST", "/email"): partial(send.rehearse, in_batch=False),
            ("POST", "/email/batch"): partial(send.rehearse, in_batch=True),
            ("POST", "/email/withtemplate"): partial(templates.rehearse, in_batch=False),
            ("POST", "/email/batchwithtemplates"): partial(templates.rehearse, in_batch=True),
        }

    def __call__(self, request: Request, connection: Connection) -> None:
        """Answer one request, now or later."""
        path = request.path.lower().rstrip("/")
        if path.startswith(PREFIX):
            self._control(request, connection)
            return
        if is_inbox(request.method, path):
            connection.answer(self._inbox.answer(request))
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
        handler = self._paths.get((request.method, path))
        if handler is None and (match := _NAMED.fullmatch(path)) is not None:
            return self._paths.get((request.method, f"{match[1]}/{{id}}{match[2] or ''}"))
        return handler

    def _check(self, request: Request, path: str) -> Answer | None:
        headers = request.headers
        token = headers.get(TOKEN_HEADER, b"")
        testing = token == TEST_TOKEN and (request.method, path) in self._rehearsals
        if self._account.is_account(path):
            known = self._account.knows(request)
        else:
            known = testing or hmac.compare_digest(token.lower(), self._state.token)
        if not known:
            return texts.error(10, texts.UNAUTHORIZED, status=401)
        if _JSON not in headers.get(b"accept", b"").lower():
            return texts.error(409, texts.BAD_HEADERS, status=415)
        if request.method == "POST" and _JSON not in headers.get(b"content-type", b"").lower():
            return texts.error(409, texts.BAD_HEADERS, status=415)
        return None
