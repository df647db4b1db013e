"""The composition of the webhook endpoint: its one path, health, and what lives as long as the process."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from atum_producers.api.bodies import Bodies
from atum_producers.api.correlation import Correlated
from atum_producers.api.metering import HttpMetering
from atum_producers.api.parts import Guard, keep_running
from atum_producers.api.problems import Kind, Problem
from atum_producers.api.routing import Routes
from atum_producers.api.writer import hurry
from atum_producers.webhooks import access, answers, sources
from atum_producers.webhooks.endpoint import Endpoint
from atum_producers.webhooks.health import Health
from atum_producers.webhooks.limits import Failures
from atum_producers.webhooks.metering import WebhookMetering, group
from atum_producers.webhooks.writer import Writer
from atum_schema import database
from atum_schema.errors import SettingsError
from atum_schema.metrics import Meter
from atum_schema.metrics_pools import watch_pools

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from atum_schema.settings import Settings

NAME: Final = "webhooks"

#: Transactions that store at the same time: while one waits for its commit, the next is filled.
_WRITERS: Final = 2
#: Bodies of those whose signature is not checked yet, in bytes: nobody who only claims one takes the room of the others.
_CLAIMS_BYTES: Final = 100_000_000
_HEALTH: Final = ("/healthz", "/readyz")


def application(settings: Settings, *, meter: Meter | None = None) -> ASGIApp:
    """Make the endpoint. Nothing is opened before it is started. Raises `SettingsError`.

    It is counted by `meter`, or by one that nobody reads.
    """
    meter = meter or Meter(NAME)
    path = settings.webhook_path
    if not path.startswith("/") or path in _HEALTH or not path.isprintable() or {*path} & {*"?# "}:
        raise SettingsError(
            "ATUM_WEBHOOK_PATH must begin with '/', be no path of health, and have none of ?, # and blanks"
        )
    keyring = settings.keyring()
    pool = database.async_pool(
        settings.database_url.get_secret_value(), name=NAME, size=_WRITERS + 2, configure=hurry
    )
    writer = Writer(pool, key_id=keyring.active, timeout_s=settings.api_store_timeout_s)
    timeout_s, largest = settings.api_body_timeout_s, settings.webhook_body_bytes
    endpoint = Endpoint(
        access=access.demanded(settings),
        sources=sources.known(settings),
        failures=Failures(now=time.monotonic()),
        bodies=Bodies(timeout_s=timeout_s, largest=largest),
        claims=Bodies(timeout_s=timeout_s, largest=largest, budget=_CLAIMS_BYTES),
        writer=writer,
        keyring=keyring,
        metering=WebhookMetering(meter),
    )
    watch_pools(meter, [pool])
    health = Health(pool, writer)

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await pool.open()
            stack.push_async_callback(pool.close)
            stack.push_async_callback(writer.count)
            for work in (
                writer.keep_time(),
                writer.keep_counting(),
                *[writer.run() for _ in range(_WRITERS)],
            ):
                keep_running(stack, work, name=NAME)
            yield

    others = Routes({"/healthz": {"GET": health.alive}, "/readyz": {"GET": health.ready}}, lifespan=lifespan)
    served = Correlated(Guard(_Paths(path, endpoint, others), _worded))
    return HttpMetering(served, meter, group(path))


class _Paths:
    """Hands the one busy path over at once, and everything else to a router."""

    def __init__(self, path: str, endpoint: ASGIApp, others: ASGIApp) -> None:
        self._path = path
        self._endpoint = endpoint
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        busy = scope["type"] == "http" and scope["path"] == self._path
        await (self._endpoint if busy else self._others)(scope, receive, send)


def _worded(scope: Scope, error: Exception) -> Response | None:
    del scope
    if not isinstance(error, Problem):
        return None
    if error.kind is Kind.INTERNAL_ERROR:
        detail = "an error of ours; the log of the endpoint has it"
        return answers.refusal(503, detail, headers={"Retry-After": "30"})
    status = error.kind.status
    return answers.refusal(status, HTTPStatus(status).phrase, headers=error.headers)
