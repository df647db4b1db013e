"""CSV that a spreadsheet shows and does not calculate."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# What spreadsheets take for the beginning of a formula, in ASCII and in full width.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_FIRST: Final = frozenset((*_FORMULA, " "))


def cell(value: Any) -> str:
    """Write a value so that no spreadsheet takes it for a formula: an apostrophe in front says that it is text."""
    if value is None:
        return ""
    text = value if type(value) is str else str(value)
    if text[:1] not in _FIRST:
        return text
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def lines(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterable[str]:
    """Write a table, line by line (RFC 4180)."""
    yield _line(columns)
    for row in rows:
        yield _line(row)


def _line(row: Sequence[Any]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="").writerow([cell(value) for value in row])
    return written.getvalue()


def text(rows: Iterable[Sequence[Any]]) -> str:
    """Write many rows at once, each with its line feed."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([[cell(value) for value in row] for row in rows])
    return written.getvalue()
