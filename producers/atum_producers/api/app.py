"""The composition of the API: routes, what errors become, and what lives as long as the process."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

from atum_producers.api import openapi, postmark, writer
from atum_producers.api.access import Access
from atum_producers.api.bodies import Bodies
from atum_producers.api.correlation import Correlated
from atum_producers.api.documentation import Documentation
from atum_producers.api.health import Health
from atum_producers.api.mails import Mails
from atum_producers.api.metering import HttpMetering, endpoint_of
from atum_producers.api.parts import Guard, keep_running
from atum_producers.api.postmark import dialect
from atum_producers.api.postmark.texts import Refused
from atum_producers.api.problems import Problem, answer
from atum_producers.api.routing import Routes
from atum_producers.api.service import Service
from atum_producers.api.suppressions import Suppressions
from atum_producers.api.writer import Writer
from atum_schema import database
from atum_schema import metrics_catalogue as catalogue
from atum_schema.acceptance import LanePolicy
from atum_schema.metrics import Meter
from atum_schema.metrics_pools import watch_pools

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from starlette.responses import Response
    from starlette.types import ASGIApp, Scope

    from atum_producers.api.routing import Methods
    from atum_schema.settings import Settings

#: Transactions that store at the same time: while one waits for its commit, the next is filled.
_WRITERS: Final = 2
_READERS: Final = 4


def application(settings: Settings, *, meter: Meter | None = None) -> ASGIApp:
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
    async def lifespan(_app: object) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for pool in (writers, readers):
                await pool.open()
                stack.push_async_callback(pool.close)
            for work in (service.access.keep_fresh(), *[service.writer.run() for _ in range(_WRITERS)]):
                keep_running(stack, work, name="api")
            yield

    routes = Routes(endpoints(service), lifespan=lifespan, spelt=dialect.spelt)
    return HttpMetering(Correlated(Guard(routes, _worded)), meter, endpoint_of)


def endpoints(service: Service) -> Mapping[str, Methods]:
    """Give the endpoints of the API by path and method."""
    mails, health, documentation = Mails(service), Health(service), Documentation(openapi.document())
    suppressions = Suppressions(service)
    return {
        "/v1/mails": {"GET": mails.find, "POST": mails.enqueue},
        "/v1/mails/{id}": {"GET": mails.show, "DELETE": mails.cancel},
        "/v1/suppressions": {"GET": suppressions.find},
        # An address may have a slash in it.
        "/v1/suppressions/{stream}/{address:path}": {
            "PUT": suppressions.add,
            "DELETE": suppressions.remove,
        },
        "/healthz": {"GET": health.alive},
        "/readyz": {"GET": health.ready},
        "/docs": {"GET": documentation.page},
        "/openapi.json": {"GET": documentation.openapi},
        **postmark.endpoints(service),
    }


def _worded(scope: Scope, error: Exception) -> Response | None:
    """Answer in the way that the caller understands."""
    if isinstance(error, Problem):
        return dialect.answer(error) if dialect.is_spoken(scope) else answer(error)
    return dialect.refusal(error) if isinstance(error, Refused) else None
