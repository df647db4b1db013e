"""No POST goes to who is suppressed, whenever that became known before the posting mark; the others get their mail."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from atum_schema import database
from atum_schema import suppression_orders as orders
from atum_schema.encryption import Keyring
from atum_schema.steps import Reached, Step, go_on
from atum_workers import store
from atum_workers.deliver import Delivery
from atum_workers.outcome import Accepted, Deferred
from atum_workers.retry import RetryPolicy
from tests.command_line import RECORDING, Place
from tests.nodes import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from atum_workers.outcome import Outcome


@dataclass
class Provider:
    """Takes everything, or what it is told to do first, and remembers it."""

    posted: list[dict[str, Any]] = field(default_factory=list)
    first: list[Outcome] = field(default_factory=list)

    def post(self, items: Sequence[dict[str, Any]], deadline: Any) -> list[Outcome]:
        del deadline
        self.posted += items
        return [self.first.pop(0) if self.first else Accepted(str(uuid.uuid4())) for _ in items]

    def close(self) -> None:
        """Nothing is open."""

    def lines(self) -> list[tuple[str | None, str | None, str | None]]:
        return [(item.get("To"), item.get("Cc"), item.get("Bcc")) for item in self.posted]


def unnoticed(wal: int) -> None:
    """Do nothing with the place of a mark."""
    del wal


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def pool(place: Place) -> Iterator[Any]:
    with database.pool(place.url, name="tests", size=4) as pool:
        yield pool


def deliver(place: Place, pool: Any, provider: Provider, *, reached: Reached = go_on) -> None:
    """Do the worker's part for everything that is due."""
    for batch in place.issue():
        deliver_one(place, pool, provider, batch, reached=reached)


def deliver_one(
    place: Place, pool: Any, provider: Provider, batch: UUID, *, reached: Reached = go_on
) -> None:
    Delivery(
        pool=pool,
        provider=provider,
        keyring=Keyring(place.environment["ATUM_CONTENT_KEYS"]),
        policy=lambda: RetryPolicy(attempts=3, tries=9, base=0.01, maximum=0.01),
        worker="tests/1",
        request_timeout_s=60,
        claim_lease_s=60,
        posting_lease_s=120,
        recording=RECORDING,
        record_patience_s=60,
        marked=unnoticed,
        reached=reached,
    ).deliver(batch)


def suppress(place: Place, *addresses: str, stream: str = "outbound") -> None:
    with psycopg.connect(place.url) as connection:
        orders.suppress(connection, stream, addresses, actor="operator:tests", source="operator")


def lift(place: Place) -> None:
    place.sql("UPDATE atum.suppression SET suppressed = false, pending = NULL, due_at = NULL")


def story(place: Place, mail_id: UUID) -> list[tuple[str, str | None]]:
    return [
        (cause, detail)
        for cause, detail in place.sql(
            "SELECT cause, detail FROM atum.event WHERE mail_id = %(id)s ORDER BY seq", id=mail_id
        )
    ]


def test_a_mail_whose_recipients_are_all_suppressed_is_not_posted_and_says_why(
    place: Place, pool: Any, provider: Provider
) -> None:
    suppress(place, "Jane@Example.com", "joe@example.com")
    (mail_id,) = place.enqueue(1, to="Jane Doe <JANE@example.com>", cc="joe@example.com")
    (other,) = place.enqueue(1)
    deliver(place, pool, provider)
    assert provider.lines() == [("r0@example.net", None, None)]
    assert place.sql(
        "SELECT status, reason, detail, tries, finished_at IS NOT NULL FROM atum.mail WHERE id = %(id)s",
        id=mail_id,
    ) == [("suppressed", "suppressed", "all 2 recipients are suppressed", 0, True)]
    assert story(place, mail_id)[1:] == [("suppressed", "all 2 recipients are suppressed")]
    assert place.sql("SELECT status FROM atum.mail WHERE id = %(id)s", id=other) == [("sent",)]
    assert place.sql("SELECT count(*) FROM atum.content WHERE mail_id = %(id)s", id=mail_id) == [(0,)]
    assert place.sql("SELECT count(*) FROM atum.batch") == [(0,)]
    assert place.sql("SELECT recipient, kind, source FROM atum.recipient_event ORDER BY 1") == [
        ("jane@example.com", "suppressed", "worker"),
        ("joe@example.com", "suppressed", "worker"),
    ]


def test_a_partly_suppressed_mail_goes_to_the_others_and_says_so(
    place: Place, pool: Any, provider: Provider
) -> None:
    suppress(place, "cc@example.com", "bcc@example.com")
    (mail_id,) = place.enqueue(
        1,
        to=["A <a@example.com>", "b@example.com"],
        cc=["cc@example.com", "C <c@example.com>"],
        bcc=["bcc@example.com"],
    )
    deliver(place, pool, provider)
    assert provider.lines() == [("A <a@example.com>, b@example.com", "C <c@example.com>", None)]
    assert story(place, mail_id)[1:] == [
        ("partly_suppressed", "2 of 5 recipients are suppressed and were left out"),
        ("provider_accepted", None),
    ]
    assert place.sql("SELECT status, reason, detail FROM atum.mail") == [("sent", None, None)]
    ((batch,),) = place.sql("SELECT batch_id::text FROM atum.attempt")
    assert place.sql("SELECT recipient, kind, fact FROM atum.recipient_event ORDER BY 1") == [
        ("bcc@example.com", "suppressed", batch),
        ("cc@example.com", "suppressed", batch),
    ]


def test_a_copy_becomes_the_recipient_and_a_blind_copy_never_does(
    place: Place, pool: Any, provider: Provider
) -> None:
    suppress(place, "a@example.com")
    place.enqueue(1, to="a@example.com", cc=["b@example.com", "c@example.com"], bcc="d@example.com")
    (blind,) = place.enqueue(1, to="a@example.com", bcc="d@example.com")
    deliver(place, pool, provider)
    assert provider.lines() == [("b@example.com", "c@example.com", "d@example.com")]
    assert place.sql("SELECT status, detail FROM atum.mail WHERE id = %(id)s", id=blind) == [
        ("suppressed", "1 of 2 recipients is suppressed, and only blind copies would be left")
    ]


def test_another_stream_is_another_matter(place: Place, pool: Any, provider: Provider) -> None:
    suppress(place, "r0@example.net", stream="broadcast")
    place.enqueue(1)
    deliver(place, pool, provider)
    assert len(provider.posted) == 1


def test_a_retry_is_checked_as_the_first_try_is(place: Place, pool: Any, provider: Provider) -> None:
    provider.first = [Deferred(reason="maintenance", detail="HTTP 503", charged=True)]
    (mail_id,) = place.enqueue(1, to=["a@example.com", "b@example.com"])
    deliver(place, pool, provider)
    suppress(place, "a@example.com")
    assert eventually(lambda: place.sql("SELECT due_at <= now() FROM atum.ready") == [(True,)])
    deliver(place, pool, provider)
    assert provider.lines() == [("a@example.com, b@example.com", None, None), ("b@example.com", None, None)]
    assert [cause for cause, _ in story(place, mail_id)] == [
        "accepted",
        "retry_scheduled",
        "partly_suppressed",
        "provider_accepted",
    ]


def test_each_try_says_who_was_left_out_and_who_is_lifted_meanwhile_gets_the_mail(
    place: Place, pool: Any, provider: Provider
) -> None:
    provider.first = [Deferred(reason="maintenance", detail="HTTP 503", charged=True)]
    suppress(place, "a@example.com")
    place.enqueue(1, to=["a@example.com", "b@example.com"])
    deliver(place, pool, provider)
    lift(place)
    assert eventually(lambda: place.sql("SELECT due_at <= now() FROM atum.ready") == [(True,)])
    deliver(place, pool, provider)
    assert provider.lines() == [("b@example.com", None, None), ("a@example.com, b@example.com", None, None)]


@pytest.mark.parametrize("step", [Step.CLAIMED, Step.MARKING, Step.TAKEN_OUT])
def test_who_is_suppressed_between_the_claim_and_the_mark_is_left_out(
    place: Place, pool: Any, provider: Provider, step: Step
) -> None:
    suppress(place, "a@example.com")
    place.enqueue(1, to=["a@example.com", "b@example.com", "c@example.com"])
    place.enqueue(1, to="b@example.com")

    def meanwhile(reached: Step) -> None:
        if reached is step:
            suppress(place, "b@example.com")

    deliver(place, pool, provider, reached=meanwhile)
    assert provider.lines() == [("c@example.com", None, None)]
    assert sorted(place.sql("SELECT status FROM atum.mail")) == [("sent",), ("suppressed",)]


def test_a_batch_that_is_given_back_says_only_once_who_was_left_out(
    place: Place, pool: Any, provider: Provider
) -> None:
    class Interrupted(Exception):
        """The worker ends here."""

    def interrupt(reached: Step) -> None:
        if reached is Step.TAKEN_OUT:
            raise Interrupted

    suppress(place, "a@example.com")
    (mail_id,) = place.enqueue(1, to=["a@example.com", "b@example.com"])
    (batch,) = place.issue()
    with pytest.raises(Interrupted):
        deliver_one(place, pool, provider, batch, reached=interrupt)
    ((token,),) = place.sql("SELECT token FROM atum.batch")
    assert store.release(place.connection, batch=batch, token=token, delay_s=0)
    deliver_one(place, pool, provider, batch)
    assert [cause for cause, _ in story(place, mail_id)] == [
        "accepted",
        "partly_suppressed",
        "provider_accepted",
    ]
