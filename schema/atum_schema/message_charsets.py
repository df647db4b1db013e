"""Bytes and encoded words into text, as mail readers read them: never by guessing a replacement character."""

from __future__ import annotations

import binascii
import codecs
import re
from typing import Final

# Labels that in practice mean a superset of what they say (WHATWG Encoding, "Names and labels").
_SUPERSETS: Final = {
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "iso-8859-9": "cp1254",
    "iso-8859-8-i": "iso-8859-8",
    "iso-8859-11": "cp874",
    "tis-620": "cp874",
    "windows-874": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "x-sjis": "cp932",
}
_UNLABELLED: Final = frozenset(("", "us-ascii", "ascii", "unknown-8bit", "default"))
# Python codecs that are no charsets of mail; decoding punycode takes quadratic time.
_NOT_CHARSETS: Final = frozenset(
    ("punycode", "idna", "unicode-escape", "raw-unicode-escape", "undefined", "mbcs", "oem")
)

_WORD = re.compile(r"=\?([^?*\s]+)(?:\*[^?\s]*)?\?([bBqQ])\?([^?]*)\?=")
_BETWEEN_WORDS = re.compile(r"(\?=)[ \t\r\n]+(?==\?[^?\s]+\?[bBqQ]\?)")
_Q_ESCAPE = re.compile(rb"=([0-9A-Fa-f]{2})")
_HIGH = re.compile("[\udc80-\udcff]")


def decode_text(data: bytes, charset: str | None) -> str:
    """Decode a text in its declared charset; without one, in UTF-8 or else Windows-1252.

    Raises ValueError, with the reason in words, if the charset is unknown or the bytes are not valid in it.
    """
    label = (charset or "").strip().strip("\"'").lower()
    if label in _UNLABELLED:
        return _first_that_fits(data, ("utf-8", "cp1252"), label="us-ascii")
    name = _SUPERSETS.get(label, label)
    if not _is_charset(name):
        raise ValueError(f"has the unknown charset {label!r}")
    # Mail that is labelled with an old charset but written in UTF-8 is common; the reverse passes no UTF-8 check.
    return _first_that_fits(data, (name, "utf-8"), label=label)


def decode_words(text: str) -> str:
    """Decode the encoded words of a header (RFC 2047); a word that cannot be decoded stays as it is written."""
    if "=?" not in text:
        return text
    # Words are joined before they are decoded, because many mailers split a character between two of them.
    pieces: list[str] = []
    pending, charset, place = b"", "", 0
    joined = _BETWEEN_WORDS.sub(r"\1", text)
    for word in _WORD.finditer(joined):
        data = _word_bytes(word[2], word[3])
        if data is None or not _is_charset(_SUPERSETS.get(word[1].lower(), word[1].lower())):
            continue
        if pending and (word.start() != place or word[1].lower() != charset):
            pieces.append(_lenient(pending, charset))
            pending = b""
        pieces.append(joined[place : word.start()])
        pending, charset, place = pending + data, word[1].lower(), word.end()
    if pending:
        pieces.append(_lenient(pending, charset))
    return "".join(pieces) + joined[place:]


def recover(text: str) -> str:
    """Give back the characters of raw 8-bit bytes that the standard parser kept as surrogates.

    Raises ValueError if they are neither UTF-8 nor Windows-1252.
    """
    if _HIGH.search(text) is None:
        return text
    return decode_text(text.encode("utf-8", "surrogateescape"), None)


def _first_that_fits(data: bytes, names: tuple[str, ...], *, label: str) -> str:
    for name in names:
        try:
            return data.decode(name)
        except UnicodeDecodeError:
            continue
    raise ValueError(f"is not valid {label}")


def _is_charset(name: str) -> bool:
    try:
        found = codecs.lookup(name)
    except (LookupError, ValueError):
        return False
    # The codecs module marks codecs of bytes to bytes (hex, zip, …) only with this flag.
    return bool(found._is_text_encoding) and found.name.replace("_", "-") not in _NOT_CHARSETS  # noqa: SLF001


def _word_bytes(encoding: str, payload: str) -> bytes | None:
    if not payload.isascii():
        return None
    raw = payload.encode("ascii")
    if encoding in "qQ":
        return _Q_ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), raw.replace(b"_", b" "))
    try:
        return binascii.a2b_base64(raw + b"=" * (-len(raw) % 4))
    except binascii.Error:
        return None


def _lenient(data: bytes, charset: str) -> str:
    try:
        return decode_text(data, charset)
    except ValueError:
        return data.decode(_SUPERSETS.get(charset, charset), errors="replace")
