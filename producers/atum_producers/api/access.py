"""Who is asking, and what they may do."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg_pool import PoolTimeout

from atum_producers.api import clients_store, keys
from atum_producers.api.bucket import Bucket
from atum_producers.api.patience import within
from atum_producers.api.problems import Kind, Problem, unavailable
from atum_schema import traces
from atum_schema.script import run_async
from atum_schema.seldom import Seldom

if TYPE_CHECKING:
    from collections.abc import Iterable

    from psycopg_pool import AsyncConnectionPool

    from atum_producers.api.clients_store import LiveKey, Scope
    from atum_schema.database import AsyncConnection
    from atum_schema.mail import Mail

log = logging.getLogger(__name__)

#: How long a revoked key may still open the door, in seconds.
REFRESH_S: Final = 2.0
# A key that was just made is looked for at once, but nobody can make us look all the time.
_SOONEST_S: Final = 0.2
_ANSWER_S: Final = 3.0


class Access:
    """Knows the keys that are valid, as of `REFRESH_S` ago at most while the database answers.

    While it does not, what was known last stays in force: then nothing can be stored anyway, and a client must be told
    that the log is away, and not that its key is wrong.
    """

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection]) -> None:
        self._pool = pool
        self._keys: dict[str, LiveKey] | None = None
        self._asked_at = -math.inf
        self._answered = False
        self._asking = asyncio.Lock()
        self._buckets: dict[str, Bucket] = {}
        self._complaints = Seldom()

    async def keep_fresh(self) -> None:
        """Look for changes for ever."""
        while True:
            await self._asked_after(time.monotonic())
            await asyncio.sleep(REFRESH_S)

    async def admit(self, key: str | None, scope: Scope) -> LiveKey:
        """Say for whom a key stands, if it may do this. Raises `Problem`."""
        if not key:
            raise _unauthorized("no API key was given; send it as Authorization: Bearer <key>")
        found = await self._find(keys.key_id(key))
        if not keys.matches(key, found.digest if found is not None else None) or found is None:
            raise _unauthorized("the API key is not known, was revoked or has expired")
        if scope not in found.scopes:
            raise Problem(
                Kind.OUT_OF_SCOPE, f"the key of {found.client!r} lacks the scope {scope.value!r}", scope=scope
            )
        self._slow_down(found)
        return found

    def charge(self, client: LiveKey, mails: int) -> None:
        """Count mails against the client's rate; the first unit was taken when it was admitted."""
        if client.rate is not None and mails > 1:
            self._buckets[client.client].take(mails - 1)

    def _slow_down(self, client: LiveKey) -> None:
        if client.rate is None:
            return
        now = time.monotonic()
        bucket = self._buckets.get(client.client)
        if bucket is None or bucket.rate != client.rate:
            bucket = self._buckets[client.client] = Bucket(client.rate, now=now)
        wait_s = bucket.wait_s(now=now)
        if wait_s:
            raise Problem(
                Kind.TOO_MANY_REQUESTS,
                f"{client.client!r} may hand over {client.rate:g} mails a second",
                headers={"Retry-After": str(math.ceil(wait_s))},
            )
        bucket.take(1)

    async def _find(self, key_id: str | None) -> LiveKey | None:
        if key_id is None and self._keys is not None:
            return None
        if self._keys is None or key_id not in self._keys:
            # It may have been made a moment ago.
            answered = await self._asked_after(time.monotonic())
            if not answered or self._keys is None:
                raise unavailable("the API clients cannot be read, because the database is away")
        return None if key_id is None else self._keys.get(key_id)

    async def _asked_after(self, moment: float) -> bool:
        """Make sure that the database was asked after a moment; whether it has answered.

        One question serves all who wait, and there is a pause between two: nobody can make us ask all the time.
        """
        async with self._asking:
            if self._asked_at < moment:
                await asyncio.sleep(self._asked_at + _SOONEST_S - time.monotonic())
                self._asked_at = time.monotonic()
                self._answered = await self._ask()
            return self._answered

    async def _ask(self) -> bool:
        try:
            live = await within(_ANSWER_S, self._live())
        except (psycopg.Error, PoolTimeout, TimeoutError) as error:
            if self._complaints.due():
                log.warning("api: cannot read the clients", extra=traces.kind(error))
            return False
        self._keys = {key.id: key for key in live}
        return True

    async def _live(self) -> list[LiveKey]:
        async with self._pool.connection() as connection:
            return await run_async(connection, clients_store.reading_live())


def may_send_as(client: LiveKey, mail: Mail) -> bool:
    """Whether the client may use the domain of a mail's From."""
    return not client.domains or mail.sender.domain in client.domains


def check_senders(client: LiveKey, mails: Iterable[Mail]) -> None:
    """Refuse a From domain that the client may not use. Raises `Problem`."""
    for place, mail in enumerate(mails):
        if not may_send_as(client, mail):
            raise Problem(
                Kind.SENDER_NOT_ALLOWED,
                f"{client.client!r} may not send from {mail.sender.domain!r}; it may from {', '.join(client.domains)}",
                index=place,
                field="from",
            )


def _unauthorized(detail: str) -> Problem:
    return Problem(Kind.UNAUTHORIZED, detail, headers={"WWW-Authenticate": 'Bearer realm="atum-mailer"'})
