"""What to do when the endpoint does not answer a genuine event with 200. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_NOBODY: Final = "nobody answers there: is the endpoint running, and can that URL be reached from outside?"
_PATH: Final = "the path of ATUM_WEBHOOK_URL does not lead to ATUM_WEBHOOK_PATH of the endpoint"
_REDIRECTION: Final = "something redirects; ATUM_WEBHOOK_URL must be the URL itself"
_OTHERWISE: Final = "something else than the endpoint answers, or it failed; its log says more"
_BY_STATUS: Final[Mapping[int, str]] = {
    401: "the endpoint has other credentials: restart it with the same settings, and let no proxy drop the headers",
    403: "something in front of the endpoint refuses, or ATUM_WEBHOOK_ALLOW does and the credentials are wrong, too",
    404: _PATH,
    405: _PATH,
    413: "something in front of the endpoint, or ATUM_WEBHOOK_BODY_BYTES, takes no events of that size",
    429: "too many requests with wrong credentials came from there; wait a minute, then try again",
    503: "the endpoint cannot store (see its /readyz), or the request came from outside ATUM_WEBHOOK_ALLOW",
}


def remedy(status: int | None) -> str:
    """Say what to do about a status; None: there was no answer."""
    if status is None:
        return _NOBODY
    if 300 <= status < 400:  # noqa: PLR2004 - the redirections
        return _REDIRECTION
    return _BY_STATUS.get(status, _OTHERWISE)
