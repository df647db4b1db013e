"""What the lines of one piece of work have in common, whoever writes them."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONTEXT: Final[ContextVar[Mapping[str, Any]]] = ContextVar("atum_log_context")


class work:  # noqa: N801 (read as `with work(mail=…)`)
    """Give every line of this thread or coroutine these keys, and no others, until the work is left, however it ends.

    Threads are used again: what was there before is back then, and what is bound meanwhile is gone.
    """

    __slots__ = ("_context", "_token")

    def __init__(self, **context: Any) -> None:
        self._context = context

    def __enter__(self) -> None:
        self._token = _CONTEXT.set(self._context)

    def __exit__(self, *_error: object) -> None:
        _CONTEXT.reset(self._token)


def also(**context: Any) -> None:
    """Give the lines of the work in hand these keys as well."""
    _CONTEXT.set({**_CONTEXT.get({}), **context})


def bound() -> Mapping[str, Any]:
    """Give the keys of the work in hand."""
    return _CONTEXT.get({})
