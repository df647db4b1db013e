"""Put messages together byte by byte: charsets, transfer encodings and file names as old and new mailers write them.

The standard library's own generator is not used, because it would write one modern style only, and boundaries by
chance.
"""

from __future__ import annotations

import binascii
import hashlib
import quopri
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DATE: Final = "Thu, 05 Nov 2026 09:30:00 +0000"
_WORD_CHARACTERS: Final = 75
_PLAIN_IN_Q: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")


@dataclass(frozen=True, slots=True)
class Part:
    """A MIME part: its headers, as they are written, and its encoded body."""

    headers: tuple[tuple[str, str], ...]
    body: bytes

    def __bytes__(self) -> bytes:
        return _head(self.headers) + b"\r\n" + self.body


def words(text: str, charset: str = "utf-8", how: str = "B") -> str:
    """Write encoded words (RFC 2047), folded; `how` is "B" or "Q"."""
    encode = _b_word if how == "B" else _q_word
    return "\r\n ".join(_chunks(text, lambda chunk: f"=?{charset}?{how}?{encode(chunk.encode(charset))}?="))


def mailbox(name: str, email: str, charset: str = "utf-8", how: str = "B") -> str:
    """Write a mailbox, its name in encoded words."""
    return f"{words(name, charset, how)} <{email}>"


def plain(text: str, charset: str = "utf-8", encoding: str = "quoted-printable") -> Part:
    """Make a text/plain part."""
    return text_part("text/plain", text, charset, encoding)


def html(text: str, charset: str = "utf-8", encoding: str = "quoted-printable") -> Part:
    """Make a text/html part."""
    return text_part("text/html", text, charset, encoding)


def text_part(content_type: str, text: str, charset: str, encoding: str) -> Part:
    """Make a text part of any media type; parameters may follow in `content_type`."""
    data = text.replace("\n", "\r\n").encode(charset)
    headers = (
        ("Content-Type", f"{content_type}; charset={charset}"),
        ("Content-Transfer-Encoding", encoding),
    )
    return Part(headers, _transfer(data, encoding))


def file(
    name: str,
    data: bytes,
    content_type: str,
    *,
    style: Callable[[str], str] | None = None,
    cid: str | None = None,
) -> Part:
    """Make a part for a file, inline if it has a content id; `style` writes the file name parameter."""
    disposition = "attachment" if cid is None else "inline"
    written = (style or quoted_name)(name)
    headers = [
        ("Content-Type", content_type),
        ("Content-Transfer-Encoding", "base64"),
        ("Content-Disposition", f"{disposition};\r\n {written}"),
    ]
    if cid is not None:
        headers.append(("Content-ID", f"<{cid}>"))
    return Part(tuple(headers), _transfer(data, "base64"))


def quoted_name(name: str) -> str:
    """Write an ASCII file name as quoted string."""
    return f'filename="{name}"'


def extended_name(name: str) -> str:
    """Write a file name with charset and percent encoding (RFC 2231 §4)."""
    return f"filename*=UTF-8''{quote(name)}"


def continued_name(name: str) -> str:
    """Write a file name in numbered pieces (RFC 2231 §3), each short enough for a line."""
    pieces = [quote(name[start : start + 16]) for start in range(0, len(name), 16)]
    first, *rest = pieces
    lines = [
        f"filename*0*=UTF-8''{first}",
        *(f"filename*{place}*={each}" for place, each in enumerate(rest, 1)),
    ]
    return ";\r\n ".join(lines)


def word_name(name: str) -> str:
    """Write a file name as encoded word in quotes, which no standard allows and many mailers do."""
    return f'filename="{words(name)}"'


def message(content: bytes) -> Part:
    """Make a message/rfc822 part."""
    return Part((("Content-Type", "message/rfc822"), ("Content-Disposition", "attachment")), content)


def multipart(subtype: str, *parts: Part, preamble: str = "") -> Part:
    """Make a multipart whose boundary follows from its content."""
    pieces = [bytes(part) for part in parts]
    boundary = "=_" + hashlib.sha256(b"".join(pieces)).hexdigest()[:24]
    line = f"--{boundary}".encode()
    body = f"{preamble}\r\n".encode() if preamble else b""
    body += b"".join(line + b"\r\n" + piece.rstrip(b"\r\n") + b"\r\n" for piece in pieces) + line + b"--\r\n"
    return Part((("Content-Type", f'multipart/{subtype};\r\n boundary="{boundary}"'),), body)


def eml(headers: Iterable[tuple[str, str]], root: Part) -> bytes:
    """Write a whole message: the given headers, then those of the root part."""
    everything = (*headers, ("Date", DATE), ("MIME-Version", "1.0"), *root.headers)
    return _head(everything) + b"\r\n" + root.body


def _head(headers: Iterable[tuple[str, str]]) -> bytes:
    return b"".join(f"{name}: {value}\r\n".encode() for name, value in headers)


def _transfer(data: bytes, encoding: str) -> bytes:
    if encoding == "base64":
        lines = [binascii.b2a_base64(data[start : start + 57]) for start in range(0, len(data), 57)]
        return b"".join(lines).replace(b"\n", b"\r\n")
    if encoding == "quoted-printable":
        return quopri.encodestring(data.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    return data


def _chunks(text: str, write: Callable[[str], str]) -> Iterable[str]:
    start = 0
    while start < len(text):
        end = start + 1
        while end < len(text) and len(write(text[start : end + 1])) <= _WORD_CHARACTERS:
            end += 1
        yield write(text[start:end])
        start = end


def _b_word(data: bytes) -> str:
    return b64encode(data).decode("ascii")


def _q_word(data: bytes) -> str:
    return "".join(
        chr(byte) if byte in _PLAIN_IN_Q else "_" if byte == 0x20 else f"={byte:02X}" for byte in data
    )
