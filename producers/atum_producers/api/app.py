"""The composition of the API: routes, what errors become, and what lives as long as the process."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from atum_producers.api import openapi, postmark, writer
from atum_producers.api.access import Access
from atum_producers.api.bodies import Bodies
from atum_producers.api.correlation import Correlated
from atum_producers.api.documentation import Documentation
from atum_producers.api.health import Health
from atum_producers.api.mails import Mails
from atum_producers.api.metering import HttpMetering, endpoint_of
from atum_producers.api.parts import Guard, keep_running, route
from atum_producers.api.postmark import dialect
from atum_producers.api.postmark.dialect import Paths
from atum_producers.api.postmark.texts import Refused
from atum_producers.api.problems import Kind, Problem, answer
from atum_producers.api.service import Service
from atum_producers.api.suppressions import Suppressions
from atum_producers.api.writer import Writer
from atum_schema import database
from atum_schema import metrics_catalogue as catalogue
from atum_schema.acceptance import LanePolicy
from atum_schema.metrics import Meter
from atum_schema.metrics_pools import watch_pools

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route
    from starlette.types import Scope

    from atum_schema.settings import Settings

#: Transactions that store at the same time: while one waits for its commit, the next is filled.
_WRITERS: Final = 2
_READERS: Final = 4
_KINDS: Final = {404: Kind.NOT_FOUND, 405: Kind.METHOD_NOT_ALLOWED}


def application(settings: Settings, *, meter: Meter | None = None) -> Starlette:
    """Make the API. Nothing is opened before it is started. Raises `SettingsError`.

    It is counted by `meter`, or by one that nobody reads.
    """
    meter = meter or Meter("api")
    url = settings.database_url.get_secret_value()
    keyring = settings.keyring()
    writers = database.async_pool(url, name="api-writer", size=_WRITERS, configure=writer.hurry)
    readers = database.async_pool(url, name="api", size=_READERS)
    service = Service(
        access=Access(readers),
        bodies=Bodies(timeout_s=settings.api_body_timeout_s),
        writer=Writer(
            writers,
            key_id=keyring.active,
            timeout_s=settings.api_store_timeout_s,
            stored=meter.of(catalogue.MAILS_TAKEN).inc,
        ),
        pool=readers,
        lanes=LanePolicy(names=settings.lane_names),
        keyring=keyring,
        timeout_s=settings.api_store_timeout_s,
    )

    watch_pools(meter, [writers, readers])

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for pool in (writers, readers):
                await pool.open()
                stack.push_async_callback(pool.close)
            for work in (service.access.keep_fresh(), *[service.writer.run() for _ in range(_WRITERS)]):
                keep_running(stack, work, name="api")
            yield

    app = Starlette(
        routes=_routes(service),
        lifespan=lifespan,
        middleware=[
            Middleware(HttpMetering, meter=meter, group=endpoint_of),
            Middleware(Correlated),
            Middleware(Guard, worded=_worded),
            Middleware(Paths),
        ],
        exception_handlers={Problem: _problem, Refused: _refused, HTTPException: _http},
    )
    # A redirect would name the place that the client has named, and plain HTTP where a proxy does TLS.
    app.router.redirect_slashes = False
    return app


def _routes(service: Service) -> list[Route]:
    mails, health, documentation = Mails(service), Health(service), Documentation(openapi.document())
    suppressions = Suppressions(service)
    return [
        route("/v1/mails", GET=mails.find, POST=mails.enqueue),
        route("/v1/mails/{id}", GET=mails.show, DELETE=mails.cancel),
        route("/v1/suppressions", GET=suppressions.find),
        # An address may have a slash in it.
        route("/v1/suppressions/{stream}/{address:path}", PUT=suppressions.add, DELETE=suppressions.remove),
        route("/healthz", GET=health.alive),
        route("/readyz", GET=health.ready),
        route("/docs", GET=documentation.page),
        route("/openapi.json", GET=documentation.openapi),
        *[route(path, **methods) for path, methods in postmark.endpoints(service).items()],
    ]


def _worded(scope: Scope, problem: Problem) -> Response:
    """Answer in the way that the caller understands."""
    return dialect.answer(problem) if dialect.is_spoken(scope) else answer(problem)


async def _problem(request: Request, error: Exception) -> Response:
    if not isinstance(error, Problem):
        raise TypeError(error)
    return _worded(request.scope, error)


async def _refused(_request: Request, error: Exception) -> Response:
    if not isinstance(error, Refused):
        raise TypeError(error)
    return dialect.refusal(error)


async def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise TypeError(error)
    kind = _KINDS.get(error.status_code, Kind.BAD_REQUEST)
    detail = f"{request.method} is not supported here" if kind is Kind.METHOD_NOT_ALLOWED else "no such path"
    return _worded(request.scope, Problem(kind, detail, headers=error.headers))
