"""The Postmark provider: one POST per batch, by a total deadline, never repeated here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import httpx

from atum_schema.steps import Reached, Step, go_on
from atum_workers import render, transport
from atum_workers import search as searching
from atum_workers.classify import Answer, classify
from atum_workers.deadline import DeadlineExceeded
from atum_workers.outcome import Deferred, Outcome, Unclear

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from atum_workers.deadline import Deadline
    from atum_workers.search import Found

_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
_SINGLE: Final = "/email"
_BATCH: Final = "/email/batch"


SERVER_HEADER: Final = "X-Postmark-Server-Token"


def headers(token: str, header: str = SERVER_HEADER) -> dict[str, str]:
    """Make the headers of every request. The token is nowhere else."""
    return {
        header: token,
        "Accept": "application/json",
        "Content-Type": "application/json",
        "User-Agent": "atum-mailer",
    }


class Postmark:
    """Sends batches. Thread-safe. The token is only ever in a request header."""

    def __init__(self, *, base_url: str, token: str, reached: Reached = go_on) -> None:
        self._reached = reached
        self._clock = transport.Clock()
        self._client = transport.client(base_url, headers(token), self._clock)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def post(self, items: Sequence[dict[str, Any]], deadline: Deadline) -> list[Outcome]:
        """POST the items once; give the outcome of each, in order.

        Never raises for what the network or the provider does: a request that certainly did not get out is
        `Deferred`, everything unclear is `Unclear`. Ends by the deadline.
        """
        body = render.body(items)
        try:
            with self._clock.bound(deadline):
                response = self._client.post(
                    _SINGLE if len(items) == 1 else _BATCH,
                    content=self._told(transport.withheld(body, deadline)),
                    headers={"Content-Length": str(len(body))},
                )
        except (*_NOT_SENT, DeadlineExceeded) as error:
            outcome: Outcome = Deferred(
                reason="not_sent",
                detail=f"not sent: {type(error).__name__}",
                charged=False,
                slow=isinstance(error, DeadlineExceeded),
            )
            return [outcome] * len(items)
        except httpx.HTTPError as error:
            transport.untie(error)
            unclear = Unclear(
                reason="no_answer",
                detail=f"no clear answer: {type(error).__name__}",
                slow=isinstance(error, httpx.TimeoutException),
            )
            return [unclear] * len(items)
        answer = Answer(status=response.status_code, headers=response.headers, body=response.content)
        return classify(answer, count=len(items), now=datetime.now(UTC))

    def _told(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        # Whoever writes asks for the next part when one is written.
        for part, step in zip(parts, (Step.BODY_BEGUN, Step.BODY_SENT), strict=True):
            yield part
            self._reached(step)

    def search(self, *, stream: str, key: str, value: UUID, deadline: Deadline) -> list[Found]:
        """Find what the provider has accepted, by one of our ids. Raises `SearchFailed`."""
        return searching.search(
            self._client, self._clock, stream=stream, key=key, value=value, deadline=deadline
        )
