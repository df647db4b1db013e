"""RabbitMQ at its worst: tickets are lost, repeated, reordered, confirmed or not, and queues are wiped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

DELIVER: Final = "deliver"
RECONCILE: Final = "reconcile"
DEAD: Final = "dead"


class Broker:
    """Queues of ids, and what consumers hold unacked."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.now = 0.0
        self.away_until = 0.0
        #: Shares of publishes that are lost, repeated, or not confirmed.
        self.lossy = self.repeating = self.silent = 0.0
        #: Grows whenever connections broke.
        self.connection = 0
        self.version = 0
        self._queues: dict[str, list[int]] = {DELIVER: [], RECONCILE: [], DEAD: []}
        self._unacked: dict[int, tuple[str, int]] = {}

    @property
    def up(self) -> bool:
        """Whether anybody can reach it."""
        return self.now >= self.away_until

    def publish(self, queue: str, item: int) -> bool:
        """Take a message; whether it is confirmed."""
        if not self.up:
            return False
        draw = self._rng.random()
        if draw >= self.lossy:
            self._queues[queue].append(item)
            if draw < self.lossy + self.repeating:
                self._queues[queue].append(item)
            self.version += 1
        return self._rng.random() >= self.silent

    def waiting(self, queue: str) -> bool:
        """Whether a consumer would get something."""
        return self.up and bool(self._queues[queue])

    def take(self, queue: str, consumer: int) -> int | None:
        """Deliver some message, not necessarily the oldest, to a consumer."""
        if not self.waiting(queue):
            return None
        messages = self._queues[queue]
        item = messages.pop(self._rng.randrange(len(messages)))
        self._unacked[consumer] = (queue, item)
        return item

    def ack(self, consumer: int) -> None:
        """Forget what the consumer holds, if the broker has not forgotten the consumer."""
        self._unacked.pop(consumer, None)

    def lose_consumer(self, consumer: int) -> None:
        """Put back what a dead consumer held."""
        held = self._unacked.pop(consumer, None)
        if held is not None:
            self._queues[held[0]].append(held[1])
            self.version += 1

    def restart(self, away_s: float, *, wiped: bool) -> None:
        """Be away for some time; all consumers' messages come again, or everything is gone."""
        for consumer in list(self._unacked):
            self.lose_consumer(consumer)
        if wiped:
            for queue in self._queues.values():
                queue.clear()
        self.connection += 1
        self.version += 1
        self.away_until = max(self.away_until, self.now + away_s)
