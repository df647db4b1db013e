"""One request as read from the wire, and one answer to be written to it (RFC 9112)."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus

_REASONS = {int(status): status.phrase for status in HTTPStatus}


@dataclass(slots=True)
class Request:
    """One request as read from the wire. Header names are lower-case, `path` is as sent, without the query."""

    method: str = ""
    path: str = ""
    query: str = ""
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    oversized: bool = False
    keep_alive: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer: HTTP status, body, media type, and extra header lines (each ending in CRLF)."""

    body: bytes
    status: int = 200
    content_type: str = "application/json; charset=utf-8"
    extra: str = ""

    def head(self, *, framing: str = "") -> bytes:
        """Render status line and headers (RFC 9112 §4), with `framing` in place of Content-Length if given."""
        return (
            f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Unknown')}\r\n"
            f"Content-Type: {self.content_type}\r\n"
            f"{framing or f'Content-Length: {len(self.body)}'}\r\n{self.extra}\r\n"
        ).encode("latin-1")
