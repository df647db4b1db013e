"""`/healthz` and `/readyz`: whether this process works, and whether it could take a mail now."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg_pool import PoolTimeout

from atum_producers.api.mails import json
from atum_producers.api.patience import within

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from atum_producers.api.service import Service

# Health checks come from several sides and from anybody; the database is asked once for all of them.
_FRESH_S: Final = 1.0
_ANSWER_S: Final = 2.0
#: An offer that waits so long means that storing does not go on.
_STUCK_S: Final = 15.0

PROBE: Final = "SELECT count(*) FROM (SELECT FROM atum.api_client LIMIT 1) t"


class Health:
    """Both endpoints. Neither needs a key; neither tells more than words of ours."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._asking = asyncio.Lock()
        self._database: tuple[float, str] | None = None

    async def alive(self, request: Request) -> Response:
        """Say that the process answers. It does not look at what it depends on: a restart would mend nothing there."""
        del request
        return json({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """Say whether a mail could be taken now: 200, or 503 with what is wrong."""
        del request
        checks = {"database": await self._ask_database(), "storing": self._storing()}
        good = all(word == "ok" for word in checks.values())
        return json(
            {"status": "ok" if good else "unavailable", "checks": checks}, status=200 if good else 503
        )

    def _storing(self) -> str:
        waited_s = self._service.writer.waited_s
        return "ok" if waited_s < _STUCK_S else f"mails have been waiting to be stored for {waited_s:.0f} s"

    async def _ask_database(self) -> str:
        async with self._asking:
            now = time.monotonic()
            if self._database is None or now - self._database[0] > _FRESH_S:
                self._database = (now, await self._probe())
            return self._database[1]

    async def _probe(self) -> str:
        try:
            await within(_ANSWER_S, self._query())
        except psycopg.errors.UndefinedTable:
            return "has not the schema of this version; run: atum-mailer migrate"
        except (psycopg.Error, PoolTimeout, TimeoutError) as error:
            return f"does not answer ({type(error).__name__})"
        return "ok"

    async def _query(self) -> None:
        async with self._service.pool.connection() as connection:
            await connection.execute(PROBE)
