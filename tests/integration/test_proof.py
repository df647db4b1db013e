"""Proof ends a mail wherever it is, and is never undone."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

import psycopg
import pytest

from atum_ops.chaos.proxy import Proxy
from atum_producers import sweep_store
from atum_schema import database
from atum_schema.encryption import Keyring
from atum_schema.status import Cause
from atum_workers import proof, store
from atum_workers.deadline import Deadline
from atum_workers.deliver import Delivery
from atum_workers.proof import Proof
from atum_workers.retry import RetryPolicy
from tests.command_line import DEAD, RECORDING, RETRYING, SENT, UNKNOWN, Place
from tests.nodes import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID


class Nobody:
    """A provider that must not be asked."""

    def post(self, items: Any, deadline: Any) -> NoReturn:
        del items, deadline
        raise AssertionError("posted after the deadline")

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that have passed for deliveries, which only the test lets pass."""
    clock = [0.0]

    def start(budget: float) -> Deadline:
        return Deadline.start(budget, boot=lambda: clock[0], wall=lambda: clock[0])

    monkeypatch.setattr("atum_workers.deliver.Deadline", SimpleNamespace(start=start))
    return clock


def prove(place: Place, mail_id: UUID, batch: UUID, message_id: str = "message-1") -> None:
    evidence = [Proof(mail_id, batch, message_id, "found by a search of the provider")]
    proof.prove(place.connection, evidence, cause=Cause.FOUND, drop_content=True)


def state(place: Place, mail_id: UUID) -> tuple[str, int, int]:
    """Give status, duplicates and number of owners."""
    ((status, duplicates, owners),) = place.sql(
        "SELECT m.status, m.duplicates, (SELECT count(*) FROM atum.ready r WHERE r.mail_id = m.id)"
        " + (SELECT count(*) FROM atum.batch b WHERE m.id = ANY(b.mail_ids)) FROM atum.mail m WHERE m.id = %(id)s",
        id=mail_id,
    )
    return status, duplicates, owners


def attempted_in(place: Place, mail_id: UUID) -> UUID:
    ((batch,),) = place.sql("SELECT batch_id FROM atum.attempt WHERE mail_id = %(id)s LIMIT 1", id=mail_id)
    found: UUID = batch
    return found


@pytest.mark.parametrize("outcome", [UNKNOWN, RETRYING, DEAD])
def test_proof_ends_a_mail_that_is_unknown_waiting_or_dead(
    place: Place, outcome: Mapping[str, object]
) -> None:
    (mail_id,) = place.ended(outcome)
    prove(place, mail_id, attempted_in(place, mail_id))
    assert state(place, mail_id) == ("sent", 0, 0)
    assert place.sql("SELECT count(*) FROM atum.dead_letter") == [(0,)]
    assert place.sql("SELECT count(*) FROM atum.content") == [(0,)]


def test_proof_pulls_a_mail_out_of_a_batch_that_is_issued_or_claimed(place: Place) -> None:
    first, second = place.enqueue(2)
    (batch,) = place.issue()
    prove(place, first, uuid.uuid4())
    assert state(place, first) == ("sent", 0, 0)
    assert place.sql("SELECT mail_ids FROM atum.batch WHERE id = %(id)s", id=batch) == [([second],)]


def test_the_same_proof_twice_is_one_fact(place: Place) -> None:
    (mail_id,) = place.ended(UNKNOWN)
    batch = attempted_in(place, mail_id)
    prove(place, mail_id, batch)
    prove(place, mail_id, batch)
    events = place.sql("SELECT cause FROM atum.event WHERE mail_id = %(id)s ORDER BY seq", id=mail_id)
    assert [cause for (cause,) in events] == ["accepted", "outcome_unknown", "found"]
    assert state(place, mail_id) == ("sent", 0, 0)


def test_a_second_acceptance_is_a_duplicate_with_an_event(place: Place) -> None:
    (mail_id,) = place.ended(SENT)
    prove(place, mail_id, uuid.uuid4(), "another-message")
    assert state(place, mail_id) == ("sent", 1, 0)
    events = place.sql("SELECT cause, detail FROM atum.event WHERE mail_id = %(id)s ORDER BY seq", id=mail_id)
    assert events[-1] == ("duplicate_found", "2 copies are proven")


def test_a_mail_that_is_proven_while_it_is_posted_keeps_its_proof_and_counts_the_second_copy(
    place: Place,
) -> None:
    (mail_id,) = place.enqueue(1)
    (batch,) = place.issue()
    token = place.post(batch)
    prove(place, mail_id, uuid.uuid4())
    assert state(place, mail_id) == ("sent", 0, 1)
    place.record(batch, token, SENT)
    assert state(place, mail_id) == ("sent", 1, 0)
    assert place.sql("SELECT provider_message_id FROM atum.mail") == [("message-1",)]


def test_a_mail_that_is_proven_while_it_is_posted_is_not_due_again_when_that_post_is_refused(
    place: Place,
) -> None:
    (mail_id,) = place.enqueue(1)
    (batch,) = place.issue()
    token = place.post(batch)
    prove(place, mail_id, uuid.uuid4())
    place.record(batch, token, RETRYING)
    assert state(place, mail_id) == ("sent", 0, 0)


def test_a_batch_that_is_given_back_leaves_out_what_was_proven_meanwhile(place: Place) -> None:
    first, second = place.enqueue(2)
    (batch,) = place.issue()
    token = place.post(batch)
    prove(place, first, uuid.uuid4())
    store.release(place.connection, batch=batch, token=token, delay_s=0)
    items = store.claim(place.connection, batch=batch, token=uuid.uuid4(), worker="tests/2", lease_s=60)
    assert [item.mail_id for item in items] == [second]
    assert state(place, first) == ("sent", 0, 0)


def test_no_mark_is_made_for_a_batch_in_which_a_mail_has_expired_since_the_claim(place: Place) -> None:
    place.enqueue(2)
    (batch,) = place.issue()
    token = uuid.uuid4()
    items = store.claim(place.connection, batch=batch, token=token, worker="tests/1", lease_s=60)
    ((over,),) = place.sql("SELECT clock_timestamp()")
    marked = store.mark_posting(place.connection, batch=batch, token=token, lease_s=60, first_expiry=over)
    assert len(items) == 2
    assert marked is None
    assert place.sql("SELECT state FROM atum.batch") == [("claimed",)]


@pytest.mark.parametrize(
    ("cause", "status"),
    [(Cause.DELIVERED, "delivered"), (Cause.BOUNCED, "bounced"), (Cause.COMPLAINED, "complained")],
)
@pytest.mark.parametrize("before", [UNKNOWN, DEAD, None], ids=["unknown", "dead", "waiting for a resend"])
def test_what_a_webhook_tells_proves_acceptance_as_a_search_does(
    place: Place, cause: Cause, status: str, before: Mapping[str, object] | None
) -> None:
    (mail_id,) = place.enqueue(1) if before is None else place.ended(before)
    batch = attempted_in(place, mail_id) if before is not None else uuid.uuid4()
    told = [Proof(mail_id, batch, "message-1", "told by a webhook")]
    for _ in range(2):
        proof.prove(place.connection, told, cause=cause, drop_content=True)
    assert state(place, mail_id) == (status, 0, 0)
    assert place.sql("SELECT count(*) FROM atum.batch") == [(0,)]
    assert place.sql("SELECT count(*) FROM atum.ready") == [(0,)]
    assert place.sql("SELECT provider_message_id FROM atum.mail") == [("message-1",)]
    # A search that comes later with the same message is no second copy, and takes nothing back.
    prove(place, mail_id, batch)
    assert state(place, mail_id) == (status, 0, 0)


def give_up(place: Place) -> None:
    place.sql("UPDATE atum.batch SET lease_until = clock_timestamp() - interval '1 second'")
    sweep_store.sweep(place.connection, poison_crashes=3, settle_s=60)


def test_a_batch_that_was_given_up_and_never_posted_waits_again_when_its_worker_says_so(place: Place) -> None:
    (mail_id,) = place.enqueue(1)
    (batch,) = place.issue()
    token = place.post(batch)
    give_up(place)
    assert state(place, mail_id) == ("unknown", 0, 1)
    for _ in range(2):
        assert not store.release(place.connection, batch=batch, token=token, delay_s=0)
        proof.unposted(place.connection, batch=batch, token=token, drop_content=True)
        assert state(place, mail_id) == ("retrying", 0, 1)
        assert place.sql("SELECT count(*) FROM atum.batch") == [(0,)]
        assert place.sql("SELECT outcome, charged FROM atum.attempt") == [("deferred", False)]


def test_only_the_token_of_the_posting_mark_can_say_that_a_batch_was_not_posted(place: Place) -> None:
    (mail_id,) = place.enqueue(1)
    (batch,) = place.issue()
    place.post(batch)
    give_up(place)
    proof.unposted(place.connection, batch=batch, token=uuid.uuid4(), drop_content=True)
    assert state(place, mail_id) == ("unknown", 0, 1)


def test_a_worker_whose_mark_came_too_late_tells_a_batch_given_up_meanwhile_that_it_did_not_post(
    place: Place, passed: list[float]
) -> None:
    (mail_id,) = place.enqueue(1)
    (batch,) = place.issue()

    def outlasted(wal: int) -> None:
        del wal
        passed[0] = 3600.0
        give_up(place)

    keyring = Keyring(place.environment["ATUM_CONTENT_KEYS"])
    with database.pool(place.url, name="tests", size=2) as pool:
        Delivery(
            pool=pool,
            provider=Nobody(),
            keyring=keyring,
            policy=lambda: RetryPolicy(attempts=3, tries=9, base=1, maximum=10),
            worker="tests/1",
            request_timeout_s=60,
            claim_lease_s=60,
            posting_lease_s=120,
            recording=RECORDING,
            record_patience_s=60,
            marked=outlasted,
        ).deliver(batch)
    assert state(place, mail_id) == ("retrying", 0, 1)
    assert place.sql("SELECT reason FROM atum.mail") == [("not_posted",)]


def test_a_mark_whose_confirmation_was_lost_is_taken_back_however_long_the_database_was_away(
    place: Place, passed: list[float]
) -> None:
    (mail_id,) = place.enqueue(1)
    (batch,) = place.issue()
    with Proxy(urlsplit(place.url).port or 0) as proxy:

        def lose_the_answer(wal: int) -> NoReturn:
            del wal
            passed[0] = 3600.0
            proxy.down()
            proxy.reset()
            raise psycopg.OperationalError("the connection was lost before the answer came")

        with (
            database.pool(proxy.url(place.url), name="tests", size=2) as pool,
            ThreadPoolExecutor() as threads,
        ):
            delivery = Delivery(
                pool=pool,
                provider=Nobody(),
                keyring=Keyring(place.environment["ATUM_CONTENT_KEYS"]),
                policy=lambda: RetryPolicy(attempts=3, tries=9, base=1, maximum=10),
                worker="tests/1",
                request_timeout_s=0.2,
                claim_lease_s=0.1,
                posting_lease_s=120,
                recording=RECORDING,
                record_patience_s=60,
                marked=lose_the_answer,
            )
            working = threads.submit(delivery.deliver, batch)
            assert eventually(lambda: place.sql("SELECT state FROM atum.batch") == [("posting",)])
            # Longer than a request may take, by far: what is known of the batch is not forgotten meanwhile.
            time.sleep(2)
            give_up(place)
            assert state(place, mail_id) == ("unknown", 0, 1)
            proxy.heal()
            working.result(90)
    assert state(place, mail_id) == ("retrying", 0, 1)
    assert place.sql("SELECT reason FROM atum.mail") == [("not_posted",)]


def told(place: Place, mail_id: UUID, batch: UUID, message_id: str) -> None:
    evidence = [Proof(mail_id, batch, message_id, "told by a webhook")]
    proof.prove(place.connection, evidence, cause=Cause.FOUND, drop_content=True)


def test_a_webhook_that_is_faster_than_the_answer_to_its_own_post_is_no_second_copy(place: Place) -> None:
    first, second = place.enqueue(2)
    (batch,) = place.issue()
    token = place.post(batch)
    told(place, first, batch, SENT["provider_message_id"])
    place.record(batch, token, SENT)
    assert state(place, first) == ("sent", 0, 0)
    assert state(place, second) == ("sent", 0, 0)
    attempts = place.sql("SELECT outcome, http_status, issued_at > '2000-01-01' FROM atum.attempt")
    assert attempts == [("accepted", 200, True)] * 2
    causes = place.sql("SELECT cause FROM atum.event WHERE mail_id = %(id)s ORDER BY seq", id=first)
    assert [cause for (cause,) in causes] == ["accepted", "found", "provider_accepted"]


@pytest.mark.parametrize("outcome", [UNKNOWN, RETRYING, DEAD])
def test_what_a_webhook_has_proven_stays_proven_whatever_its_own_post_is_answered(
    place: Place, outcome: Mapping[str, object]
) -> None:
    (mail_id,) = place.enqueue(1)
    (batch,) = place.issue()
    token = place.post(batch)
    told(place, mail_id, batch, "message-1")
    place.record(batch, token, outcome)
    assert state(place, mail_id)[:2] == ("sent", 0)
    assert place.sql("SELECT outcome FROM atum.attempt") == [("accepted",)]


def test_a_proven_post_whose_worker_died_is_given_up_without_harm(place: Place) -> None:
    first, second = place.enqueue(2)
    (batch,) = place.issue()
    place.post(batch)
    told(place, first, batch, "message-1")
    give_up(place)
    assert state(place, first) == ("sent", 0, 0)
    assert state(place, second) == ("unknown", 0, 1)


def test_copies_that_webhooks_have_counted_are_not_counted_again_by_the_answer(place: Place) -> None:
    (mail_id,) = place.enqueue(1)
    (batch,) = place.issue()
    token = place.post(batch)
    told(place, mail_id, uuid.uuid4(), "another-message")
    told(place, mail_id, batch, SENT["provider_message_id"])
    assert state(place, mail_id)[:2] == ("sent", 1)
    place.record(batch, token, SENT)
    assert state(place, mail_id) == ("sent", 1, 0)
