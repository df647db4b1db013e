"""A deadline that begins once a request is out: no machine is too slow to come that far."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from atum_schema.steps import Step
from atum_workers.deadline import Deadline
from tests.nodes import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

_BEFORE_S: Final = 60.0


class OnceSent:
    """A provider is told of `reached`, and posts by `deadline`, which leaves `seconds` once the last byte is written.

    `arrived` says that the other side has the request; it is waited for.
    """

    def __init__(self, seconds: float, arrived: Callable[[], bool] = lambda: True) -> None:
        self._seconds = seconds
        self._arrived = arrived
        self._sent_at: float | None = None
        self.deadline = Deadline.start(_BEFORE_S, boot=self._passed, wall=self._passed)

    def reached(self, step: Step) -> None:
        """Let the time begin where the step is the right one."""
        if step is Step.BODY_SENT and self._sent_at is None:
            assert eventually(self._arrived)
            self._sent_at = time.monotonic()

    def _passed(self) -> float:
        if self._sent_at is None:
            return 0.0
        return _BEFORE_S - self._seconds + time.monotonic() - self._sent_at
