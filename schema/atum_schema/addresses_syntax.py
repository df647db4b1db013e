"""Take address text apart: lists into mailboxes, a mailbox into display name and address (RFC 5322 §3.4).

Only the structure is read here; whether an address is good is decided by `Address`. Lenient where the field is
(dots and "@" in an unquoted display name, a comment used as the name), strict where leniency would guess.
Line breaks and tabs are text here, so that `Address` refuses them; whoever reads a message unfolds it first.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# One alternative per kind of token; "text" is every run that has no meaning of its own. An unclosed quote takes
# all that is left, so that it is searched for its end only once.
_TOKEN = re.compile(
    r'(?P<quoted>"(?:[^"\\]|\\.)*")'
    r'|(?P<unclosed>".*)'
    r"|(?P<angle><[^<>]*>)"
    r"|(?P<space> +)"
    r"|(?P<mark>[,;:()])"
    r'|(?P<text>[^"<> ,;:()]+)'
    r"|(?P<stray>.)",
    re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class AddressSyntaxError(ValueError):
    """The text is not a mailbox or a list of mailboxes; `index` is the place in the list."""

    def __init__(self, reason: str, *, index: int = 0) -> None:
        self.index = index
        super().__init__(reason)


def split_list(text: str) -> list[str]:
    """Split at the commas that separate mailboxes: those outside quotes, angle brackets and comments."""
    items: list[str] = []
    start = depth = 0
    for token in _TOKEN.finditer(text):
        mark = token["mark"]
        if mark == "(":
            depth += 1
        elif mark == ")":
            depth = max(0, depth - 1)
        elif mark is not None and depth == 0:
            if mark != ",":
                raise AddressSyntaxError(_separator_reason(mark), index=len(items))
            items.append(text[start : token.start()])
            start = token.end()
    items.append(text[start:])
    return items


def split_mailbox(text: str) -> tuple[str, str]:
    """Split one mailbox into display name ("" if none) and address, unquoted and trimmed.

    Raises `AddressSyntaxError` unless the text holds exactly one mailbox.
    """
    tokens = list(_tokens(text))
    angles = [place for place, (kind, _) in enumerate(tokens) if kind == "angle"]
    if len(angles) > 1:
        raise AddressSyntaxError("holds more than one address; separate addresses with commas")
    if not angles:
        return _without_brackets(tokens)
    before, after = tokens[: angles[0]], tokens[angles[0] + 1 :]
    if any(kind not in ("space", "comment") for kind, _ in after):
        raise AddressSyntaxError("has text after the address")
    return _phrase(before or after), tokens[angles[0]][1][1:-1].strip(" ")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Tokens with quotes undone and each comment, however nested, as one token."""
    depth, opened = 0, 0
    for token in _TOKEN.finditer(text):
        kind, value = str(token.lastgroup), token[0]
        if value == "(" and kind == "mark":
            opened = opened if depth else token.end()
            depth += 1
        elif value == ")" and kind == "mark" and depth:
            depth -= 1
            if depth == 0:
                yield "comment", text[opened : token.start()]
        elif depth == 0:
            yield _checked(kind, value)
    if depth:
        raise AddressSyntaxError("opens a parenthesis that is never closed")


def _checked(kind: str, value: str) -> tuple[str, str]:
    if kind == "mark" and value == ",":
        raise AddressSyntaxError("holds more than one address where one is expected")
    if kind == "mark":
        raise AddressSyntaxError(_separator_reason(value))
    if kind == "unclosed":
        raise AddressSyntaxError("opens a quote that is never closed")
    if kind == "stray":
        raise AddressSyntaxError(f"has a {value!r} without its counterpart")
    if kind == "quoted":
        return kind, _ESCAPED.sub(r"\1", value[1:-1])
    return kind, value


def _without_brackets(tokens: list[tuple[str, str]]) -> tuple[str, str]:
    """Read an address with nothing around it but comments; the old "jane@example.com (Jane Doe)" gives a name."""
    words = [value for kind, value in tokens if kind in ("text", "quoted")]
    if not words:
        raise AddressSyntaxError("is empty")
    if any(kind == "quoted" for kind, _ in tokens):
        if any("@" in word for word in words):
            raise AddressSyntaxError("has a quoted mailbox, which Postmark does not accept")
        raise AddressSyntaxError("is a display name without an address")
    if len(words) > 1:
        if any("@" in word for word in words):
            raise AddressSyntaxError('mixes a name and an address; write it as "Name <address>"')
        raise AddressSyntaxError("is a display name without an address")
    return " ".join(value.strip(" ") for kind, value in tokens if kind == "comment"), words[0]


def _phrase(tokens: list[tuple[str, str]]) -> str:
    """Join the words of a display name; runs of white space between them count as one space."""
    if len(tokens) == 1 and tokens[0][0] == "comment":
        return tokens[0][1].strip(" ")
    pieces = [
        " " if kind == "space" else f"({value})" if kind == "comment" else value for kind, value in tokens
    ]
    return "".join(pieces).strip(" ")


def _separator_reason(mark: str) -> str:
    if mark == ";":
        return 'has a ";"; addresses are separated by commas'
    if mark == ":":
        return 'has a ":" outside quotes; groups are not accepted, list the mailboxes themselves'
    return f"has a {mark!r} without its counterpart"
