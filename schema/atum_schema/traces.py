"""Saying where an error came from without saying what it says: that may quote a mail."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any, Final

from atum_schema import away
from atum_schema.scrub import scrub

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_ERRORS: Final = 8
_MOST_FRAMES: Final = 25

#: Of these, the text comes from the system, the interpreter, or a server that has never seen a mail.
_TELLING: Final = (
    OSError,
    AttributeError,
    NameError,
    ImportError,
    TypeError,
    NotImplementedError,
    MemoryError,
)
_TELLING_NAMES: Final = frozenset({"pika.exceptions.AMQPError", "psycopg.OperationalError"})


def named(error: BaseException) -> str:
    """Give an error's type, PostgreSQL's code for it, and what it says where that holds nothing of a mail."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    sqlstate = getattr(error, "sqlstate", None)
    if isinstance(sqlstate, str):
        return f"{name} ({scrub(sqlstate, 5)})"
    if isinstance(error, BaseExceptionGroup):
        return f"{name} ({len(error.exceptions)}: {', '.join(map(named, error.exceptions[:_MOST_ERRORS]))})"
    says = scrub(str(error)) if _is_telling(error) else ""
    return f"{name}: {says}" if says else name


def trace(error: BaseException) -> str:
    """Give the chain of an error, its cause first: files, lines and source; no values, no texts that may quote a mail."""
    return "\n".join(_lines(error))


def _is_telling(error: BaseException) -> bool:
    if isinstance(error, _TELLING) and type(error).__module__ in {"builtins", "socket", "ssl"}:
        return True
    return any(f"{one.__module__}.{one.__qualname__}" in _TELLING_NAMES for one in type(error).__mro__)


def _lines(error: BaseException) -> Iterator[str]:
    chain = list(_chain(error))
    for place, (one, link) in enumerate(reversed(chain)):
        frames = traceback.extract_tb(one.__traceback__)
        if len(frames) > _MOST_FRAMES:
            yield f"  … {len(frames) - _MOST_FRAMES} more"
        for frame in frames[-_MOST_FRAMES:]:
            yield f"  {frame.filename}:{frame.lineno} in {frame.name}: {frame.line or ''}".rstrip(" :")
        yield named(one)
        if place < len(chain) - 1:
            yield link


def _chain(error: BaseException) -> Iterator[tuple[BaseException, str]]:
    """Give an error and what it came from, each with the words that lead on to what came of it."""
    seen: set[int] = set()
    one: BaseException | None = error
    link = ""
    while one is not None and id(one) not in seen and len(seen) < _MOST_ERRORS:
        seen.add(id(one))
        yield one, link
        if one.__cause__ is not None:
            one, link = one.__cause__, "… was the cause of:"
        else:
            one, link = (None if one.__suppress_context__ else one.__context__), "… and then:"


def kind(error: BaseException) -> dict[str, Any]:
    """Give an error's type for a log line, and PostgreSQL's code for it or why there is no connection, if that is known."""
    told = {"error": type(error).__name__}
    if sqlstate := getattr(error, "sqlstate", None):
        return {**told, "sqlstate": sqlstate}
    why = away.meaning(error) if _is_telling(error) else None
    return {**told, "detail": why} if why else told


def where(error: BaseException) -> dict[str, Any]:
    """Give an error's type for a log line, and where it came from; for errors that nobody foresaw."""
    return {**kind(error), "exception": trace(error)}
