"""Publishing with confirms, from a thread of its own and within a time budget.

The relay never waits for RabbitMQ: `publish` hands messages over and returns. What is confirmed is reported by
`confirmed()`; what is not (broker down, blocked, queue gone, budget spent) is forgotten here, because Postgres
still has it as unpublished and the sweeper brings it back.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, TypeAlias
from uuid import UUID

import pika

from atum_producers.line import Line, Message, Outcome
from atum_schema.steps import Reached, Step, go_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from atum_schema.formats import Outgoing
    from atum_schema.standing import Standing

Confirms: TypeAlias = UUID | tuple[UUID, int]

# What a message confirms is a batch's id for a ticket, a pair for a dead letter.
_HANDED_OVER: Final = {UUID: Step.TICKET_HANDED_OVER, tuple: Step.LETTER_HANDED_OVER}
_ARRIVED: Final = {UUID: Step.TICKET_ARRIVED, tuple: Step.LETTER_ARRIVED}
_CONFIRMED: Final = {UUID: Step.TICKET_CONFIRMED, tuple: Step.LETTER_CONFIRMED}
_ANSWERS: Final = (Outcome.CONFIRMED, Outcome.REFUSED, Outcome.RETURNED)


def _unheard(outcome: Outcome) -> None:
    """Do nothing with what became of a message."""
    del outcome


class Publisher:
    """A line that keeps what was confirmed. `queues` are declared on every (re)connect and when one has vanished.

    `timeout_s` is the budget from `publish` to the confirm. `connections` counts the connections made: after each,
    nobody knows which tickets the broker still has. `became` is told what became of each message, and `opened` of each
    connection; neither may raise.
    """

    def __init__(
        self,
        amqp_url: str,
        *,
        queues: Iterable[str],
        timeout_s: float,
        reached: Reached = go_on,
        became: Callable[[Outcome], None] = _unheard,
        opened: Callable[[], None] | None = None,
    ) -> None:
        self._reached = reached
        self._became = became
        self._lock = threading.Lock()
        self._confirmed: list[Confirms] = []
        self._line: Line[Confirms] = Line(
            amqp_url,
            name="publisher",
            queues=queues,
            timeout_s=timeout_s,
            told=self._told,
            written=self._written,
            opened=opened,
        )

    def start(self) -> None:
        """Start the thread; connecting goes on in the background for as long as it takes."""
        self._line.start()

    def stop(self) -> None:
        """Close the connection and end the thread. What is unconfirmed stays unpublished in Postgres."""
        self._line.stop()

    @property
    def connected(self) -> bool:
        """Whether RabbitMQ takes messages now."""
        return self._line.connected

    @property
    def standing(self) -> Standing:
        """How the relay fares with RabbitMQ."""
        return self._line.standing

    @property
    def connections(self) -> int:
        """How many connections were made."""
        return self._line.connections

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Hand messages over; they are confirmed within the time budget, or forgotten."""
        if messages:
            self._line.hand_over([_message(outgoing) for outgoing in messages])

    def confirmed(self) -> list[Confirms]:
        """Take what was confirmed since the last call: batch ids, and (mail id, cycle) pairs."""
        with self._lock:
            taken, self._confirmed = self._confirmed, []
        return taken

    def _written(self, confirms: Confirms) -> None:
        self._reached(_HANDED_OVER[type(confirms)])

    def _told(self, confirms: Confirms, outcome: Outcome) -> None:
        self._became(outcome)
        if outcome in _ANSWERS:
            self._reached(_ARRIVED[type(confirms)])
        if outcome is Outcome.CONFIRMED:
            with self._lock:
                self._confirmed.append(confirms)
            self._reached(_CONFIRMED[type(confirms)])


def _message(outgoing: Outgoing) -> Message[Confirms]:
    properties = pika.BasicProperties(
        delivery_mode=2,
        content_type="application/json",
        message_id=outgoing.message_id,
        headers=dict(outgoing.headers) or None,
    )
    return Message(queue=outgoing.queue, body=outgoing.body, properties=properties, about=outgoing.confirms)
