"""What tests of dead letters do by hand: the relay's publishing, and looking into a queue."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import orjson
import pika

from atum_producers import relay_store
from atum_schema import formats, topology
from atum_workers.sweep_dead import pair_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from uuid import UUID

    from pika.adapters.blocking_connection import BlockingChannel

    from tests.command_line import Place

Pair = tuple["UUID", int]


@contextmanager
def broker(amqp_url: str) -> Iterator[BlockingChannel]:
    """A channel with confirms, on which the queues of dead letters are declared."""
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    try:
        channel = connection.channel()
        channel.confirm_delivery()
        for queue in (topology.DEAD, topology.REVIVE):
            channel.queue_declare(queue, durable=True, arguments=topology.ARGUMENTS)
        yield channel
    finally:
        if connection.is_open:
            connection.close()


def put(channel: BlockingChannel, body: bytes, *, queue: str = topology.DEAD, **properties: Any) -> None:
    """Put one message into a queue."""
    given = pika.BasicProperties(delivery_mode=2, **properties)
    channel.basic_publish("", queue, body, given, mandatory=True)


def message(mail_id: UUID, cycle: int = 1) -> bytes:
    """Make the body of a dead letter's message."""
    return formats.dead_letter(mail_id=mail_id, cycle=cycle, reason="invalid", code=300, attempts=1).body


def publish(place: Place, channel: BlockingChannel) -> int:
    """Do the relay's part: publish what is not in `mail.dead` yet; give how many."""
    letters = relay_store.take_dead_letters(place.connection, publish_timeout_s=5, limit=10_000)
    for letter in letters:
        put(channel, message(letter.mail_id, letter.cycle))
    pairs = [(letter.mail_id, letter.cycle) for letter in letters]
    if pairs:
        relay_store.dead_letters_published(place.connection, pairs)
    return len(pairs)


def look(amqp_url: str, queue: str = topology.DEAD) -> list[Pair | None]:
    """Give the pairs that stand in a queue, in any order; the messages go back."""
    return [pair_of(body) for body in bodies(amqp_url, queue)]


def bodies(amqp_url: str, queue: str = topology.DEAD) -> list[bytes]:
    """Give what stands in a queue, without taking it."""
    with broker(amqp_url) as channel:
        found = []
        while (got := channel.basic_get(queue))[0] is not None:
            found.append(got[2])
        return found


def letters(place: Place) -> set[Pair]:
    """Give the pairs that are dead."""
    return set(place.sql("SELECT mail_id, cycle FROM atum.dead_letter"))


def agree(place: Place, amqp_url: str) -> bool:
    """Whether RabbitMQ and Postgres hold the same pairs, each once."""
    found = look(amqp_url)
    return sorted(map(str, found)) == sorted(map(str, letters(place)))


def foreign() -> Iterable[bytes]:
    """Give messages that are none of ours, or that claim to be and are not."""
    good = orjson.loads(message(_SOMEBODY))
    yield b"\xff\x00 no JSON"
    yield b"null"
    yield b"[1, 2]"
    yield b"{}"
    yield orjson.dumps({**good, "args": ["no uuid", 1]})
    yield orjson.dumps({**good, "args": [str(_SOMEBODY)]})
    yield orjson.dumps({**good, "args": [str(_SOMEBODY), "1"]})
    yield orjson.dumps({**good, "args": [str(_SOMEBODY), True]})
    yield orjson.dumps({**good, "args": [str(_SOMEBODY), 2**31]})
    yield orjson.dumps({**good, "args": {"mail": str(_SOMEBODY)}})
    yield orjson.dumps({**good, "actor_name": "somebody_elses"})


def _somebody() -> UUID:
    from atum_schema.ids import new_mail_id

    return new_mail_id()


_SOMEBODY = _somebody()
