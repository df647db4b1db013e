"""The sweeper: brings back what got lost, on a thread and a connection of its own."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final
from uuid import UUID

import psycopg

from atum_producers import depths_store, lanes_store, sweep_store
from atum_producers import relay_store as store
from atum_schema import database, formats, maintenance, restore, traces
from atum_schema.restore import Watch
from atum_schema.script import run
from atum_schema.seldom import Seldom
from atum_schema.steps import Reached, Step, go_on

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from atum_producers.depths import Depth
    from atum_producers.publisher import Publisher
    from atum_schema.database import Connection
    from atum_schema.settings import Settings

log = logging.getLogger(__name__)

# Confirms are noted in bulk, and late: by then most tickets are claimed and need no note at all.
_TICK_S: Final = 0.2
_SWEEP_S: Final = 1.0
_PARTITIONS_S: Final = 3600.0
_RECONNECT_S: Final = 0.5
_AT_ONCE: Final = 500
_ROUNDS: Final = 4
_ADOPTED_S: Final = 10.0


def _unheard(swept: sweep_store.Swept) -> None:
    """Do nothing with what a round came to."""
    del swept


class Sweeper(threading.Thread):
    """Notes confirms, repeats tickets, frees expired claims, gives up expired postings, publishes dead letters, adopts lanes.

    `swept` is told what each round came to; it must not raise. `depths` gives what was seen of queues since it was last
    asked, to be noted.
    """

    def __init__(
        self,
        settings: Settings,
        publisher: Publisher,
        stopping: threading.Event,
        reached: Reached = go_on,
        swept: Callable[[sweep_store.Swept], None] = _unheard,
        depths: Callable[[], Sequence[Depth]] = tuple,
    ) -> None:
        super().__init__(name="atum-sweeper", daemon=True)
        self._settings = settings
        self._publisher = publisher
        self._watch = Watch()
        self._stopping = stopping
        self._reached = reached
        self._swept = swept
        self._depths = depths
        self._complaints = Seldom()
        self._orphaned: tuple[str, ...] = ()
        self._connections_seen = 0
        self._last_sweep = self._last_partitions = float("-inf")

    def orphaned_lanes(self) -> tuple[str, ...]:
        """Lanes with waiting mail that the settings no longer know and nobody paused; the first lane takes their mail."""
        return self._orphaned

    def run(self) -> None:
        """Sweep until the relay stops."""
        while not self._stopping.is_set():
            try:
                with database.connect(
                    self._settings.database_url.get_secret_value(), name="sweeper"
                ) as connection:
                    while not self._stopping.wait(_TICK_S):
                        self._tick(connection)
                    self._note_confirms(connection)
            except psycopg.Error as error:
                # Anything else than a lost connection is a fault of ours: say so loudly, and keep sweeping.
                level = logging.WARNING if database.is_transient(error) else logging.ERROR
                if self._complaints.due():
                    about = traces.kind(error) if level == logging.WARNING else traces.where(error)
                    log.log(level, "sweeper: the database fails; going on after a while", extra=about)
                self._stopping.wait(_RECONNECT_S)
            except Exception as error:  # noqa: BLE001 (without it a relay would look alive, and bring nothing back)
                log.error("sweeper: an error of ours; sweeping goes on", extra=traces.where(error))  # noqa: TRY400 (as above)
                self._stopping.wait(_RECONNECT_S)

    def _tick(self, connection: Connection) -> None:
        self._note_confirms(connection)
        now = time.monotonic()
        if now - self._last_sweep >= _SWEEP_S:
            self._last_sweep = now
            self._sweep(connection)
        if now - self._last_partitions >= _PARTITIONS_S:
            self._last_partitions = now
            store.ensure_partitions(connection)

    def _note_confirms(self, connection: Connection) -> None:
        confirmed = self._publisher.confirmed()
        tickets = [item for item in confirmed if isinstance(item, UUID)]
        pairs = [item for item in confirmed if isinstance(item, tuple)]
        if tickets:
            store.published(connection, tickets, lost_after_s=self._settings.ticket_lost_after_s)
            self._reached(Step.TICKET_NOTED)
        if pairs:
            store.dead_letters_published(connection, pairs)
            self._reached(Step.LETTER_NOTED)

    def look_through(self, connection: Connection) -> None:
        """Doubt everything that waits, if the database was restored or promoted since it was last looked through."""
        restore.look_through(connection, self._watch, self._settings)

    def _sweep(self, connection: Connection) -> None:
        self.look_through(connection)
        swept = sweep_store.sweep(
            connection,
            poison_crashes=self._settings.poison_crashes,
            settle_s=self._settings.settle_schedule[0],
            reached=self._reached,
        )
        self._swept(swept)
        if swept.reissued:
            log.warning(
                "sweeper: batches wait again, their workers stopped before posting",
                extra={"count": swept.reissued},
            )
        if swept.buried:
            log.error(
                "sweeper: mails are dead, each killed its worker time and again",
                extra={"count": swept.buried},
            )
        if swept.unknown:
            log.warning(
                "sweeper: batches have no recorded answer and are unknown now", extra={"count": swept.unknown}
            )
        self._adopt(connection)
        if depths := self._depths():
            depths_store.note(connection, depths)
        if self._publisher.connected:
            self._repeat_tickets(connection)
            self._publish_dead_letters(connection)
            self._publish_tasks(connection)

    def _adopt(self, connection: Connection) -> None:
        """Let the first lane have what the settings no longer know a lane for."""
        known = self._settings.lane_names
        self._orphaned = tuple(lanes_store.lanes_orphaned(connection, known))
        adopted = lanes_store.adopt(connection, known, after_s=_ADOPTED_S, limit=_AT_ONCE)
        if adopted:
            log.warning("sweeper: batches of removed lanes go on in the first one", extra={"count": adopted})

    def _repeat_tickets(self, connection: Connection) -> None:
        every = self._publisher.connections != self._connections_seen
        self._connections_seen = self._publisher.connections
        late = store.late_tickets(
            connection, publish_timeout_s=self._settings.publish_timeout_s, limit=_AT_ONCE, every=every
        )
        self._publisher.publish([_ticket(*batch) for batch in late])

    def _publish_dead_letters(self, connection: Connection) -> None:
        # After an outage there may be many, or after a wiped queue all of them.
        for _ in range(_ROUNDS):
            letters = store.take_dead_letters(
                connection, publish_timeout_s=self._settings.publish_timeout_s, limit=_AT_ONCE
            )
            if letters:
                self._reached(Step.LETTER_TAKEN)
            self._publisher.publish([_message(letter) for letter in letters])
            if len(letters) < _AT_ONCE:
                return

    def _publish_tasks(self, connection: Connection) -> None:
        due = run(connection, maintenance.tickets_due(again_s=self._settings.publish_timeout_s))
        self._publisher.publish([formats.maintain_ticket(task) for task in due])


def _ticket(batch_id: UUID, lane: str, state: str) -> formats.Outgoing:
    return formats.reconcile_ticket(batch_id) if state == "unknown" else formats.ticket(batch_id, lane)


def _message(letter: store.DeadLetter) -> formats.Outgoing:
    return formats.dead_letter(
        mail_id=letter.mail_id,
        cycle=letter.cycle,
        reason=letter.reason,
        code=letter.code,
        attempts=letter.attempts,
    )
