"""`/healthz` and `/readyz` of the endpoint: whether this process works, and whether it could store an event now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atum_producers.api.health import Probe, stuck
from atum_producers.api.mails import json
from atum_producers.webhooks.inbox_store import PROBE

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool
    from starlette.requests import Request
    from starlette.responses import Response

    from atum_producers.webhooks.writer import Writer
    from atum_schema.database import AsyncConnection


class Health:
    """Both endpoints. Neither needs credentials; neither tells more than words of ours."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection], writer: Writer) -> None:
        self._probe = Probe(pool, PROBE)
        self._writer = writer

    async def alive(self, request: Request) -> Response:
        """Say that the process answers."""
        del request
        return json({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """Say whether an event could be stored now: 200, or 503 with what is wrong."""
        del request
        checks = {"database": await self._probe.ask(), "storing": stuck(self._writer.waited_s, "events")}
        good = all(word == "ok" for word in checks.values())
        return json(
            {"status": "ok" if good else "unavailable", "checks": checks}, status=200 if good else 503
        )
