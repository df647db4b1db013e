"""Long PromQL over several lines, so that rules can be read and compared line by line. Nothing but white space changes. Pure."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

WIDTH: Final = 96
"""Characters of a line that is not broken."""

_OPERATORS: Final = (
    frozenset({"or"}),
    frozenset({"and", "unless"}),
    frozenset({">=", "<=", ">", "<", "==", "!="}),
    frozenset({"+", "-"}),
    frozenset({"*", "/", "%"}),
)
"""By precedence, the weakest first."""

_TOKEN: Final = re.compile(r'"(?:\\.|[^"\\])*"|=~|!~|>=|<=|==|!=|[A-Za-z_:][\w:]*|\d[\w.]*|\S|\s+')
_DEEPER: Final = "([{"
_BACK: Final = ")]}"


class _Token(NamedTuple):
    text: str
    at: int
    depth: int


def tokens(expr: str) -> list[str]:
    """Split PromQL into its words, white space included."""
    return _TOKEN.findall(expr)


def folded(expr: str, *, width: int = WIDTH) -> str:
    """Break PromQL at its weakest operators first, then within parentheses, until no line is longer than `width`, if that can be."""
    return "\n".join(_lines(expr.strip(), width))


def _lines(expr: str, width: int) -> list[str]:
    if len(expr) <= width:
        return [expr]
    found = _at_depths(expr)
    for level in _OPERATORS:
        cuts = [token.at for token in found if token.depth == 0 and token.text in level]
        if cuts:
            parts = [
                expr[start:end].strip() for start, end in zip([0, *cuts], [*cuts, len(expr)], strict=True)
            ]
            return [line for part in parts for line in _lines_of_operand(part, width)]
    return _within_parentheses(expr, found, width)


def _lines_of_operand(part: str, width: int) -> list[str]:
    """Lay out an operand, with the operator before it, if there is one."""
    first, *_ = tokens(part)
    if not any(first in level for level in _OPERATORS):
        return _lines(part, width)
    head, *rest = _lines(part.removeprefix(first).strip(), width)
    # A word on a line of its own, or it seems to belong to the first of several lines.
    return (
        [first, head, *rest]
        if first.isalpha() and rest and head[-1] not in _DEEPER
        else [f"{first} {head}", *rest]
    )


def _within_parentheses(expr: str, found: list[_Token], width: int) -> list[str]:
    opened = next((token.at for token in found if token.text == "("), None)
    if opened is None:
        return [expr]
    closed = next(token.at for token in found if token.text == ")" and token.depth == 0 and token.at > opened)
    inner = [f"  {line}" for line in _lines(expr[opened + 1 : closed].strip(), width - 2)]
    head, tail = expr[: opened + 1], expr[closed:]
    # `sum by (lane) (…)`: the second pair holds what is long.
    if "(" in tail and len(inner) == 1:
        again = _within_parentheses(tail[1:].strip(), _at_depths(tail[1:].strip()), width)
        return [f"{head}{inner[0].strip()}) {again[0]}", *again[1:]]
    return [head, *inner, tail]


def _at_depths(expr: str) -> list[_Token]:
    """Give all words with their places; an opening parenthesis and its closing one are as deep as what is around them."""
    found, at, depth = [], 0, 0
    for text in tokens(expr):
        depth -= text in _BACK
        found.append(_Token(text, at, depth))
        depth += text in _DEEPER
        at += len(text)
    return found
