"""What travels through RabbitMQ is read by Dramatiq itself and carries ids only."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Final

import dramatiq
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_schema import formats, topology

if TYPE_CHECKING:
    from atum_schema.formats import Outgoing

MAIL_ID: Final = uuid.UUID("0190a1b2-0000-7000-8000-000000000001")


def letter(*, code: int | None = 406) -> Outgoing:
    return formats.dead_letter(mail_id=MAIL_ID, cycle=3, reason="recipient_inactive", code=code, attempts=14)


@given(batch_id=st.uuids(version=4), lane=st.sampled_from(["transactional", "broadcast", "a-b_c9"]))
def test_dramatiq_reads_a_ticket_as_the_batch_id_and_nothing_more(batch_id: uuid.UUID, lane: str) -> None:
    ticket = formats.ticket(batch_id, lane)
    message: dramatiq.Message[None] = dramatiq.Message.decode(ticket.body)
    assert (message.queue_name, message.actor_name) == (f"mail.deliver.{lane}", "deliver")
    assert (message.args, message.kwargs, message.options) == ((str(batch_id),), {}, {})
    assert ticket.queue == message.queue_name
    assert ticket.confirms == batch_id
    assert ticket.message_id == str(batch_id)
    assert ticket.headers == {}


def test_dramatiq_reads_a_dead_letter_as_a_replay_of_this_cycle() -> None:
    message: dramatiq.Message[None] = dramatiq.Message.decode(letter().body)
    assert (message.queue_name, message.actor_name) == ("mail.revive", "revive")
    assert (message.args, message.kwargs, message.options) == ((str(MAIL_ID), 3), {}, {})


def test_a_dead_letter_rests_in_mail_dead_and_says_why_in_its_headers() -> None:
    outgoing = letter()
    assert outgoing.queue == "mail.dead"
    assert outgoing.headers == {"reason": "recipient_inactive", "attempts": 14, "cycle": 3, "code": 406}
    assert outgoing.confirms == (MAIL_ID, 3)
    assert outgoing.message_id == f"{MAIL_ID}/3"


def test_a_dead_letter_without_a_code_has_no_header_for_it() -> None:
    assert letter(code=None).headers == {"reason": "recipient_inactive", "attempts": 14, "cycle": 3}


@pytest.mark.parametrize("outgoing", [letter(), formats.ticket(uuid.uuid4(), "transactional")])
def test_a_message_has_the_fields_that_dramatiq_knows_and_no_other(outgoing: Outgoing) -> None:
    fields = set(orjson.loads(outgoing.body))
    message: dramatiq.Message[None] = dramatiq.Message(
        queue_name="q", actor_name="a", args=(), kwargs={}, options={}
    )
    assert fields == set(message.asdict())


def test_a_message_is_stamped_in_milliseconds() -> None:
    before = int(time.time() * 1000)
    message: dramatiq.Message[None] = dramatiq.Message.decode(letter().body)
    assert before <= message.message_timestamp <= int(time.time() * 1000)


def test_two_tickets_of_one_batch_are_two_messages() -> None:
    batch_id = uuid.uuid4()
    first, second = (orjson.loads(formats.ticket(batch_id, "a").body)["message_id"] for _ in range(2))
    assert first != second
    assert uuid.UUID(first).version == 4


def test_nothing_that_travels_has_room_for_content() -> None:
    ticket = orjson.loads(formats.ticket(uuid.uuid4(), "transactional").body)
    assert [type(uuid.UUID(value)) for value in ticket["args"]] == [uuid.UUID]
    mail_id, cycle = orjson.loads(letter().body)["args"]
    assert (uuid.UUID(mail_id), cycle) == (MAIL_ID, 3)


def test_every_queue_is_a_quorum_queue_from_which_nothing_is_ever_dropped() -> None:
    assert topology.ARGUMENTS == {"x-queue-type": "quorum"}


def test_queues_have_the_documented_names() -> None:
    assert (topology.DEAD, topology.REVIVE) == ("mail.dead", "mail.revive")
    assert topology.deliver_queue("transactional") == "mail.deliver.transactional"
