"""What the lines of one piece of work have in common, whoever writes them."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_CONTEXT: Final[ContextVar[Mapping[str, Any]]] = ContextVar("atum_log_context")


@contextmanager
def work(**context: Any) -> Iterator[None]:
    """Give every line of this thread or coroutine these keys, and no others, until the work is left, however it ends.

    Threads are used again: what was there before is back then, and what is bound meanwhile is gone.
    """
    token = _CONTEXT.set(context)
    try:
        yield
    finally:
        _CONTEXT.reset(token)


def also(**context: Any) -> None:
    """Give the lines of the work in hand these keys as well."""
    _CONTEXT.set({**_CONTEXT.get({}), **context})


def bound() -> Mapping[str, Any]:
    """Give the keys of the work in hand."""
    return _CONTEXT.get({})
