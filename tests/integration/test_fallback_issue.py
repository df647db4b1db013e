"""Which mails the primary and the SMTP relay are given, and what becomes of those that SMTP leaves open."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from atum_ops.audit import check
from atum_ops.simulator.records import LedgerRecord
from atum_ops.verification import audited, verify
from atum_producers import fallback_store, relay_store, sweep_store
from atum_producers.relay_store import Taken
from atum_schema import database, flow_store
from atum_schema.encryption import Keyring
from atum_schema.fallback import HELD_REASON, SMTP, Taking
from atum_schema.flow import Policy
from atum_workers import catch_up_store, reconcile_store, store
from atum_workers.deliver import Delivery
from atum_workers.outcome import Accepted, Deferred
from atum_workers.reconcile import Reconciliation
from atum_workers.retry import RetryPolicy
from atum_workers.search import SearchFailed
from atum_workers.settling import SettlePolicy
from tests.command_line import RECORDING, SENT, UNKNOWN, Place
from tests.integration.test_schema_statements import described, plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from psycopg_pool import ConnectionPool

    from atum_schema.database import Connection
    from atum_workers.deadline import Deadline
    from atum_workers.outcome import Outcome
    from atum_workers.search import Found

LANE = "transactional"
ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)
BY_SMTP = {**SENT, "http_status": None, "code": None, "provider_message_id": "m.b@example.com"}


def look(place: Place, taking: Taking, account: str, lanes: Sequence[str] = (LANE,)) -> list[bool]:
    looks = relay_store.look(
        place.connection,
        lanes=list(lanes),
        marks=[ALWAYS] * len(lanes),
        orphaned=["gone"],
        account=account,
        statement=fallback_store.STATEMENTS[taking][0],
    )
    return [each.due for each in looks]


def issue(place: Place, taking: Taking, account: str, *, mails: int = 10) -> set[UUID]:
    """Issue to an account what it may be given; give the mails."""
    flow_store.ensure(place.connection, lane=LANE, account=account, ceiling=32, rate=None)
    (due,) = look(place, taking, account)
    issued = relay_store.issue(
        place.connection,
        lane=LANE,
        lanes=[LANE],
        account=account,
        mark=ALWAYS,
        batch_mails=mails,
        batch_bytes=1_000_000,
        publish_timeout_s=5,
        policy=Policy(),
        statement=fallback_store.STATEMENTS[taking][1],
    )
    rows = place.sql(
        "SELECT unnest(mail_ids), account FROM atum.batch WHERE id = ANY(%(ids)s)", ids=list(issued.batches)
    )
    assert {row[1] for row in rows} <= {account}
    # A glance and what is issued never disagree: a relay would look for ever.
    assert due == bool(rows)
    return {row[0] for row in rows}


def pin(place: Place, mail_id: UUID, account: str) -> None:
    place.sql("UPDATE atum.mail SET account = %(account)s WHERE id = %(id)s", account=account, id=mail_id)
    place.sql(
        "UPDATE atum.ready SET account = %(account)s WHERE mail_id = %(id)s", account=account, id=mail_id
    )


def unresolved(place: Place, mail_id: UUID, account: str | None = "default") -> None:
    """Give a waiting mail an attempt whose outcome nobody knows, as one has that settling allowed to go out again."""
    place.sql(
        "INSERT INTO atum.attempt (mail_id, batch_id, token, outcome, charged, issued_at, posting_at, account)"
        " VALUES (%(id)s, gen_random_uuid(), gen_random_uuid(), 'unknown', false, now(), now(), %(account)s)",
        id=mail_id,
        account=account,
    )


def resolved(place: Place, mail_id: UUID) -> None:
    place.sql(
        "INSERT INTO atum.attempt (mail_id, batch_id, token, outcome, charged, issued_at, posting_at, account)"
        " VALUES (%(id)s, gen_random_uuid(), gen_random_uuid(), 'deferred', true, now(), now(), 'default')",
        id=mail_id,
    )


def batch(place: Place, account: str = SMTP) -> UUID:
    ((found,),) = place.sql("SELECT id FROM atum.batch WHERE account = %(account)s", account=account)
    assert isinstance(found, uuid.UUID)
    return found


def test_smtp_takes_new_mail_and_never_one_with_an_unresolved_attempt(place: Place) -> None:
    # A1, A5: the stand-in is no way to send twice what may have been sent already.
    fresh, deferred, unknown, before_accounts = place.enqueue(4)
    resolved(place, deferred)
    unresolved(place, unknown)
    unresolved(place, before_accounts, account=None)
    assert issue(place, Taking.NEW, SMTP) == {fresh, deferred}
    assert issue(place, Taking.NEW, SMTP) == set()
    assert issue(place, Taking.LEFT, "default") == {unknown, before_accounts}


def test_what_smtp_may_not_take_waits_for_the_provider_and_nothing_else_does(place: Place) -> None:
    fresh, unknown, to_provider, to_smtp = place.enqueue(4)
    unresolved(place, unknown)
    pin(place, to_provider, "default")
    pin(place, to_smtp, SMTP)
    assert issue(place, Taking.LEFT, "default") == {unknown, to_provider}
    assert issue(place, Taking.NEW, SMTP) == {fresh, to_smtp}


def test_a_mail_for_one_account_is_given_to_no_other(place: Place) -> None:
    free, to_smtp, to_provider = place.enqueue(3)
    pin(place, to_smtp, SMTP)
    pin(place, to_provider, "default")
    assert issue(place, Taking.ANY, "default") == {free, to_provider}
    assert issue(place, Taking.PINNED, SMTP) == {to_smtp}


def test_a_mail_for_smtp_alone_goes_there_again_once_a_person_lets_it_go(place: Place) -> None:
    (mail_id,) = place.enqueue(1)
    pin(place, mail_id, SMTP)
    unresolved(place, mail_id, account=SMTP)
    assert issue(place, Taking.ANY, "default") == set()
    assert issue(place, Taking.PINNED, SMTP) == {mail_id}


def test_only_due_mail_of_the_lane_is_taken(place: Place) -> None:
    (later,) = place.enqueue(1)
    place.sql("UPDATE atum.ready SET due_at = now() + interval '1 hour'")
    place.enqueue(1, lane="broadcast")
    for taking in (Taking.NEW, Taking.PINNED, Taking.LEFT):
        assert issue(place, taking, SMTP) == set()
    assert later in {row[0] for row in place.sql("SELECT mail_id FROM atum.ready")}


def test_the_first_lane_also_takes_the_mail_of_lanes_that_are_gone(place: Place) -> None:
    (new, left, pinned) = place.enqueue(3)
    unresolved(place, left)
    pin(place, pinned, SMTP)
    place.sql("UPDATE atum.ready SET lane = 'gone'")
    for lane in (LANE, "broadcast"):
        for account in ("default", SMTP):
            flow_store.ensure(place.connection, lane=lane, account=account, ceiling=32, rate=None)
    for taking, account in ((Taking.NEW, SMTP), (Taking.LEFT, "default"), (Taking.PINNED, SMTP)):
        assert sorted(look(place, taking, account, lanes=[LANE, "broadcast"])) == [False, True]
    assert new


def test_what_is_left_is_found_behind_a_backlog_that_smtp_has_taken(place: Place) -> None:
    ids = place.enqueue(300)
    unresolved(place, ids[-1])
    place.sql("UPDATE atum.ready SET due_at = now() WHERE mail_id = %(id)s", id=ids[-1])
    # The first ones are looked at only: as long as SMTP has work, that is enough.
    while issue(place, Taking.NEW, SMTP, mails=100):
        place.sql("DELETE FROM atum.batch")
    assert issue(place, Taking.LEFT, "default") == {ids[-1]}


@pytest.mark.parametrize("taking", list(fallback_store.STATEMENTS), ids=lambda taking: str(taking.value))
def test_every_way_of_issuing_gives_the_same_columns(place: Place, taking: Taking) -> None:
    look_for, take = fallback_store.STATEMENTS[taking]
    assert described(place.connection, take) == list(Taken._fields)
    assert described(place.connection, look_for) == ["lane", "due"]


@pytest.mark.parametrize("taking", list(fallback_store.STATEMENTS), ids=lambda taking: str(taking.value))
def test_issuing_takes_from_the_front_of_the_index_and_never_sorts_what_waits(
    place: Place, taking: Taking
) -> None:
    place.sql(
        "INSERT INTO atum.ready (mail_id, lane, due_at, size)"
        " SELECT gen_random_uuid(), 'transactional', now(), 100 FROM generate_series(1, 5000)"
    )
    place.sql("ANALYZE atum.ready")
    made = plan(place.connection, fallback_store.STATEMENTS[taking][1])
    assert re.search(r"Index Scan using ready_(due|pinned) on ready", made)
    # By keys it may read as it likes; by lane it would read and sort all that waits.
    assert not re.search(r"Bitmap Index Scan on ready_(due|pinned)", made)


class Unasked:
    """A provider that nobody may search."""

    def search(self, *, stream: str, key: str, value: UUID, deadline: Deadline) -> list[Found]:
        del stream, key, value, deadline
        raise AssertionError("the provider was asked about a mail that it never got")


@pytest.fixture
def pool(place: Place) -> Iterator[ConnectionPool[Connection]]:
    with database.pool(place.url, name="tests", size=2) as pool:
        yield pool


def reconciliation(pool: ConnectionPool[Connection], provider: Any = None) -> Reconciliation:
    return Reconciliation(
        pool=pool,
        provider=provider or Unasked(),
        policy=lambda: SettlePolicy(
            schedule=(0.1,), without_control=0.1, retention=3600, tries=10, crashes=3
        ),
        resend_lanes=lambda: frozenset({LANE}),
        drop_content=True,
        request_timeout_s=5,
        round_lease_s=5,
    )


def test_a_mail_whose_smtp_outcome_nobody_knows_is_held_whatever_its_policy_and_nobody_is_searched(
    place: Place, pool: ConnectionPool[Connection]
) -> None:
    ids = place.enqueue(3, on_unknown="resend")
    assert issue(place, Taking.NEW, SMTP) == set(ids)
    place.end(batch(place), **UNKNOWN)
    assert {row[0] for row in place.sql("SELECT account FROM atum.attempt")} == {SMTP}
    assert place.sql("SELECT DISTINCT status FROM atum.mail") == [("unknown",)]
    place.sql("UPDATE atum.batch SET search_at = now()")
    reconciliation(pool).reconcile(batch(place))
    assert place.sql("SELECT DISTINCT status, reason FROM atum.mail") == [("held", HELD_REASON)]
    assert place.sql("SELECT count(*) FROM atum.batch") == [(0,)]
    assert place.sql("SELECT count(*) FROM atum.held") == [(3,)]
    assert place.sql("SELECT count(*) FROM atum.content") == [(3,)]


def test_a_worker_that_died_over_an_smtp_transaction_leaves_its_mails_to_a_person(
    place: Place, pool: ConnectionPool[Connection]
) -> None:
    place.enqueue(1)
    issue(place, Taking.NEW, SMTP)
    place.post(batch(place))
    place.sql("UPDATE atum.batch SET lease_until = now() - interval '1 second'")
    swept = sweep_store.sweep(place.connection, poison_crashes=3, settle_s=0)
    assert swept.unknown == 1
    assert place.sql("SELECT outcome, account FROM atum.attempt") == [("unknown", SMTP)]
    reconciliation(pool).reconcile(batch(place))
    assert place.sql("SELECT status, reason FROM atum.mail") == [("held", HELD_REASON)]


def test_a_late_answer_of_smtp_still_proves(place: Place, pool: ConnectionPool[Connection]) -> None:
    (mail_id,) = place.enqueue(1)
    issue(place, Taking.NEW, SMTP)
    found = batch(place)
    token = place.post(found)
    place.sql("UPDATE atum.batch SET lease_until = now() - interval '1 second'")
    sweep_store.sweep(place.connection, poison_crashes=3, settle_s=0)
    reconciliation(pool).reconcile(found)
    delivery(place, pool)._record(found, token, [late(mail_id)])
    assert place.sql("SELECT status, duplicates FROM atum.mail") == [("sent", 0)]


def late(mail_id: UUID) -> store.Result:
    nothing = dict.fromkeys(store.Result._fields)
    return store.Result(**{**nothing, **BY_SMTP, "mail_id": mail_id, "was": "queued"})


class Searched:
    """A provider whose index holds nothing; it remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[UUID] = []

    def search(self, *, stream: str, key: str, value: UUID, deadline: Deadline) -> list[Found]:
        del stream, key, deadline
        self.asked.append(value)
        if value.version == 7:
            raise SearchFailed("no control")
        return []


def test_the_provider_is_searched_for_its_own_batches_only(
    place: Place, pool: ConnectionPool[Connection]
) -> None:
    (mail_id,) = place.enqueue(1)
    unresolved(place, mail_id, account=SMTP)
    issue(place, Taking.ANY, "default")
    own = batch(place, "default")
    place.end(own, **UNKNOWN)
    place.sql("UPDATE atum.batch SET search_at = now(), anchor_at = now() - interval '1 minute'")
    provider = Searched()
    reconciliation(pool, provider).reconcile(own)
    assert provider.asked == [own]


def test_a_mail_that_smtp_took_is_no_control_and_is_not_asked_for_by_catching_up(place: Place) -> None:
    (by_smtp,) = place.enqueue(1)
    issue(place, Taking.NEW, SMTP)
    place.end(batch(place), **BY_SMTP)
    values: dict[str, Any] = {"stream": "outbound", "after": ALWAYS}
    assert reconcile_store.control(place.connection, **values) is None
    since, until = uuid.UUID(int=0), uuid.UUID(int=(1 << 128) - 1)
    assert catch_up_store.untold(place.connection, after=since, last=until) == []
    (by_provider,) = place.ended(SENT)
    control = reconcile_store.control(place.connection, **values)
    assert control is not None
    assert control.mail_id == by_provider
    asked = catch_up_store.untold(place.connection, after=since, last=until)
    assert [each.id for each in asked] == [by_provider]
    assert by_smtp != by_provider


def record(mail_id: UUID) -> LedgerRecord:
    return LedgerRecord(
        seq=1,
        accepted_at=0.0,
        message_id=str(uuid.uuid4()),
        request=1,
        stream="outbound",
        sender="app@example.com",
        to=(),
        cc=(),
        bcc=(),
        subject="",
        tag="",
        metadata={"atum-mail": str(mail_id)},
    )


def test_the_ledger_check_counts_what_smtp_took_as_a_copy(place: Place) -> None:
    (by_smtp,) = place.enqueue(1)
    issue(place, Taking.NEW, SMTP)
    place.end(batch(place), **BY_SMTP)
    (by_provider,) = place.ended(SENT)
    assert verify(place.url, [record(by_provider)]).sound
    doubled = verify(place.url, [record(by_provider), record(by_smtp)])
    assert (doubled.duplicates, doubled.sound) == (1, False)
    missing = verify(place.url, [])
    assert missing.lost == 1
    with psycopg.connect(place.url) as connection:
        rows = list(audited(connection))
    assert {row.id: row.by_smtp for row in rows} == {by_smtp: 1, by_provider: 0}
    assert check(rows, None).sound


class Taker:
    """A provider that gives every item the same outcome, and counts."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.items = 0

    def post(self, items: Sequence[dict[str, Any]], deadline: Deadline) -> list[Outcome]:
        del deadline
        self.items += len(items)
        return [self.outcome] * len(items)

    def close(self) -> None:
        pass


POSTMARK = Taker(Accepted("0a129aee-e1cd-480d-b08d-4f48548ff48d"))


def delivery(
    place: Place, pool: ConnectionPool[Connection], *, provider: Any = POSTMARK, smtp: Any = None, **told: Any
) -> Delivery:
    return Delivery(
        pool=pool,
        provider=provider,
        smtp=smtp,
        keyring=Keyring(place.environment["ATUM_CONTENT_KEYS"]),
        policy=lambda: RetryPolicy(attempts=5, tries=10, base=1, maximum=60),
        worker="tests/1",
        request_timeout_s=10,
        claim_lease_s=10,
        posting_lease_s=10,
        recording=RECORDING,
        record_patience_s=5,
        marked=lambda _: None,
        **told,
    )


def test_a_batch_goes_to_the_provider_of_its_account_and_its_outcome_is_recorded_as_that_ones(
    place: Place, pool: ConnectionPool[Connection]
) -> None:
    # C20: nobody needs to guess who took a mail, and whether.
    provider = Taker(Accepted("0a129aee-e1cd-480d-b08d-4f48548ff48d"))
    smtp = Taker(Accepted("m.b@example.com", "SMTP: 250 queued", http_status=None, code=None))
    told: list[tuple[str, str]] = []
    one = delivery(
        place,
        pool,
        provider=provider,
        smtp=smtp,
        answered=lambda lane, account, *_: told.append((lane, account)),
    )
    (by_smtp,) = place.enqueue(1)
    issue(place, Taking.NEW, SMTP)
    one.deliver(batch(place))
    (by_provider,) = place.enqueue(1)
    issue(place, Taking.ANY, "default")
    one.deliver(batch(place, "default"))
    assert (provider.items, smtp.items) == (1, 1)
    assert told == [(LANE, SMTP), (LANE, "default")]
    rows = place.sql(
        "SELECT mail_id, account, outcome, http_status, code, detail FROM atum.attempt ORDER BY account"
    )
    assert rows == [
        (by_provider, "default", "accepted", 200, 0, None),
        (by_smtp, SMTP, "accepted", None, None, "SMTP: 250 queued"),
    ]
    shown = place.run("mail", "show", by_smtp, "--format=json").json
    assert [event["account"] for event in shown["events"]] == [None, SMTP]
    assert "SMTP: accepted" in place.run("mail", "show", by_smtp).out
    assert "HTTP 200" in place.run("mail", "show", by_provider).out


def test_a_mail_that_smtp_puts_off_may_go_to_the_provider_next(
    place: Place, pool: ConnectionPool[Connection]
) -> None:
    (mail_id,) = place.enqueue(1)
    issue(place, Taking.NEW, SMTP)
    later = Deferred(reason="smtp_450", detail="SMTP: RCPT TO: 450 later", charged=True)
    delivery(place, pool, smtp=Taker(later)).deliver(batch(place))
    assert place.sql("SELECT status, attempts, reason FROM atum.mail") == [("retrying", 1, "smtp_450")]
    place.sql("UPDATE atum.ready SET due_at = now()")
    assert issue(place, Taking.ANY, "default") == {mail_id}


def test_a_worker_that_knows_no_smtp_relay_sends_its_batches_back_unposted(
    place: Place, pool: ConnectionPool[Connection], caplog: pytest.LogCaptureFixture
) -> None:
    # A14: no other transport steps in silently.
    (mail_id,) = place.enqueue(1)
    issue(place, Taking.NEW, SMTP)
    provider = Taker(Accepted("x"))
    ((before,),) = place.sql("SELECT clock_timestamp()")
    delivery(place, pool, provider=provider).deliver(batch(place))
    assert provider.items == 0
    assert "ATUM_SMTP_URL is not set here" in caplog.text
    assert place.sql("SELECT status, tries FROM atum.mail") == [("queued", 0)]
    assert place.sql("SELECT count(*) FROM atum.attempt") == [(0,)]
    assert place.sql("SELECT count(*) FROM atum.batch") == [(0,)]
    assert place.sql(
        "SELECT mail_id, due_at > %(before)s + interval '3 seconds' FROM atum.ready", before=before
    ) == [(mail_id, True)]


def test_a_batch_of_an_account_that_was_renamed_still_goes_to_the_provider(
    place: Place, pool: ConnectionPool[Connection]
) -> None:
    place.enqueue(1)
    issue(place, Taking.ANY, "renamed since")
    provider = Taker(Accepted("0a129aee-e1cd-480d-b08d-4f48548ff48d"))
    delivery(place, pool, provider=provider).deliver(batch(place, "renamed since"))
    assert provider.items == 1


def test_a_pause_of_the_lane_takes_smtp_batches_back_too(place: Place) -> None:
    ids = place.enqueue(3)
    issue(place, Taking.NEW, SMTP)
    flow_store.ensure(place.connection, lane=LANE, account="default", ceiling=32, rate=None)
    assert place.run("queue", "pause", LANE, "--reason", "wrong prices").status == 0
    assert place.sql("SELECT count(*) FROM atum.batch") == [(0,)]
    assert {row[0] for row in place.sql("SELECT mail_id FROM atum.ready")} == set(ids)
    assert issue_nothing(place)


def issue_nothing(place: Place) -> bool:
    windows = flow_store.read(place.connection, lanes=[LANE])
    return {row.account: row.window.state for row in windows} == {"default": "paused", SMTP: "paused"}
