"""Giving notices to receivers: all receivers at once, each one's notices in turn, and nobody holds up the others."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple

from atum_ops.alerts.receivers.receiver import TIMEOUT, TIMEOUT_S, words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atum_ops.alerts.breach import Breach
    from atum_ops.alerts.receivers.receiver import Receiver, Tell

_BUDGET_S: Final = 30.0
# A receiver ends its own try in time; what this cuts off is one that cannot.
_MARGIN_S: Final = 2.0
BUSY: Final = "still busy with an earlier notice"


class Result(NamedTuple):
    """What came of a try; `failure` None: the receiver took it."""

    notice: Breach
    receiver: str
    failure: str | None


class Telling:
    """Tells receivers. One round at a time."""

    def __init__(self, receivers: Sequence[Receiver], *, limit_s: float = TIMEOUT_S + _MARGIN_S) -> None:
        self._tells: dict[str, Tell] = {receiver.name: receiver.tell for receiver in receivers}
        self._limit_s = limit_s
        self._stuck: dict[str, threading.Thread] = {}
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Begin no further try; the one in hand is finished."""
        self._stopping.set()

    def tell(self, notices: Mapping[str, Sequence[Breach]], *, all_of_them: bool = False) -> list[Result]:
        """Give each receiver its notices, in order; give what was tried.

        A receiver that fails is left alone for the rest of the round, unless `all_of_them` are to be tried.
        """
        if not notices:
            return []
        with ThreadPoolExecutor(len(notices), thread_name_prefix="atum-alerts") as threads:
            lists = threads.map(
                lambda item: self._in_turn(*item, all_of_them=all_of_them), list(notices.items())
            )
            return [result for results in lists for result in results]

    def _in_turn(self, receiver: str, notices: Sequence[Breach], *, all_of_them: bool) -> list[Result]:
        results: list[Result] = []
        began = time.monotonic()
        for notice in notices:
            late = time.monotonic() - began > _BUDGET_S
            failed = bool(results) and results[-1].failure is not None
            if self._stopping.is_set() or ((failed or late) and not all_of_them):
                break
            results.append(Result(notice, receiver, self._one(receiver, notice)))
        return results

    def _one(self, receiver: str, notice: Breach) -> str | None:
        """Try once; give why it failed."""
        before = self._stuck.get(receiver)
        if before is not None and before.is_alive():
            return BUSY
        failures: list[str] = []

        def call() -> None:
            try:
                self._tells[receiver](notice)
            except BaseException as error:  # noqa: BLE001  somebody else's code may raise anything
                failures.append(words(error))

        thread = threading.Thread(target=call, name=f"atum-alerts-{receiver}", daemon=True)
        thread.start()
        thread.join(self._limit_s)
        if thread.is_alive():
            self._stuck[receiver] = thread
            return TIMEOUT
        return failures[0] if failures else None
