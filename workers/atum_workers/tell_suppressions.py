"""Telling the provider whom not to mail, where people decided it here.

::

    take what is due ─▶ tell the provider ─▶ it did it: told ─┬─ an order to suppress: it knows now
           ▲                  │              └─ an order to lift: it is lifted
           │                  ├─ it refuses: the order is over, the suppression stays; the reason is recorded
           └── later ─────────┴─ it does not answer

No lock and no transaction lasts while the provider is asked. An order that is changed meanwhile is told anew.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

from atum_schema import audit
from atum_workers import tell_suppressions_store as store
from atum_workers.deadline import Deadline
from atum_workers.postmark_api import ADDRESSES_AT_ONCE, ProviderFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from psycopg_pool import ConnectionPool

    from atum_schema.database import Connection
    from atum_workers.postmark_api import Answer
    from atum_workers.tell_suppressions_store import Taken

log = logging.getLogger(__name__)

TOLD: Final = "suppression.told"
"""What the log of people's actions says when the provider did what it was told."""
REFUSED: Final = "suppression.refused"
"""What it says when the provider refused."""

_ACTOR: Final = "system:tell_suppressions"
_LEASE_S: Final = 300.0
_LONGEST_WAIT_S: Final = 3600.0
_UNPROCESSABLE: Final = 422
_NO_SUCH_STREAM: Final = 1226
_DONE: Final = frozenset({"Suppressed", "Deleted"})


class SuppressionApi(Protocol):
    """Who keeps the provider's list. Both methods may raise `ProviderFailed`."""

    def suppress(self, stream: str, addresses: Sequence[str], deadline: Deadline) -> list[Answer]:
        """Put at most 50 addresses on the list of a stream."""
        ...

    def unsuppress(self, stream: str, addresses: Sequence[str], deadline: Deadline) -> list[Answer]:
        """Take at most 50 addresses off it."""
        ...


def tell_suppressions(
    pool: ConnectionPool[Connection],
    api: SuppressionApi,
    *,
    limit: int = ADDRESSES_AT_ONCE,
    timeout_s: float = 10.0,
) -> int:
    """Tell the provider what is due of one stream, at most 50 orders; give how many were taken.

    What it does not answer is due again later, at doubling distances from 1 s to an hour, so calling this until it
    gives 0 comes to an end. `timeout_s` bounds each request.
    """
    with pool.connection() as connection:
        taken = store.take(connection, limit=min(limit, ADDRESSES_AT_ONCE), lease_s=_LEASE_S)
    if taken:
        try:
            answers = _told(api, taken, timeout_s)
        except ProviderFailed as error:
            log.warning(
                "suppressions: the provider was not told of orders",
                extra={"count": len(taken), "detail": str(error)},
            )
            _put_off(pool, taken, error.retry_after_s or 0.0)
        else:
            _write(pool, taken, answers)
    return len(taken)


def wait_s(tries: int) -> float:
    """Seconds until an order is told again that failed so often."""
    return min(_LONGEST_WAIT_S, 2.0 ** min(tries - 1, 20))


def _told(api: SuppressionApi, taken: Sequence[Taken], timeout_s: float) -> dict[str, str | None]:
    """Tell the provider; give each address that it answered for, with why it refused, or None."""
    tell = api.suppress if taken[0].pending == "add" else api.unsuppress
    try:
        answers = tell(taken[0].stream, [each.address for each in taken], Deadline.start(timeout_s))
    except ProviderFailed as error:
        if error.status != _UNPROCESSABLE:
            raise
        if len(taken) == 1 or error.code == _NO_SUCH_STREAM:
            return {each.address: str(error) for each in taken}
        # One of them is bad, and the provider does not say which.
        half = len(taken) // 2
        return _told(api, taken[:half], timeout_s) | _told(api, taken[half:], timeout_s)
    return {
        answer.address: None if answer.status in _DONE else (answer.message or answer.status)
        for answer in answers
    }


def _write(
    pool: ConnectionPool[Connection], taken: Sequence[Taken], answers: Mapping[str, str | None]
) -> None:
    answered = [each for each in taken if each.address in answers]
    silent = [each for each in taken if each.address not in answers]
    with pool.connection() as connection, connection.transaction():
        written = store.finish(
            connection, answered, {address: refusal is None for address, refusal in answers.items()}
        )
        for each in answered:
            if each.address in written:
                _record(connection, each, answers[each.address])
    _put_off(pool, silent, 0.0)


def _record(connection: Connection, taken: Taken, refusal: str | None) -> None:
    about = {"stream": taken.stream, "address": taken.address, "order": taken.pending}
    if refusal is None:
        audit.record(connection, _ACTOR, TOLD, about)
    else:
        audit.record(connection, _ACTOR, REFUSED, about | {"reason": refusal})


def _put_off(pool: ConnectionPool[Connection], taken: Sequence[Taken], at_least_s: float) -> None:
    if taken:
        with pool.connection() as connection:
            store.put_off(connection, taken, [max(at_least_s, wait_s(each.tries)) for each in taken])
