"""Taking one event: who tells it, whether that may be, and storing it. Exactly 200, and only once it is stored.

Postmark repeats what is answered with 5xx, 408 or 429, and drops what is answered with any other 4xx (Postmark developer
docs, "Webhooks", retries). So nothing that may pass is answered with a 4xx of that kind.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from starlette.requests import ClientDisconnect, Request

from atum_producers.api.problems import Kind, Problem, unavailable
from atum_producers.webhooks import answers, events
from atum_producers.webhooks.access import Standing
from atum_producers.webhooks.sources import neighbourhood
from atum_schema.seldom import Seldom

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from atum_producers.api.bodies import Bodies
    from atum_producers.webhooks.access import Access
    from atum_producers.webhooks.limits import Failures
    from atum_producers.webhooks.metering import WebhookMetering
    from atum_producers.webhooks.sources import Address, Sources
    from atum_producers.webhooks.writer import Writer
    from atum_schema.encryption import Keyring

log = logging.getLogger(__name__)

_T = TypeVar("_T")

_TRACE: Final = b"x-pm-webhook-trace-id"
_FORWARDED: Final = b"x-forwarded-for"
# Above this, a body is worked on beside the event loop, so that others need not wait for it.
_LARGE_BODY: Final = 64 * 1024
_REASONS: Final = {Kind.TOO_LARGE: "too large", Kind.TOO_SLOW: "too slow", Kind.UNAVAILABLE: "not stored"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What taking events needs, as an ASGI application of its own; one per process."""

    access: Access
    sources: Sources
    failures: Failures
    #: For those who have shown who they are; `claims` is for those whose signature only the body can show.
    bodies: Bodies
    claims: Bodies
    writer: Writer
    keyring: Keyring
    metering: WebhookMetering
    _complaints: Seldom = field(default_factory=Seldom)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._answer(scope, receive)
        await answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> ASGIApp:
        if scope["method"] != "POST":
            return answers.refusal(405, "only POST is supported here", headers={"Allow": "POST"})
        try:
            return await self._take(Request(scope, receive), dict(scope["headers"]))
        except Problem as problem:
            self._refused(_REASONS.get(problem.kind, "other"))
            return answers.refusal(problem.kind.status, problem.detail, headers=problem.headers)
        except ClientDisconnect:
            # Nobody reads this.
            return answers.refusal(408, "the body was not complete")

    async def _take(self, request: Request, headers: Mapping[bytes, bytes]) -> ASGIApp:
        standing = self.access.standing(headers, now=time.time())
        if standing is Standing.GENUINE:
            return await self._told(request, headers)
        if standing is Standing.CLAIMED:
            return await self._claimed(request, headers)
        return self._stranger(request, "credentials")

    async def _told(self, request: Request, headers: Mapping[bytes, bytes]) -> ASGIApp:
        if not self._is_inside(request):
            return self._elsewhere()
        body = await self.bodies.read(request)
        trace = headers.get(_TRACE, b"").decode("latin-1")
        return await self._store(body, trace=trace or None)

    async def _claimed(self, request: Request, headers: Mapping[bytes, bytes]) -> ASGIApp:
        body = await self.claims.read(request)
        if not await _aside(len(body), lambda: self.access.is_signed(headers, body)):
            return self._stranger(request, "signature")
        if not self._is_inside(request):
            return self._elsewhere()
        # The signature does not cover the trace id: with another one, the same request would be another event.
        return await self._store(body, trace=None)

    async def _store(self, body: bytes, *, trace: str | None) -> ASGIApp:
        arrival, about = await _aside(len(body), lambda: events.made(body, keyring=self.keyring, trace=trace))
        new = await self.writer.store(arrival)
        self.metering.stored(about, new=new)
        return answers.stored(duplicate=not new)

    def _is_inside(self, request: Request) -> bool:
        return self.sources.allowed is None or self.sources.allows(self._client(request))

    def _client(self, request: Request) -> Address | None:
        scope = request.scope
        peer = scope["client"][0] if scope.get("client") else None
        lines = (value.decode("latin-1") for name, value in scope["headers"] if name == _FORWARDED)
        return self.sources.client(peer, lines)

    def _stranger(self, request: Request, what: str) -> ASGIApp:
        """Refuse who has not shown who it is."""
        client = self._client(request)
        wait_s = self.failures.wait_s(neighbourhood(client), now=time.monotonic())
        if wait_s:
            self._refused("too many")
            headers = {"Retry-After": str(math.ceil(wait_s))}
            return answers.refusal(429, "too many requests that did not show who sent them", headers=headers)
        if not self.sources.allows(client):
            self._refused("stranger")
            return answers.refusal(403, "nothing is taken from there")
        self._refused(what)
        if self._complaints.due():
            log.warning("webhooks: refused a request", extra={"reason": what})
        headers = {"WWW-Authenticate": 'Basic realm="atum-mailer webhooks"'}
        return answers.refusal(401, "the credentials of this endpoint are needed", headers=headers)

    def _refused(self, reason: str) -> None:
        """Count a request that was not taken: for ever, and in this process."""
        self.writer.refused(reason)
        self.metering.refused(reason)

    def _elsewhere(self) -> ASGIApp:
        """Put off a genuine event from an address outside the list: the provider has got a new one, or a key has leaked."""
        self._refused("elsewhere")
        if self._complaints.due():
            log.error(
                "webhooks: a genuine request came from outside ATUM_WEBHOOK_ALLOW; it was told to come again"
            )
        problem = unavailable("nothing is taken from there yet", retry_after_s=60)
        return answers.refusal(problem.kind.status, problem.detail, headers=problem.headers)


async def _aside(size: int, work: Callable[[], _T]) -> _T:
    """Do pure work on a body of `size` bytes, beside the event loop if it is large."""
    return work() if size <= _LARGE_BODY else await asyncio.to_thread(work)
