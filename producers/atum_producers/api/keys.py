"""API keys: what they look like, and what is kept of them.

A key is `atum_<id>_<secret>`: the id finds its row, the secret proves it. Only the SHA-256 of the secret is stored: it has
256 random bits, so there is nothing to guess and a slow hash would protect nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import Final, NamedTuple

_KEY: Final = re.compile(r"atum_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_NOBODY: Final = bytes(32)


class NewKey(NamedTuple):
    """A key that was just made. The text is shown once and kept nowhere."""

    id: str
    text: str
    digest: bytes

    def __repr__(self) -> str:
        return f"NewKey(id={self.id!r})"


def new_key() -> NewKey:
    """Make a random key."""
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    return NewKey(key_id, f"atum_{key_id}_{secret}", _digest(secret))


def key_id(text: str) -> str | None:
    """Give the id in a key, None if it cannot be one."""
    match = _KEY.fullmatch(text)
    return None if match is None else match[1]


def matches(text: str, digest: bytes | None) -> bool:
    """Whether a key's secret has this digest. Takes as long for a key that nobody has (`digest` None)."""
    match = _KEY.fullmatch(text)
    secret = "" if match is None else match[2]
    return hmac.compare_digest(_digest(secret), digest or _NOBODY) and digest is not None


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
