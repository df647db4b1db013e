"""Reading request bodies: never more than allowed, never longer than allowed, never all memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from atum_producers.api.patience import Patience
from atum_producers.api.problems import Kind, Problem, unavailable

if TYPE_CHECKING:
    from starlette.requests import Request

#: Largest request body, in bytes (Postmark developer docs, "Send batch emails", and our own arrays).
LARGEST: Final = 50_000_000
#: Bytes of all bodies that are being read or worked on at once.
_BUDGET: Final = 400_000_000
# What is still unread is not worth reading: the connection ends with the answer.
_CLOSE: Final = {"Connection": "close"}


class Bodies:
    """Reads bodies of `largest` bytes at most; `timeout_s` bounds how long a client may take to send one.

    `budget` is what all bodies that are being read at once may have together.
    """

    def __init__(self, *, timeout_s: float, largest: int = LARGEST, budget: int = _BUDGET) -> None:
        self._timeout_s = timeout_s
        self._patience = Patience(timeout_s)
        self._largest = largest
        self._budget = budget
        self._held = 0

    async def read(self, request: Request) -> bytes:
        """Read the whole body. Raises `Problem` where it is too large, too slow, or one too many."""
        self._refuse_declared(request)
        try:
            with self._patience.limit():
                return await self._collect(request)
        except TimeoutError:
            detail = f"the body was not complete after {self._timeout_s:g} s"
            raise Problem(Kind.TOO_SLOW, detail, headers=_CLOSE) from None

    async def _collect(self, request: Request) -> bytes:
        chunks: list[bytes] = []
        size = 0
        try:
            async for chunk in request.stream():
                size += len(chunk)
                self._held += len(chunk)
                if size > self._largest:
                    raise self._too_large(f"more than {self._largest:,}")
                if self._held > self._budget:
                    raise unavailable("too many large requests at once; nothing was stored")
                chunks.append(chunk)
        finally:
            self._held -= size
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _refuse_declared(self, request: Request) -> None:
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self._largest:
            raise self._too_large(f"{int(declared):,}")

    def _too_large(self, size: str) -> Problem:
        detail = f"the body has {size} bytes, at most {self._largest:,} are taken"
        return Problem(Kind.TOO_LARGE, detail, headers=_CLOSE)


def need_json(request: Request) -> None:
    """Refuse a body that does not say that it is JSON. Raises `Problem`."""
    said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if said != "application/json":
        raise Problem(
            Kind.NOT_JSON,
            f"Content-Type is {said!r}, must be application/json",
            headers=_CLOSE,
        )


def parsed(body: bytes) -> Any:
    """Parse a body as JSON. Raises `Problem`."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem(Kind.BAD_REQUEST, f"the body is not JSON: {error}") from None
