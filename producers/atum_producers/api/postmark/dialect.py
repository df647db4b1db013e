"""Postmark's way of answering: which requests want it, its error envelope, and our problems in its codes."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.responses import Response

from atum_producers.api.postmark import texts
from atum_producers.api.problems import Kind, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Scope

    from atum_producers.api.postmark.texts import Refused

#: Header with the token, as Postmark's clients send it.
TOKEN: Final = "X-Postmark-Server-Token"  # noqa: S105 (the name of a header)
_TOKENS: Final = frozenset({b"x-postmark-server-token", b"x-postmark-account-token"})
_OURS: Final = "v1"
#: First segments of the paths of Postmark's API (Postmark developer docs), in lower case.
_SEGMENTS: Final = frozenset(
    (  # noqa: SIM905 (one word a line reads worse)
        "email messages server message-streams deliverystats bounces stats templates triggers servers domains "
        "senders data-removals"
    ).split()
)

#: HTTP status and ErrorCode of each of our problems; total. Postmark has no scopes: a key that lacks one is, to its
#: clients, a token that is not valid for the endpoint. 503 is what they may repeat in a moment.
ENVELOPES: Final[Mapping[Kind, tuple[int, int]]] = MappingProxyType(
    {
        Kind.BAD_REQUEST: (422, 300),
        Kind.UNAUTHORIZED: (401, 10),
        Kind.OUT_OF_SCOPE: (401, 10),
        Kind.SENDER_NOT_ALLOWED: (422, 400),
        Kind.NOT_FOUND: (404, 404),
        Kind.METHOD_NOT_ALLOWED: (405, 404),
        Kind.TOO_SLOW: (408, 408),
        Kind.IN_PROGRESS: (503, 100),
        Kind.NOT_CANCELABLE: (422, 300),
        Kind.SUPPRESSION_STAYS: (422, 300),
        # ErrorCode 413 would say that the account is not approved.
        Kind.TOO_LARGE: (413, 300),
        Kind.NOT_JSON: (415, 409),
        Kind.MAIL_REJECTED: (422, 300),
        Kind.KEY_REUSED: (422, 300),
        Kind.TOO_MANY_REQUESTS: (429, 429),
        Kind.INTERNAL_ERROR: (500, 101),
        Kind.UNAVAILABLE: (503, 100),
        # Clients repeat a 503 by themselves, and what may be stored must not be repeated without a key.
        Kind.UNCERTAIN: (504, 100),
    }
)
_OWN_WORDS: Final = MappingProxyType(
    {
        Kind.UNAUTHORIZED: texts.UNAUTHORIZED,
        Kind.NOT_FOUND: texts.NOT_FOUND,
        Kind.NOT_JSON: texts.BAD_HEADERS,
    }
)


def spelt(path: str) -> str:
    """Write Postmark's paths in one way, for the routes: lower case, no slash at the end. Others stay as they are."""
    return path.lower().rstrip("/") if is_path(path) else path


def is_path(path: str) -> bool:
    """Whether a path is one of Postmark's API, known to us or not."""
    return _first(path) in _SEGMENTS


def is_spoken(scope: Scope) -> bool:
    """Whether a request is to be answered in Postmark's way: by its path, or because it brings a Postmark token.

    Our own paths answer in our own way whatever a request brings.
    """
    first = _first(scope["path"])
    return first in _SEGMENTS or (first != _OURS and any(name in _TOKENS for name, _ in scope["headers"]))


def json(document: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a JSON document as Postmark does."""
    return Response(
        orjson.dumps(document),
        status_code=status,
        headers=headers,
        media_type="application/json; charset=utf-8",
    )


def answer(problem: Problem) -> Response:
    """Answer with one of our problems in Postmark's envelope."""
    status, code = ENVELOPES[problem.kind]
    headers = {name: value for name, value in problem.headers.items() if name != "WWW-Authenticate"}
    return _error(code, _message(problem), status=status, headers=headers)


def refusal(refused: Refused) -> Response:
    """Answer with a refusal."""
    return _error(refused.code, refused.message, status=refused.status)


def _message(problem: Problem) -> str:
    own = _OWN_WORDS.get(problem.kind)
    if own is not None:
        return own
    message = f"{problem.kind.title}: {problem.detail}."
    ids = problem.extra.get("ids")
    return f"{message} MessageID: {', '.join(ids)}." if ids else message


def _error(code: int, message: str, *, status: int, headers: Mapping[str, str] | None = None) -> Response:
    return json(
        {"ErrorCode": code, "Message": message},
        status=status,
        headers={**(headers or {}), "X-PM-ApiErrorCode": str(code)},
    )


def _first(path: str) -> str:
    return path.lower().split("/", 2)[1] if path.startswith("/") else ""
