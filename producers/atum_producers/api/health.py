"""`/healthz` and `/readyz`: whether this process works, and whether it could take a mail now."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, LiteralString

import psycopg
from psycopg_pool import PoolTimeout

from atum_producers.api.mails import json
from atum_producers.api.patience import within

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool
    from starlette.requests import Request
    from starlette.responses import Response

    from atum_producers.api.service import Service
    from atum_schema.database import AsyncConnection

# Health checks come from several sides and from anybody; the database is asked once for all of them.
_FRESH_S: Final = 1.0
_ANSWER_S: Final = 2.0
#: An offer that waits so long means that storing does not go on.
_STUCK_S: Final = 15.0

PROBE: Final = "SELECT count(*) FROM (SELECT FROM atum.api_client LIMIT 1) t"


class Probe:
    """Asks the database the same question for all who want to know, once a second at most."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection], statement: LiteralString) -> None:
        self._pool = pool
        self._statement = statement
        self._asking = asyncio.Lock()
        self._answer: tuple[float, str] | None = None

    async def ask(self) -> str:
        """Say "ok", or what is wrong."""
        async with self._asking:
            now = time.monotonic()
            if self._answer is None or now - self._answer[0] > _FRESH_S:
                self._answer = (now, await self._probe())
            return self._answer[1]

    async def _probe(self) -> str:
        try:
            await within(_ANSWER_S, self._query())
        except psycopg.errors.UndefinedTable:
            return "has not the schema of this version; run: atum-mailer migrate"
        except (psycopg.Error, PoolTimeout, TimeoutError) as error:
            return f"does not answer ({type(error).__name__})"
        return "ok"

    async def _query(self) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(self._statement)


def stuck(waited_s: float, what: str) -> str:
    """Say "ok", or that storing does not go on."""
    return "ok" if waited_s < _STUCK_S else f"{what} have been waiting to be stored for {waited_s:.0f} s"


class Health:
    """Both endpoints. Neither needs a key; neither tells more than words of ours."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._probe = Probe(service.pool, PROBE)

    async def alive(self, request: Request) -> Response:
        """Say that the process answers. It does not look at what it depends on: a restart would mend nothing there."""
        del request
        return json({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """Say whether a mail could be taken now: 200, or 503 with what is wrong."""
        del request
        checks = {
            "database": await self._probe.ask(),
            "storing": stuck(self._service.writer.waited_s, "mails"),
        }
        good = all(word == "ok" for word in checks.values())
        return json(
            {"status": "ok" if good else "unavailable", "checks": checks}, status=200 if good else 503
        )
