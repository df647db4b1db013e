"""`queues`: those that tickets travel through exist, have the arguments that we rely on, and are consumed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import pika.exceptions

from atum_ops.health import broker
from atum_ops.health.findings import Finding, bad, good, unknown, warning
from atum_schema import away, topology

if TYPE_CHECKING:
    from typing import Any

    from atum_ops.health.surroundings import Surroundings

NAME: Final = "queues"
_NOT_FOUND: Final = 404
_PRECONDITION_FAILED: Final = 406
_REFUSED: Final = 403
_LONG: Final = 10_000
_MAKE: Final = "a relay makes it when it starts: atum-mailer relay"
_ANEW: Final = "stop the parts, move its messages elsewhere if it holds any, delete it, and start a relay, which makes it anew"


class Queue(NamedTuple):
    """A queue as the broker shows it."""

    name: str
    exists: bool
    #: What the broker said against our arguments; None: they agree.
    wrong: str | None = None
    messages: int = 0
    consumers: int = 0
    #: Whether the broker let us compare.
    allowed: bool = True


def look(surroundings: Surroundings) -> list[Finding]:
    """Ask for each queue, on a channel of its own: a refusal closes it."""
    if surroundings.settings.amqp_url is None:
        return [unknown(NAME, broker.NOT_SET)]
    needed = [
        *map(topology.deliver_queue, surroundings.settings.lane_names),
        topology.RECONCILE,
        topology.MAINTAIN,
        topology.DEAD,
    ]
    try:
        with broker.connected(surroundings.settings) as connection:
            found = [
                ask(connection, name)
                for name in (*needed, topology.INTAKE, topology.REJECTED, topology.REVIVE)
            ]
    except (pika.exceptions.AMQPError, OSError) as error:
        return [unknown(NAME, f"RabbitMQ does not answer: {away.words(error)}")]
    return judge(found, needed=frozenset(needed))


def ask(connection: Any, name: str) -> Queue:
    """Ask for one queue: whether it is there, and then whether it is the one that we would make."""
    channel = connection.channel()
    try:
        shown = channel.queue_declare(name, passive=True).method
    except pika.exceptions.ChannelClosedByBroker as error:
        return Queue(name, exists=error.reply_code != _NOT_FOUND, allowed=error.reply_code != _REFUSED)
    try:
        channel.queue_declare(name, durable=True, arguments=topology.ARGUMENTS)
    except pika.exceptions.ChannelClosedByBroker as error:
        wrong = error.reply_text if error.reply_code == _PRECONDITION_FAILED else None
        return Queue(
            name, True, wrong, shown.message_count, shown.consumer_count, allowed=error.reply_code != _REFUSED
        )
    channel.close()
    return Queue(name, True, None, shown.message_count, shown.consumer_count)


def judge(queues: list[Queue], *, needed: frozenset[str]) -> list[Finding]:
    """Say what is wrong with them."""
    found = [finding for queue in queues for finding in _of(queue, needed=queue.name in needed)]
    return found or [good(NAME, f"{sum(queue.exists for queue in queues)} queues are as they should be")]


def _of(queue: Queue, *, needed: bool) -> list[Finding]:
    name = queue.name
    if not queue.exists:
        return [warning(NAME, f"{name} does not exist", _MAKE)] if needed else []
    if queue.wrong is not None:
        return [bad(NAME, f"{name} has other arguments than ours: {_short(queue.wrong)}", _ANEW)]
    if not queue.allowed:
        text = f"{name}: the broker does not let us look"
        return [warning(NAME, text, "give the user of ATUM_AMQP_URL the right to configure mail.*")]
    return _of_traffic(queue, needed=needed)


def _of_traffic(queue: Queue, *, needed: bool) -> list[Finding]:
    name = queue.name
    if name in {topology.DEAD, topology.REJECTED}:
        text = f"{name} is consumed by somebody: what it holds is kept for people"
        return (
            [warning(NAME, text, "find the consumer: rabbitmqctl list_consumers")] if queue.consumers else []
        )
    if needed and not queue.consumers:
        return [warning(NAME, f"{name} is consumed by nobody", "start a worker: atum-mailer worker")]
    if queue.messages > _LONG:
        return [warning(NAME, f"{name} holds {queue.messages:,} messages", "start more of what consumes it")]
    return []


def _short(text: str) -> str:
    """Leave out the number and class in front, and what is too long for a line."""
    return text.removeprefix("PRECONDITION_FAILED - ")[:200]
