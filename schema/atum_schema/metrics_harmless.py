"""Metering that harms nobody: whatever goes wrong in it is logged, and what it watches goes on."""

from __future__ import annotations

import logging
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from atum_schema import traces
from atum_schema.seldom import Seldom

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

_P = ParamSpec("_P")


class Harmless:
    """What an observer is built on whose methods are `harmless`."""

    def __init__(self) -> None:
        self.complaints = Seldom()


_Self = TypeVar("_Self", bound=Harmless)


def harmless(method: Callable[Concatenate[_Self, _P], None]) -> Callable[Concatenate[_Self, _P], None]:
    """Make a method that never raises; at most every few seconds it says in the log what went wrong."""

    @wraps(method)
    def guarded(self: _Self, /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 (an answer in hand is worth more than any count)
            if self.complaints.due():
                # Not its text: it may quote what was counted.
                log.error("metrics: one could not be counted", extra=traces.where(error))  # noqa: TRY400

    return guarded
