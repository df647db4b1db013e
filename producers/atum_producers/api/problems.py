"""Errors of the API as RFC 9457 problem documents: one table of what can go wrong, with its status and its remedy."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

MEDIA_TYPE: Final = "application/problem+json"


class Kind(Enum):
    """What can go wrong: status, and a title that never changes. The name, with dashes, is the anchor in the docs."""

    BAD_REQUEST = 400, "The request is not well-formed"
    UNAUTHORIZED = 401, "The API key is missing or not valid"
    OUT_OF_SCOPE = 403, "The API key may not do this"
    SENDER_NOT_ALLOWED = 403, "The API client may not send from this domain"
    NOT_FOUND = 404, "There is no such thing here"
    METHOD_NOT_ALLOWED = 405, "This method is not supported here"
    TOO_SLOW = 408, "The request did not arrive in time"
    IN_PROGRESS = 409, "A request with this Idempotency-Key is being worked on"
    NOT_CANCELABLE = 409, "The mail can no longer be cancelled"
    SUPPRESSION_STAYS = 409, "The suppression can not be lifted"
    TOO_LARGE = 413, "The request is too large"
    NOT_JSON = 415, "The body must be application/json"
    MAIL_REJECTED = 422, "A mail breaks a rule; nothing was stored"
    KEY_REUSED = 422, "The Idempotency-Key was used before with other content"
    TOO_MANY_REQUESTS = 429, "The API client sends faster than it may"
    INTERNAL_ERROR = 500, "An error of ours"
    UNAVAILABLE = 503, "The mail log is not reachable; nothing was stored"
    UNCERTAIN = 503, "It is not known whether the mails were stored"

    @property
    def status(self) -> int:
        """HTTP status code."""
        return self.value[0]

    @property
    def title(self) -> str:
        """What happened, the same words each time."""
        return self.value[1]

    @property
    def anchor(self) -> str:
        """Stable name, for programs and for the documentation page."""
        return self.name.lower().replace("_", "-")


class Problem(Exception):
    """Ends a request with a problem document.

    `detail` is for the caller's people, `extra` adds members for its programs. Never another client's data.
    """

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})
        self.extra = extra
        super().__init__(f"{kind.name}: {detail}")


def unavailable(detail: str, *, retry_after_s: int = 2) -> Problem:
    """Make the problem of a log that cannot be reached now."""
    return Problem(Kind.UNAVAILABLE, detail, headers={"Retry-After": str(retry_after_s)})


def answer(problem: Problem) -> Response:
    """Write a problem as a response (RFC 9457 §3)."""
    document = {
        "type": f"/docs#{problem.kind.anchor}",
        "title": problem.kind.title,
        "status": problem.kind.status,
        "detail": problem.detail,
        **problem.extra,
    }
    return Response(
        orjson.dumps(document),
        status_code=problem.kind.status,
        headers=problem.headers,
        media_type=MEDIA_TYPE,
    )
