"""A round of searches belongs to one worker, counts once, and wants a control that is newer than the last."""

from __future__ import annotations

import uuid
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from atum_schema import database
from atum_schema.moves import Move
from atum_schema.status import Cause
from atum_schema.webhook import BATCH_KEY, MAIL_KEY
from atum_workers import reconcile_store as store
from atum_workers.reconcile import Reconciliation
from atum_workers.search import Found, SearchFailed
from atum_workers.settling import Again, SettlePolicy
from tests.command_line import SENT, UNKNOWN, Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from atum_schema.moves import Locked
    from atum_workers.deadline import Deadline

LEASE_S = 60.0
POLICY = SettlePolicy(
    schedule=(0.001, 0.002), without_control=3600.0, retention=86_400.0, tries=10, crashes=3
)


class Index:
    """A provider's search whose index a test fills by hand; it remembers what it was asked."""

    def __init__(self) -> None:
        self.messages: defaultdict[UUID, list[Found]] = defaultdict(list)
        self.asked: list[tuple[str, str, UUID]] = []
        self.down = False

    def search(self, *, stream: str, key: str, value: UUID, deadline: Deadline) -> list[Found]:
        assert deadline.remaining() > 0
        self.asked.append((stream, key, value))
        if self.down:
            raise SearchFailed("HTTP 503")
        return self.messages[value]

    def show(self, mail_id: UUID, batch: UUID, recipient: str) -> None:
        found = Found(mail_id, batch, f"message-{mail_id}", frozenset({recipient}))
        self.messages[mail_id].append(found)
        self.messages[batch].append(found)


@pytest.fixture
def index() -> Index:
    return Index()


@pytest.fixture
def reconciliation(place: Place, index: Index) -> Iterator[Reconciliation]:
    with database.pool(place.url, name="tests", size=4) as pool:
        pool.open()
        yield Reconciliation(
            pool=pool,
            provider=index,
            policy=lambda: POLICY,
            resend_lanes=lambda: frozenset({"transactional"}),
            drop_content=True,
            request_timeout_s=60.0,
            round_lease_s=LEASE_S,
        )


def unknown(place: Place, number: int = 1) -> tuple[list[UUID], UUID]:
    """Make mails whose outcome is unknown and whose search is due; give them and their batch."""
    ids = place.ended(UNKNOWN, number)
    due(place)
    ((batch,),) = place.sql("SELECT id FROM atum.batch WHERE state = 'unknown'")
    return ids, batch


def due(place: Place) -> None:
    place.sql(
        "UPDATE atum.batch SET search_at = clock_timestamp(), anchor_at = least(anchor_at, clock_timestamp())"
    )


def batch_of(place: Place, mail_id: UUID) -> UUID:
    ((batch,),) = place.sql("SELECT batch_id FROM atum.attempt WHERE mail_id = %(id)s", id=mail_id)
    found: UUID = batch
    return found


def searches(place: Place) -> tuple[int, int]:
    ((counted, failures),) = place.sql("SELECT searches, failures FROM atum.batch WHERE state = 'unknown'")
    return counted, failures


def details(place: Place, mail_id: UUID) -> list[str]:
    rows = place.sql(
        "SELECT detail FROM atum.event WHERE mail_id = %(id)s AND cause = 'searched' ORDER BY seq", id=mail_id
    )
    return [detail for (detail,) in rows]


def test_of_many_workers_one_begins_a_round(place: Place) -> None:
    _, batch = unknown(place)

    def begin(_: int) -> bool:
        with database.connect(place.url, name="tests") as connection:
            return store.begin(connection, batch=batch, lease_s=LEASE_S) is not None

    with ThreadPoolExecutor(8) as executor:
        assert sum(executor.map(begin, range(8))) == 1


def test_a_round_that_took_longer_than_its_lease_concludes_nothing(place: Place) -> None:
    (mail_id,), batch = unknown(place)
    slow = store.begin(place.connection, batch=batch, lease_s=0.0)
    quick = store.begin(place.connection, batch=batch, lease_s=LEASE_S)
    assert slow is not None
    assert quick is not None

    def decide(mail: Locked) -> list[Move]:
        return [Move(mail.mail_id, mail.status, Cause.SEARCHED)]

    again = Again(seconds=1.0, searches=1, failures=0)
    assert not store.conclude(
        place.connection, batch=batch, search_at=slow.search_at, again=again, decide=decide
    )
    assert store.conclude(
        place.connection, batch=batch, search_at=quick.search_at, again=again, decide=decide
    )
    assert searches(place) == (1, 0)
    assert len(details(place, mail_id)) == 1


def test_a_search_mail_by_mail_has_a_second_more_for_each(place: Place) -> None:
    _, batch = unknown(place, 90)
    place.sql("UPDATE atum.batch SET by_mail = true")
    assert store.begin(place.connection, batch=batch, lease_s=LEASE_S) is not None
    ((seconds,),) = place.sql(
        "SELECT extract(epoch FROM search_at - clock_timestamp())::float8 FROM atum.batch"
    )
    assert LEASE_S + 80 < seconds <= LEASE_S + 90


def test_a_round_without_any_later_mail_does_not_count_before_time_decides(
    place: Place, index: Index, reconciliation: Reconciliation
) -> None:
    (mail_id,), batch = unknown(place)
    reconciliation.reconcile(batch)
    assert searches(place) == (0, 0)
    assert index.asked == [("outbound", BATCH_KEY, batch)]
    assert details(place, mail_id) == ["not found; no later mail proves how far the provider's index is"]


def test_a_later_mail_that_the_index_does_not_show_makes_the_round_count_for_nothing(
    place: Place, index: Index, reconciliation: Reconciliation
) -> None:
    (mail_id,), batch = unknown(place)
    (control,) = place.ended(SENT)
    reconciliation.reconcile(batch)
    # The mails themselves are not even asked for.
    assert index.asked == [("outbound", MAIL_KEY, control)]
    assert searches(place) == (0, 1)
    assert "does not show a later mail yet" in details(place, mail_id)[0]


def test_an_older_copy_of_a_later_mail_proves_nothing_of_how_far_the_index_is(
    place: Place, index: Index, reconciliation: Reconciliation
) -> None:
    _, batch = unknown(place)
    (control,) = place.ended(SENT)
    # Its first POST was taken too, long ago; the index does not show the second one yet.
    index.show(control, uuid.uuid4(), "r0@example.net")
    reconciliation.reconcile(batch)
    assert searches(place) == (0, 1)
    index.show(control, batch_of(place, control), "r0@example.net")
    due(place)
    reconciliation.reconcile(batch)
    assert searches(place) == (1, 0)


def test_a_control_counts_for_one_round_only_and_the_last_round_sends_again(
    place: Place, index: Index, reconciliation: Reconciliation
) -> None:
    (mail_id,), batch = unknown(place)
    (first,) = place.ended(SENT)
    index.show(first, batch_of(place, first), "r0@example.net")
    reconciliation.reconcile(batch)
    assert searches(place) == (1, 0)
    due(place)
    reconciliation.reconcile(batch)
    assert searches(place) == (1, 0)
    (second,) = place.ended(SENT)
    index.show(second, batch_of(place, second), "r0@example.net")
    due(place)
    reconciliation.reconcile(batch)
    assert place.sql("SELECT status, reason FROM atum.mail WHERE id = %(id)s", id=mail_id) == [
        ("queued", "not_found")
    ]
    assert place.sql("SELECT mail_id, at_most FROM atum.ready") == [(mail_id, 1)]
    assert details(place, mail_id)[-1] == "not found, where a later mail was found (search 2 of 2)"


def test_a_failed_search_counts_for_nothing_and_what_was_found_before_it_counts(
    place: Place, index: Index, reconciliation: Reconciliation
) -> None:
    (mail_id,), batch = unknown(place)
    index.down = True
    reconciliation.reconcile(batch)
    assert searches(place) == (0, 1)
    assert details(place, mail_id) == ["the search failed, so it counts for nothing: HTTP 503"]


def test_what_the_index_shows_is_proof_if_its_recipients_are_the_mails_own(
    place: Place, index: Index, reconciliation: Reconciliation
) -> None:
    (first, second), batch = unknown(place, 2)
    index.show(first, batch, "r0@example.net")
    index.show(second, batch, "a.stranger@example.org")
    reconciliation.reconcile(batch)
    assert place.sql("SELECT id, status FROM atum.mail ORDER BY id") == [
        (first, "sent"),
        (second, "unknown"),
    ]


def test_every_unresolved_batch_of_a_mail_is_asked_for(
    place: Place, index: Index, reconciliation: Reconciliation
) -> None:
    (mail_id,), earlier = unknown(place)
    # Settled by time, sent again, and unknown once more.
    place.sql("DELETE FROM atum.batch")
    place.sql("UPDATE atum.mail SET status = 'queued'")
    place.sql(
        "INSERT INTO atum.ready (mail_id, lane, due_at, size) SELECT id, lane, now(), size FROM atum.mail"
    )
    (later,) = place.issue()
    place.record(later, place.post(later), UNKNOWN)
    due(place)
    index.show(mail_id, earlier, "r0@example.net")
    reconciliation.reconcile(later)
    assert {value for _, _, value in index.asked} == {earlier, later}
    assert place.sql("SELECT status FROM atum.mail") == [("sent",)]
    assert place.sql("SELECT count(*) FROM atum.batch") == [(0,)]
