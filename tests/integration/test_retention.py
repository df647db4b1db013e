"""What is older than it is kept goes; what is not over never does."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from atum_schema import database, live, maintenance, moves, retention_store
from atum_schema.maintenance import Task
from atum_schema.moves import Move
from atum_schema.retention import PARENTS
from atum_schema.status import Cause
from atum_workers.maintain import Maintenance
from tests import aging
from tests.aging import counts, ended_in, make, month, partitions, retain
from tests.command_line import DEAD, RETRYING, SENT, UNKNOWN
from tests.logged import said
from tests.telling import apply_all, event, tell

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from psycopg_pool import ConnectionPool

    from tests.command_line import Place

OLD = 8
NOTHING = dict.fromkeys(("mail", "event", "attempt", "recipient_event", "content"), 0)


@pytest.fixture
def pool(place: Place) -> Iterator[ConnectionPool[Any]]:
    with database.pool(place.url, name="tests", size=4) as one:
        yield one


def names(back: int) -> set[str]:
    return {month(back).partition(parent) for parent in PARENTS}


def test_a_month_that_is_older_than_it_is_kept_is_dropped_with_all_that_explains_its_mails(
    place: Place, pool: ConnectionPool[Any]
) -> None:
    old = make(place, month(OLD))
    ids = ended_in(place, old, SENT, 5)
    young = place.ended(SENT, 2)
    retained = retain(place, pool)
    assert (retained.months, retained.dropped, retained.aside) == ([str(old)], 5, 0)
    assert counts(place, ids) == NOTHING
    assert counts(place, young)["mail"] == 2
    assert not names(OLD) & partitions(place)


def test_the_youngest_months_stay_however_short_the_setting_is(
    place: Place, pool: ConnectionPool[Any]
) -> None:
    before = partitions(place)
    ids = ended_in(place, month(1), SENT)
    make(place, month(2))
    assert retain(place, pool, retention_days=1).months == (
        [str(month(2))] if datetime.now(UTC).day > 1 else []
    )
    assert partitions(place) >= before
    assert counts(place, ids)["mail"] == 1


def test_a_month_stays_until_its_last_mail_is_old_enough(place: Place, pool: ConnectionPool[Any]) -> None:
    old = make(place, month(OLD))
    days = (datetime.now(UTC) - old.ends).days
    assert retain(place, pool, retention_days=days + 1).months == []
    assert retain(place, pool, retention_days=days).months == [str(old)]


# Weaknesses A11, A18 and C13.
@pytest.mark.parametrize("outcome", [DEAD, UNKNOWN, RETRYING], ids=["dead", "unknown", "retrying"])
def test_a_mail_that_is_not_over_is_put_aside_with_everything_and_its_month_goes(
    place: Place, pool: ConnectionPool[Any], outcome: Mapping[str, Any]
) -> None:
    old = make(place, month(OLD))
    gone = ended_in(place, old, SENT, 3)
    kept = ended_in(place, old, outcome, 2)
    before = place.sql("SELECT * FROM atum.event WHERE mail_id = ANY(%(ids)s) ORDER BY seq", ids=kept)
    rows = counts(place, kept)
    retained = retain(place, pool)
    assert (retained.months, retained.dropped, retained.aside) == ([str(old)], 3, 2)
    assert counts(place, gone) == NOTHING
    assert counts(place, kept) == rows
    assert rows["content"] == 2
    after = place.sql("SELECT * FROM atum.event WHERE mail_id = ANY(%(ids)s) ORDER BY seq", ids=kept)
    assert after == before
    assert not names(OLD) & partitions(place)
    assert place.run("verify", "--format=json").json["lost"] == 0
    # Nor does any later run take them.
    assert retain(place, pool, retention_days=1, content_retention_days=1).deleted == 0
    assert counts(place, kept) == rows


def test_a_mail_that_nobody_has_posted_yet_is_never_taken(place: Place, pool: ConnectionPool[Any]) -> None:
    old = make(place, month(OLD))
    with aging.accepted(old.begins):
        waiting = place.enqueue()
        scheduled = place.enqueue(send_at=datetime.now(UTC) + timedelta(days=300))
        place.issue(mails=1)
    aging.age(place, waiting + scheduled, days=200)
    retained = retain(place, pool)
    assert (retained.dropped, retained.aside) == (0, 2)
    assert counts(place, waiting + scheduled)["content"] == 2
    for batch in [batch for (batch,) in place.sql("SELECT id FROM atum.batch")]:
        place.end(batch, **SENT)
    ((status,),) = place.sql("SELECT status FROM atum.mail WHERE id = ANY(%(ids)s)", ids=waiting)
    assert status == "sent"


def test_a_mail_that_was_put_aside_is_deleted_once_it_is_over_and_old(
    place: Place, pool: ConnectionPool[Any]
) -> None:
    old = make(place, month(OLD))
    kept = ended_in(place, old, DEAD, 3)
    retain(place, pool)
    with place.connection.transaction():
        _, locked = moves.lock_with_owners(place.connection, kept[:2]) or ([], [])
        moves.apply(place.connection, [Move(m.mail_id, m.status, Cause.DISCARDED) for m in locked])
    assert retain(place, pool).deleted == 0
    aging.age(place, kept[:2], days=91)
    retained = retain(place, pool, at_once=1)
    assert (retained.deleted, counts(place, kept[:2])) == (2, NOTHING)
    assert counts(place, kept[2:])["mail"] == 1


def test_a_mail_that_ended_lately_stays_however_long_ago_it_was_accepted(
    place: Place, pool: ConnectionPool[Any]
) -> None:
    old = make(place, month(OLD))
    with aging.accepted(old.begins):
        ids = place.ended(SENT)
    retained = retain(place, pool)
    assert (retained.months, retained.aside) == ([str(old)], 1)
    assert counts(place, ids)["mail"] == 1


def test_a_month_with_too_many_to_put_aside_stays_and_its_other_mails_go(
    place: Place, pool: ConnectionPool[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atum_schema.retention.MOST_ASIDE", 3)
    old = make(place, month(OLD))
    gone = ended_in(place, old, SENT, 6)
    kept = ended_in(place, old, DEAD, 4)
    retained = retain(place, pool, at_once=2, scanned=3)
    assert (retained.months, retained.thick, retained.deleted) == ([], [str(old)], 6)
    assert counts(place, gone) == NOTHING
    assert counts(place, kept)["mail"] == 4
    assert names(OLD) <= partitions(place)


def test_an_owner_that_the_scan_did_not_see_makes_a_month_too_thick_as_well(
    place: Place, pool: ConnectionPool[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = make(place, month(OLD))
    kept = ended_in(place, old, DEAD, 4)
    monkeypatch.setattr("atum_schema.retention.MOST_ASIDE", 3)
    assert retention_store.drop(place.connection, old, staying=[], number=4, actor="tests") is None
    assert counts(place, kept)["mail"] == 4
    assert names(OLD) <= partitions(place)


# Weakness C11.
def test_old_mail_goes_whatever_the_privacy_mode_is(place: Place, pool: ConnectionPool[Any]) -> None:
    for back, privacy in ((OLD, "full"), (OLD + 1, "metadata")):
        ids = ended_in(place, make(place, month(back)), SENT)
        assert retain(place, pool, privacy=privacy).months == [str(month(back))]
        assert counts(place, ids) == NOTHING


# Weakness C12.
def test_webhooks_counters_and_suppressions_do_not_depend_on_the_log(
    place: Place, pool: ConnectionPool[Any]
) -> None:
    old = make(place, month(OLD))
    (gone,) = ended_in(place, old, SENT)
    ((batch,),) = place.sql("SELECT batch_id FROM atum.attempt")
    retain(place, pool)
    counted = place.sql("SELECT sum(number) FROM atum.transitions")
    tell(place, event("Bounce", gone, batch), event("Delivery", gone, batch))
    apply_all(place, park_s=0)
    place.sql("UPDATE atum.webhook_inbox SET due_at = now()")
    apply_all(place, park_s=0)
    assert place.sql("SELECT DISTINCT state FROM atum.webhook_inbox") == [("unmatched",)]
    # Whom not to mail is known all the same.
    assert place.sql("SELECT address, reason FROM atum.suppression WHERE suppressed") == [
        ("r0@example.net", "hard_bounce")
    ]
    assert place.sql("SELECT sum(number) FROM atum.transitions") == counted
    assert counts(place, [gone]) == NOTHING


def test_a_key_stays_for_ever_and_its_repeat_gives_the_first_mail_and_sends_nothing(
    place: Place, pool: ConnectionPool[Any]
) -> None:
    old = make(place, month(OLD))
    with aging.accepted(old.begins):
        (first,) = place.enqueue(idempotency_key="order-1")
    for batch in place.issue():
        place.end(batch, **SENT)
    aging.age(place, [first], days=200)
    assert retain(place, pool).dropped == 1
    assert place.enqueue(idempotency_key="order-1") == [first]
    assert counts(place, [first]) == NOTHING
    assert place.sql("SELECT count(*) FROM atum.ready") == [(0,)]
    assert place.issue() == []


def test_a_mail_whose_original_is_gone_is_still_shown(place: Place, pool: ConnectionPool[Any]) -> None:
    (gone,) = ended_in(place, make(place, month(OLD)), SENT)
    (again,) = place.ended(SENT)
    place.sql("UPDATE atum.mail SET resent_from = %(gone)s WHERE id = %(again)s", gone=gone, again=again)
    retain(place, pool)
    assert place.run("mail", "show", again).status == 0
    assert place.run("mail", "show", gone).status == 1


def test_what_operators_set_while_it_runs_counts(place: Place, pool: ConnectionPool[Any]) -> None:
    old = make(place, month(OLD))
    task = aging.retaining(place, pool, retention_days=3650)
    assert task.run(aging.begun(place, pool)).months == []
    with place.connection.transaction():
        live.change(place.connection, task.settings, {"retention_days": "30"}, actor="operator:tests")
    place.sql("UPDATE atum.maintenance SET lease_until = NULL")
    assert task.run(aging.begun(place, pool)).months == [str(old)]


def test_missing_partitions_are_said(
    place: Place, pool: ConnectionPool[Any], caplog: pytest.LogCaptureFixture
) -> None:
    place.connection.execute(f"DROP TABLE atum.{month(-1).partition('event')}".encode())
    with caplog.at_level(logging.ERROR):
        assert retain(place, pool).missing == [month(-1).partition("event")]
    assert month(-1).partition("event") in said(caplog)


def test_a_run_that_is_told_to_stop_is_gone_on_with(place: Place, pool: ConnectionPool[Any]) -> None:
    ids = place.ended(SENT, 6)
    place.sql(
        "INSERT INTO atum.content (mail_id, key_id, body) SELECT unnest(%(ids)s::uuid[]), 'test', 'x'",
        ids=ids,
    )
    steps = 0

    def stopping() -> bool:
        nonlocal steps
        steps += 1
        return steps == 2

    lease = aging.begun(place, pool, stopping=stopping)
    assert aging.retaining(place, pool, at_once=2).task(lease) == 0.0
    maintenance.end(place.connection, lease.token, due_s=0)
    assert counts(place, ids)["content"] == 2
    lease = aging.begun(place, pool)
    assert lease.progress["content_after"] == str(sorted(ids)[3])
    assert aging.retaining(place, pool, at_once=2).task(lease) == 3600.0
    assert counts(place, ids)["content"] == 0
    audited = place.sql("SELECT detail FROM atum.audit WHERE action = 'retention.walked'")
    assert audited == [({"mails": 0, "contents": 6},)]


def test_the_walk_is_made_once_a_day_and_months_are_looked_at_every_time(
    place: Place, pool: ConnectionPool[Any]
) -> None:
    retain(place, pool, everything=False)
    ids = place.ended(SENT)
    place.sql("INSERT INTO atum.content (mail_id, key_id, body) VALUES (%(id)s, 'test', 'x')", id=ids[0])
    assert retain(place, pool, everything=False).contents == 0
    place.sql("UPDATE atum.maintenance SET progress = '{\"walked_at\": 0}'")
    assert retain(place, pool, everything=False).contents == 1


def test_a_worker_does_it_and_says_so_in_the_audit_log(place: Place, pool: ConnectionPool[Any]) -> None:
    old = make(place, month(OLD))
    ended_in(place, old, SENT, 2)
    ((task,),) = place.sql("SELECT id FROM atum.maintenance WHERE name = 'retain'")
    work = {Task.RETAIN: aging.retaining(place, pool).task}
    Maintenance(pool=pool, tasks=work, stopping=lambda: False).maintain(task)
    assert place.sql("SELECT actor, action, detail FROM atum.audit") == [
        ("system:retain", "retention.month_dropped", {"month": str(old), "mails": 2, "aside": 0})
    ]
    ((failure, wait),) = place.sql(
        "SELECT failure, due_at - now() FROM atum.maintenance WHERE name = 'retain'"
    )
    assert failure is None
    assert timedelta(minutes=50) < wait <= timedelta(hours=1)


@pytest.mark.parametrize("back", [-1, 0, 1])
def test_the_database_itself_refuses_to_drop_a_month_that_is_young(place: Place, back: int) -> None:
    with pytest.raises(Exception, match="must be the first day of a month before last month"):
        place.sql("SELECT atum.drop_month(%(month)s, '{}', 10, 100)", month=month(back).day)


def test_who_was_killed_after_a_month_was_dropped_leaves_no_content_behind(
    place: Place, pool: ConnectionPool[Any]
) -> None:
    old = make(place, month(OLD))
    ids = ended_in(place, old, SENT, 3)
    place.sql(
        "INSERT INTO atum.content (mail_id, key_id, body) SELECT unnest(%(ids)s::uuid[]), 'test', 'x'",
        ids=ids,
    )
    assert retention_store.drop(place.connection, old, staying=[], number=3, actor="tests") == 0
    assert counts(place, ids)["content"] == 3
    assert retain(place, pool, privacy="full", content_retention_days=3650).contents == 3


def test_the_page_says_of_every_table_how_long_it_is_kept(place: Place) -> None:
    text = (Path(__file__).parents[2] / "docs" / "retention.md").read_text()
    tables = place.sql(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'atum'::regnamespace"
        " AND relkind IN ('r', 'p') AND NOT relispartition"
    )
    named = re.findall(r"`(\w+)`", text.partition("## What is kept")[2].partition("Outside Postgres:")[0])
    assert sorted(name for (name,) in tables if name not in named) == []
