"""Taking out of a text what nobody else may read: addresses, credentials, control characters. Pure."""

from __future__ import annotations

import re
from typing import Final

ADDRESS: Final = "<address>"
CREDENTIALS: Final = "<credentials>"

MOST: Final = 300
"""Characters of a scrubbed text."""

_MOST_SCANNED: Final = 2000
# Or else a whole word without one: looked for at each of its letters, an address would cost the square of a text.
_ADDRESS: Final = re.compile(
    r"""(?:"[^"]*"|(?P<quotes>'*)[^\s<>",;:()'][^\s<>",;:()]*)(?:@|%40)[^\s<>",;()']+|(?P<word>[^\s<>",;:()]+)"""
)
_ENDS: Final = ' <>",;:()'
# Up to the last @: whoever forgot to quote a password may have one in it.
_USER_INFO: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,20}://)\S*@")
_NAMED: Final = re.compile(
    r"(?i)((?:password|passwd|token|secret|api[_-]?key|authorization)['\"]?\s*[=:]\s*(?:(?:bearer|basic)\s+)?)"
    r"""(?:"[^"]*"|'[^']*'|\S+)"""
)


def scrub(text: str, most: int = MOST) -> str:
    """Take addresses, credentials and control characters out of a text, and bound its length."""
    clean = _printable(text[:_MOST_SCANNED])
    if len(text) > _MOST_SCANNED:
        # No half of a word at the end: half an address does not look like one.
        clean = clean.rpartition(" ")[0] or clean[: 1 + max(map(clean.rfind, _ENDS))] or clean
    if ":" in clean or "=" in clean:
        clean = _USER_INFO.sub(rf"\1{CREDENTIALS}@", clean)
        clean = _NAMED.sub(rf"\1{CREDENTIALS}", clean)
    if "@" in clean or "%40" in clean:
        clean = _ADDRESS.sub(_without_address, clean)
    return clean[:most]


def _without_address(found: re.Match[str]) -> str:
    return found["word"] or (found["quotes"] or "") + ADDRESS


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else " " for character in text)
