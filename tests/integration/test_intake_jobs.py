"""What the intake does with jobs, good and bad: stored once, or in `mail.rejected` with the reason, and never in the way."""

from __future__ import annotations

import logging
import struct
import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson
import pika
import psycopg
import pytest

from atum_ops.stack.ports import free_port
from atum_schema import document as documents
from atum_schema import job, topology
from atum_schema.ids import new_mail_id
from tests.command_line import run
from tests.intaking import Inbox, depth, document, publish, take_rejected
from tests.logged import said
from tests.nodes import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

FUTURE = datetime.now(UTC) + timedelta(days=2)


@pytest.fixture
def inbox(database_url: str, amqp_url: str) -> Iterator[Inbox]:
    """An intake of the test's own: whatever it still has in hand at the end can reach no other test."""
    with Inbox(database_url, amqp_url) as inbox:
        yield inbox
    assert depth(amqp_url, topology.INTAKE) in (0, -1)
    assert depth(amqp_url, topology.REJECTED) in (0, -1)


def test_a_job_becomes_a_mail_of_its_client_under_its_own_id(inbox: Inbox) -> None:
    one = document(to=["Jane <jane@example.org>"], metadata={"order": "1"}, lane="broadcast")
    publish(inbox.amqp_url, [one], app_id="shop")
    inbox.await_mails(1)
    assert inbox.sql("SELECT id::text, client, lane, status, to_line, metadata->>'order' FROM atum.mail") == [
        (one["id"], "shop", "broadcast", "queued", "Jane <jane@example.org>", "1")
    ]
    assert inbox.tally() == {("intake_accepted", ""): 1}


def test_without_app_id_the_client_is_broker(inbox: Inbox) -> None:
    publish(inbox.amqp_url, [document()])
    inbox.await_mails(1)
    assert inbox.sql("SELECT client FROM atum.mail") == [("broker",)]


def test_what_is_stored_is_what_a_mailer_would_have_stored(inbox: Inbox) -> None:
    one = document(html="<p>Hi</p>", attachments=[{"name": "a.txt", "content": "SGk="}])
    publish(inbox.amqp_url, [one])
    inbox.await_mails(1)
    ((key_id, body),) = inbox.sql("SELECT key_id, body FROM atum.content")
    content = inbox.settings.keyring().decrypt(uuid.UUID(one["id"]), key_id, body)
    assert content == documents.content_of(documents.mail_from_document(one))


def test_the_same_job_many_times_in_one_group_and_later_is_one_mail(inbox: Inbox) -> None:
    by_id = document()
    by_key = document(1, id=None, idempotency_key="order-1")
    both = document(2, idempotency_key="order-2")
    publish(inbox.amqp_url, [by_id, by_key, both] * 5)
    inbox.await_mails(3)
    publish(inbox.amqp_url, [by_id, by_key, both])
    assert eventually(lambda: depth(inbox.amqp_url, topology.INTAKE) == 0)
    assert len(inbox.ids()) == 3
    assert {by_id["id"], both["id"]} < inbox.ids()
    assert inbox.tally() == {("intake_accepted", ""): 3}


def test_a_key_that_is_known_keeps_the_first_mail_whatever_id_comes_with_it(inbox: Inbox) -> None:
    first = document(idempotency_key="order-1")
    publish(inbox.amqp_url, [first, {**first, "id": str(new_mail_id())}])
    inbox.await_mails(1)
    assert inbox.ids() == {first["id"]}


def test_two_clients_may_have_the_same_key(inbox: Inbox) -> None:
    one = document(id=None, idempotency_key="order-1")
    publish(inbox.amqp_url, [one], app_id="shop")
    publish(inbox.amqp_url, [{**one, "subject": "Another"}], app_id="blog")
    inbox.await_mails(2)


def too_large() -> bytes:
    return orjson.dumps(document(text="x" * job.MAX_BYTES))


#: Job (or its bytes), its field and words of the reason.
BAD: dict[str, tuple[Any, str, str]] = {
    "not JSON": (b"Dear Jane", "document", "is not JSON"),
    "nothing": (b"", "document", "is not JSON"),
    "not UTF-8": (b'{"version": 1, "subject": "\xff"}', "document", "is not JSON"),
    "a list": (b"[]", "document", "must be a JSON object"),
    "nested too deep": (b"[" * 100_000 + b"]" * 100_000, "document", "is not JSON"),
    "another version": (document(version=2), "version", "reads version 1"),
    "too large": (too_large(), "document", "the limit is 14000000"),
    "neither id nor key": (document(id=None), "id", "set one of them"),
    "an id of version 4": (document(id=str(uuid.uuid4())), "id", "UUID of version 4"),
    "an id of the day after tomorrow": (
        document(
            id=str(uuid.UUID(int=(round(FUTURE.timestamp() * 1000) << 80) | 0x7000_8000_0000_0000_0000))
        ),
        "id",
        "in the future",
    ),
    "a misspelt field": (document(subjekt="x"), "subjekt", "is not a field of a mail"),
    "a wrong address": (document(to="jane@@example.com"), "to[0]", "the address '…' has '@' before"),
    "an unknown lane": (document(lane="express"), "lane", "transactional, broadcast"),
    "a reserved key": (document(idempotency_key="mail:1"), "idempotency_key", "reserved"),
    "NUL in the subject": (document(subject="a\0b"), "subject", "NUL"),
    "a secret file": (
        document(attachments=[{"name": "a.exe", "content": ""}]),
        "attachments[0].name",
        ".exe",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_job_is_rejected_with_field_and_reason_and_the_next_one_is_stored(
    name: str, inbox: Inbox
) -> None:
    bad, field, words = BAD[name]
    good = document()
    publish(inbox.amqp_url, [bad], app_id="shop", message_id="m-1", type="t", headers={"trace": "abc"})
    publish(inbox.amqp_url, [good])
    (rejected,) = take_rejected(inbox.amqp_url, 1)
    inbox.await_mails(1)
    assert (rejected.field, words in rejected.reason) == (field, True), rejected.reason
    assert rejected.body == (bad if isinstance(bad, bytes) else orjson.dumps(bad))
    kept = rejected.properties
    assert (kept.app_id, kept.message_id, kept.type, kept.delivery_mode) == ("shop", "m-1", "t", 2)
    assert kept.headers["trace"] == "abc"
    assert datetime.fromisoformat(kept.headers["rejected_at"]).tzinfo is not None
    assert inbox.ids() == {good["id"]}
    # Counted before it is acknowledged.
    kinds = {"to[0]": "to", "attachments[0].name": "attachments", "subjekt": "other"}
    expected = {("intake_accepted", ""): 1, ("intake_rejected", kinds.get(field, field)): 1}
    assert eventually(lambda: inbox.tally() == expected), inbox.tally()


def test_an_app_id_that_is_no_name_is_rejected(inbox: Inbox) -> None:
    publish(inbox.amqp_url, [document()], app_id="a\nb")
    publish(inbox.amqp_url, [document()], app_id=b"\xff\xfe")
    assert [each.field for each in take_rejected(inbox.amqp_url, 2)] == ["app_id"] * 2


def test_the_same_key_with_other_content_is_rejected(inbox: Inbox) -> None:
    first = document(id=None, idempotency_key="order-1")
    publish(inbox.amqp_url, [first, {**first, "text": "Another"}])
    (rejected,) = take_rejected(inbox.amqp_url, 1)
    assert rejected.field == "idempotency_key"
    assert "used before with different content" in rejected.reason
    inbox.await_mails(1)


def test_the_id_of_another_clients_mail_is_rejected(inbox: Inbox) -> None:
    one = document()
    publish(inbox.amqp_url, [one], app_id="shop")
    inbox.await_mails(1)
    publish(inbox.amqp_url, [one], app_id="blog")
    # Beside a key of its own, the id is refused by the database: in a group, and by itself.
    publish(inbox.amqp_url, [{**one, "idempotency_key": "order-1"}, document(5)], app_id="blog")
    rejected = take_rejected(inbox.amqp_url, 2)
    assert [each.field for each in rejected] == ["id", "id"]
    inbox.await_mails(2)
    assert inbox.sql("SELECT client FROM atum.mail WHERE id::text = %(id)s", id=one["id"]) == [("shop",)]


def test_headers_that_would_send_a_copy_elsewhere_do_not_do_so_from_mail_rejected(inbox: Inbox) -> None:
    # RabbitMQ sends copies to queues that exist; the intake makes this one on a line of its own.
    assert eventually(lambda: depth(inbox.amqp_url, topology.REJECTED) == 0)
    publish(inbox.amqp_url, [b"x"], headers={"CC": [topology.REJECTED]})
    # RabbitMQ itself delivered the sender's copy; ours is the one with a reason.
    both = take_rejected(inbox.amqp_url, 2)
    assert len(both) == 2
    assert sum("reason" in (each.properties.headers or {}) for each in both) == 1


class Moment:
    """A time in milliseconds where AMQP wants seconds, as a producer in JavaScript may well write it."""

    def __init__(self, milliseconds: int) -> None:
        self.bytes = struct.pack(">cQ", b"T", milliseconds)


def test_a_header_that_cannot_be_read_does_not_keep_the_job_from_being_stored(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = pika.data.encode_value

    def encode_moment(pieces: list[bytes], value: object) -> int:
        if isinstance(value, Moment):
            pieces.append(value.bytes)
            return len(value.bytes)
        return int(encode(pieces, value))

    monkeypatch.setattr(pika.data, "encode_value", encode_moment)
    one, other = document(), document(1)
    odd = {"at": Moment(1_764_000_000_000), "trace": "abc"}
    publish(
        inbox.amqp_url, [one, b"bad"], app_id="shop", content_encoding="utf-8", headers=odd, message_id="m-1"
    )
    publish(inbox.amqp_url, [other])
    inbox.await_mails(2)
    assert inbox.sql("SELECT client FROM atum.mail WHERE id::text = %(id)s", id=one["id"]) == [("shop",)]
    (rejected,) = take_rejected(inbox.amqp_url, 1)
    assert (rejected.properties.message_id, rejected.properties.content_encoding) == ("m-1", "utf-8")
    assert "trace" not in rejected.properties.headers


def test_a_job_that_only_the_database_refuses_is_rejected_alone(inbox: Inbox) -> None:
    with psycopg.connect(inbox.database_url, autocommit=True) as connection:
        connection.execute(
            "ALTER TABLE atum.mail ADD CONSTRAINT no_poison CHECK (subject <> 'poison') NOT VALID"
        )
        try:
            jobs = [document(place) for place in range(9)]
            jobs.insert(4, document(subject="poison"))
            publish(inbox.amqp_url, jobs)
            (rejected,) = take_rejected(inbox.amqp_url, 1)
            inbox.await_mails(9)
        finally:
            connection.execute("ALTER TABLE atum.mail DROP CONSTRAINT no_poison")
    assert (rejected.field, rejected.reason) == ("document", "the database refuses it: SQLSTATE 23514")
    assert orjson.loads(rejected.body)["subject"] == "poison"


def test_what_the_database_refuses_of_any_job_waits_until_it_is_mended(inbox: Inbox) -> None:
    with psycopg.connect(inbox.database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE atum.content RENAME TO hidden")
        publish(inbox.amqp_url, [document(place) for place in range(5)])
        assert not eventually(lambda: depth(inbox.amqp_url, topology.REJECTED) > 0, seconds=1.5)
        connection.execute("ALTER TABLE atum.hidden RENAME TO content")
    inbox.await_mails(5)


def test_a_flood_of_bad_jobs_is_rejected_whole_and_holds_nobody_up(inbox: Inbox) -> None:
    good = [document(place) for place in range(100)]
    publish(inbox.amqp_url, [each for one in good for each in (b"bad", b"bad", one)])
    inbox.await_mails(100)
    assert len(take_rejected(inbox.amqp_url, 200)) == 200
    expected = {("intake_accepted", ""): 100, ("intake_rejected", "document"): 200}
    assert eventually(lambda: inbox.tally() == expected), inbox.tally()


def test_queue_status_says_how_many_jobs_were_rejected(inbox: Inbox) -> None:
    publish(inbox.amqp_url, [b"bad", b"bad", document(lane="express")])
    assert len(take_rejected(inbox.amqp_url, 3)) == 3
    assert eventually(lambda: sum(inbox.tally().values()) == 3)
    environment = {"ATUM_DATABASE_URL": inbox.database_url}
    answer = run("queue", "status", **environment)
    assert "jobs ever rejected by the intake: 3 (document: 2, lane: 1); see mail.rejected" in answer.out
    told = run("queue", "status", "--format=json", **environment).json
    assert told["rejected_jobs"] == {"document": 2, "lane": 1}


def test_which_server_is_away_is_told_beside_why(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    with Inbox(database_url, f"amqp://guest:guest@127.0.0.1:{free_port()}/"):
        assert eventually(lambda: any("jobs wait" in record.message for record in caplog.records))
    told = next(vars(record) for record in caplog.records if "jobs wait" in record.message)
    assert (told["reason"], told["detail"]) == ("broker", "connection refused")


def test_logs_hold_nothing_of_a_job(inbox: Inbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="atum_producers")
    publish(inbox.amqp_url, [document(to="jane@@secret.example.com"), document(text="secret", lane="secret")])
    assert len(take_rejected(inbox.amqp_url, 2)) == 2
    assert "secret" not in caplog.text + said(caplog)


def test_two_intakes_share_the_jobs_and_store_each_once(database_url: str, amqp_url: str) -> None:
    jobs = [
        document(place, idempotency_key=f"order-{place % 400}", to="r@example.net", subject="x")
        for place in range(600)
    ]
    with (
        Inbox(database_url, amqp_url, intake_jobs=20) as first,
        Inbox(database_url, amqp_url, intake_jobs=20),
    ):
        publish(amqp_url, jobs)
        first.await_mails(400)
        assert first.tally() == {("intake_accepted", ""): 400}
    assert depth(amqp_url, topology.REJECTED) == 0


def test_a_job_whose_first_delivery_is_being_stored_by_another_intake_is_no_other_mail(
    database_url: str, amqp_url: str
) -> None:
    one = document()
    with (
        psycopg.connect(database_url) as other,
        Inbox(database_url, amqp_url) as inbox,
    ):
        # As an intake does that was thought dead: stored, and not committed yet.
        other.execute(
            "INSERT INTO atum.mail (id, client, lane, stream, status, sender, to_line, subject, size)"
            " VALUES (%s, 'broker', 'transactional', 'outbound', 'queued', 's@example.com', 'r@example.net', %s, 1)",
            (one["id"], one["subject"]),
        )
        publish(amqp_url, [one, document(1)])
        waiting = (
            "SELECT FROM pg_stat_activity WHERE application_name = 'atum-intake' AND wait_event_type = 'Lock'"
        )
        assert eventually(lambda: bool(inbox.sql(waiting)))
        other.commit()
        inbox.await_mails(2)
        assert inbox.tally() == {("intake_accepted", ""): 1}
    assert depth(amqp_url, topology.REJECTED) == 0


def test_stopping_finishes_what_is_in_hand(database_url: str, amqp_url: str) -> None:
    held, go_on = threading.Event(), threading.Event()

    def stored() -> None:
        held.set()
        go_on.wait(10)

    publish(amqp_url, [document(place) for place in range(50)])
    with Inbox(database_url, amqp_url, stored=stored, intake_jobs=10) as inbox:
        assert held.wait(10)
        inbox.intake.stop()
        go_on.set()
    stored_now = len(inbox.ids())
    assert stored_now
    assert eventually(lambda: depth(amqp_url, topology.INTAKE) == 50 - stored_now)
