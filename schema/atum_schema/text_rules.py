"""Which characters a field may hold, and how long it may be. Every check answers with words, never with a fix.

The common case costs one `str.isprintable`; the reason is worked out only when that says no.
"""

from __future__ import annotations

import re
import unicodedata

from atum_schema.errors import MailRejected

# C0, DEL and C1 controls end or corrupt a header line; U+2028/2029 are line ends to many readers; embeddings
# and overrides (U+202A-202E) reorder even Latin letters, which disguises names ("exe.fdp" read as "pdf.exe").
# Bidi marks and isolates stay allowed: localisation libraries put them around every interpolated word.
_FORBIDDEN_IN_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\ud800-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def require_str(field: str, value: object) -> str:
    """Give `value` back if it is a str, else raise `MailRejected`."""
    if isinstance(value, str):
        return value
    raise MailRejected(field, f"must be a string, not {type(value).__name__}")


def require_line(field: str, value: str, limit: int) -> None:
    """Refuse what cannot stand in one header line of at most `limit` characters.

    Raises `MailRejected` for control characters (C0, C1, line and paragraph separators), bidi embeddings and
    overrides, lone surrogates, and for excess length.
    """
    if not value.isprintable():
        forbidden_character(field, value)
    if len(value) > limit:
        raise too_long(field, len(value), limit)


def forbidden_character(field: str, value: str) -> None:
    """Raise `MailRejected` if a header-like field holds a character that it must not."""
    found = _FORBIDDEN_IN_LINE.search(value)
    if found is not None:
        raise MailRejected(
            field, f"contains {_describe(found[0])} at position {found.start()}, which is not allowed"
        )


def body_bytes(field: str, value: str, limit: int) -> int:
    """Size of a body in bytes of UTF-8. Raises `MailRejected` for NUL, lone surrogates and excess size."""
    if "\0" in value:
        raise MailRejected(field, f"contains NUL at position {value.index(chr(0))}, which is not allowed")
    size = len(value) if value.isascii() else _utf8_size(field, value)
    if size > limit:
        raise MailRejected(field, f"is {size} bytes large, the limit is {limit}")
    return size


def utf8_size(value: str) -> int:
    """Size of an already checked string in bytes of UTF-8."""
    return len(value) if value.isascii() else len(value.encode())


def utf16_units(value: str) -> int:
    """Length of an already checked string in UTF-16 code units, as .NET and JavaScript count."""
    return len(value) if value.isascii() else len(value.encode("utf-16-le")) // 2


def too_long(field: str, length: int, limit: int) -> MailRejected:
    """Build the rejection for a string that is too long."""
    return MailRejected(field, f"is {length} characters long, the limit is {limit}")


def _utf8_size(field: str, value: str) -> int:
    try:
        return len(value.encode())
    except UnicodeEncodeError:
        found = _SURROGATE.search(value)
        where = "" if found is None else f" at position {found.start()}"
        raise MailRejected(field, f"contains a lone surrogate{where}, which is not text") from None


def _describe(character: str) -> str:
    code = f"U+{ord(character):04X}"
    names = {"\n": "line feed", "\r": "carriage return", "\0": "NUL", "\t": "tab"}
    if character in names:
        return f"{code} ({names[character]})"
    if unicodedata.category(character) == "Cs":
        return f"{code} (lone surrogate)"
    return f"{code} ({unicodedata.name(character, 'control character').lower()})"
