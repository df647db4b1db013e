"""A relay and a worker at work beside a test, by hand and in a thread."""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING, Any, Self

from atum_workers import store
from tests.command_line import SENT, Place

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID


class Beside(threading.Thread):
    """A relay and a worker that issue and post small batches until they are stopped."""

    def __init__(self, place: Place, outcome: Mapping[str, Any] = SENT) -> None:
        super().__init__()
        self._place = place
        self._outcome = outcome
        self._stopped = threading.Event()
        self.posted: list[UUID] = []

    def run(self) -> None:
        steps = Place(self._place.url)
        try:
            while not self._stopped.wait(0.01):
                for batch in steps.issue(mails=5, window=4):
                    self._post(steps, batch)
        finally:
            steps.close()

    def _post(self, steps: Place, batch: UUID) -> None:
        token = uuid.uuid4()
        claimed = store.claim(steps.connection, batch=batch, token=token, worker="tests/1", lease_s=60)
        if claimed and store.mark_posting(steps.connection, batch=batch, token=token, lease_s=60):
            ((mail_ids,),) = steps.sql("SELECT mail_ids FROM atum.batch WHERE id = %(id)s", id=batch)
            self.posted += mail_ids
            steps.record(batch, token, self._outcome)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop it; nothing is posted afterwards."""
        self._stopped.set()
        self.join(30)
