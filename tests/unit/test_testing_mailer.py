"""The mailer in memory: what applications' tests may rely on beyond what every mailer promises."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_producers.testing import InMemoryMailer
from atum_producers.testing_delivery import CAUSES
from atum_schema.errors import EnqueueFailed, EnqueueUncertain, IdempotencyConflict, MailRejected
from atum_schema.status import TRANSITIONS, WAITING, Cause, Status
from tests.command_line import without_ours
from tests.system import letters

if TYPE_CHECKING:
    from uuid import UUID

    import psycopg

    from atum_producers.testing import Outcome
    from atum_schema.mail import Mail


def letter(**fields: Any) -> Mail:
    return letters(1, **fields)[0]


def after(**delta: float) -> datetime:
    return datetime.now(UTC) + timedelta(**delta)


def test_it_needs_no_settings_and_nothing_that_the_base_does_not_install() -> None:
    code = (
        "import sys; from atum_producers.testing import InMemoryMailer; InMemoryMailer();"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=without_ours({"PATH": "", "ATUM_LANES": "?"}),
    ).stdout.split()
    assert "psycopg" in loaded
    extras = {"starlette", "uvicorn", "dramatiq", "pika", "httpx", "click", "pytest", "_pytest", "hypothesis"}
    assert extras.isdisjoint(loaded)


def test_what_was_enqueued_is_seen_as_it_was_read_back_from_its_document() -> None:
    mailer = InMemoryMailer(client="shop")
    given = letter(send_at=after(hours=1), metadata={"order": "1"}, lane=None, stream="broadcast")
    mail_id = mailer.enqueue(given)
    (seen,) = mailer.mails
    assert seen.mail == given
    assert seen.mail is not given
    assert (seen.id, seen.client, seen.lane, seen.status) == (mail_id, "shop", "broadcast", "scheduled")
    assert seen.state == mailer.get(mail_id)


def test_lanes_are_those_it_was_given() -> None:
    mailer = InMemoryMailer(lanes=("urgent", "bulk"))
    mailer.enqueue([letter(), letter(lane="bulk")])
    assert [each.lane for each in mailer.mails] == ["urgent", "bulk"]
    with pytest.raises(MailRejected, match="must be one of urgent, bulk"):
        mailer.enqueue(letter(lane="transactional"))


def test_clients_share_mails_and_time_and_not_their_keys() -> None:
    shop = InMemoryMailer(client="shop", lanes=("only",))
    billing = shop.with_client("billing")
    ids = [shop.enqueue(letter(idempotency_key="k")), billing.enqueue(letter(idempotency_key="k", text="x"))]
    assert [each.id for each in shop.mails] == [each.id for each in billing.mails] == ids
    assert shop.assert_enqueued(client="billing").lane == "only"
    later = shop.enqueue(letter(send_at=after(hours=1)))
    billing.advance(timedelta(hours=1))
    assert shop.get(later).status == "queued"


@pytest.mark.parametrize("outcome", sorted(CAUSES))
def test_draining_ends_what_is_due_as_asked(outcome: Outcome) -> None:
    mailer = InMemoryMailer()
    ids = mailer.enqueue(letters(3))
    assert mailer.drain(outcome) == {outcome: 3}
    states = [mailer.get(mail_id) for mail_id in ids]
    assert {state.status for state in states} == {outcome}
    proven = outcome in {"sent", "delivered", "bounced", "complained"}
    assert len({state.provider_message_id for state in states} - {None}) == (3 if proven else 0)
    assert all((state.reason is None) == (outcome in {"sent", "delivered"}) for state in states)
    assert all(
        (state.finished_at is None) == (outcome in {"retrying", "unknown", "held"}) for state in states
    )
    assert mailer.drain() == {}


def test_every_outcome_is_the_status_that_its_causes_lead_to_from_wherever_a_mail_waits() -> None:
    for start in WAITING:
        for outcome, causes in CAUSES.items():
            status = start
            for cause, _ in causes:
                status = TRANSITIONS[status, cause]
            assert status == outcome


def test_an_outcome_may_be_decided_mail_by_mail() -> None:
    mailer = InMemoryMailer()
    mailer.enqueue(letters(3))
    ended = mailer.drain(lambda mail: "dead" if mail.to[0].email == "r1@example.net" else "sent")
    assert ended == Counter({Status.SENT: 2, Status.DEAD: 1})
    assert [each.status for each in mailer.mails] == ["sent", "dead", "sent"]


def test_a_function_may_use_the_mailer_while_it_decides() -> None:
    mailer = InMemoryMailer()
    first, second = mailer.enqueue(letters(2))

    def decide(_mail: Mail) -> Outcome:
        mailer.cancel(second)
        mailer.enqueue(letter(subject="An answer"))
        return "sent"

    assert mailer.drain(decide) == {"sent": 1}
    assert (mailer.get(first).status, mailer.get(second).status) == ("sent", "canceled")
    # What was enqueued meanwhile is for the next time.
    assert mailer.assert_enqueued(subject="An answer").status == "queued"


@pytest.mark.parametrize("bad", ["gone", "queued", ""])
def test_a_word_that_is_no_outcome_is_refused_and_moves_nothing(bad: Any) -> None:
    mailer = InMemoryMailer()
    mailer.enqueue(letter())
    for outcome in (bad, lambda _mail: bad):
        with pytest.raises(ValueError, match="is no outcome; it must be one of sent, "):
            mailer.drain(outcome)
    assert mailer.mails[0].status == "queued"


def test_a_mail_for_later_waits_until_time_has_advanced() -> None:
    mailer = InMemoryMailer()
    mail_id = mailer.enqueue(letter(send_at=after(hours=1)))
    assert mailer.drain() == {}
    mailer.advance(timedelta(minutes=59))
    assert (mailer.drain(), mailer.get(mail_id).status) == ({}, "scheduled")
    mailer.advance(timedelta(minutes=1))
    assert mailer.get(mail_id).status == "queued"
    assert mailer.drain() == {"sent": 1}


def test_time_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="forward only"):
        InMemoryMailer().advance(timedelta(seconds=-1))


def test_a_mail_whose_time_has_run_out_expires_whatever_the_outcome() -> None:
    mailer = InMemoryMailer()
    over, fresh = mailer.enqueue([letter(expires_at=after(minutes=5)), letter(expires_at=after(minutes=15))])
    mailer.advance(timedelta(minutes=10))
    asked: list[Mail] = []

    def decide(mail: Mail) -> Outcome:
        asked.append(mail)
        return "sent"

    assert mailer.drain(decide) == {"expired": 1, "sent": 1}
    assert (mailer.get(over).status, mailer.get(fresh).status) == ("expired", "sent")
    assert len(asked) == 1


def test_a_mail_that_is_retried_is_due_again_a_minute_later() -> None:
    mailer = InMemoryMailer()
    mail_id = mailer.enqueue(letter())
    assert mailer.drain("retrying") == {"retrying": 1}
    due_at = mailer.get(mail_id).due_at
    assert due_at is not None
    assert after(seconds=50) < due_at < after(seconds=70)
    assert mailer.drain() == {}
    mailer.advance(timedelta(seconds=60))
    assert mailer.drain("retrying") == {"retrying": 1}
    assert mailer.drain() == {}
    mailer.advance(timedelta(seconds=60))
    assert mailer.drain() == {"sent": 1}
    assert mailer.get(mail_id).due_at is None


def test_inline_delivers_at_once_what_is_due() -> None:
    mailer = InMemoryMailer(inline=True)
    now, later = mailer.enqueue([letter(), letter(send_at=after(hours=1))])
    assert mailer.wait(now, timeout=0).status == "sent"
    assert mailer.get(later).status == "scheduled"
    assert mailer.with_client("other").enqueue(letter()) != now
    assert [each.status for each in mailer.mails] == ["sent", "scheduled", "sent"]


def test_enqueue_fails_as_often_as_wanted_and_stores_nothing() -> None:
    mailer = InMemoryMailer()
    mailer.fail_next(EnqueueFailed, times=2)
    for _ in range(2):
        with pytest.raises(EnqueueFailed):
            mailer.enqueue(letter(idempotency_key="k"))
    mailer.assert_nothing_enqueued()
    mailer.enqueue(letter(idempotency_key="k"))
    mailer.assert_enqueued(idempotency_key="k")


@pytest.mark.parametrize("stored", [True, False])
def test_an_uncertain_call_names_the_keys_with_which_repeating_is_safe(stored: bool) -> None:
    mailer = InMemoryMailer()
    mails = [letter(idempotency_key="k"), letter()]
    mailer.fail_next(EnqueueUncertain, stored=stored)
    with pytest.raises(EnqueueUncertain) as uncertain:
        mailer.enqueue(mails)
    assert uncertain.value.keys[0] == "k"
    assert len(mailer.mails) == (2 if stored else 0)
    ids = mailer.enqueue(mails, keys=uncertain.value.keys)
    assert [each.id for each in mailer.mails] == ids
    assert uncertain.value.keys[1] == f"mail:{ids[1]}"


def test_a_call_that_is_refused_is_not_the_one_that_fails() -> None:
    mailer = InMemoryMailer()
    mailer.enqueue(letter(idempotency_key="k"))
    mailer.fail_next(EnqueueFailed)
    with pytest.raises(MailRejected):
        mailer.enqueue(letter(lane="express"))
    with pytest.raises(EnqueueFailed):
        mailer.enqueue(letter())


def test_a_conflict_is_a_conflict_even_where_the_answer_would_be_lost() -> None:
    mailer = InMemoryMailer()
    mailer.enqueue(letter(idempotency_key="k"))
    mailer.fail_next(EnqueueUncertain, stored=True)
    with pytest.raises(IdempotencyConflict):
        mailer.enqueue(letter(idempotency_key="k", text="Other"))


def test_a_failure_that_stores_would_be_a_contradiction() -> None:
    with pytest.raises(ValueError, match="nothing was stored"):
        InMemoryMailer().fail_next(EnqueueFailed, stored=True)


def test_with_a_connection_mails_exist_at_once_and_the_callers_calls_do_not_fail() -> None:
    connection: psycopg.Connection[Any] = object()  # type: ignore[assignment]
    mailer = InMemoryMailer()
    mailer.fail_next(EnqueueFailed)
    mail_id = mailer.enqueue(letter(), connection=connection)
    assert mailer.get(mail_id, connection=connection).status == "queued"
    with pytest.raises(EnqueueFailed):
        mailer.enqueue(letter())


def test_waiting_ends_as_soon_as_another_thread_has_drained() -> None:
    mailer = InMemoryMailer()
    mail_id = mailer.enqueue(letter())
    answers: list[str] = []
    waiting = threading.Thread(target=lambda: answers.append(mailer.wait(mail_id, timeout=30).status))
    waiting.start()
    mailer.drain()
    waiting.join(30)
    assert answers == ["sent"]


def test_the_asynchronous_view_shares_mails_failures_and_end_with_its_mailer() -> None:
    mailer = InMemoryMailer()

    async def story() -> UUID:
        async with mailer.asynchronous as view:
            mailer.fail_next(EnqueueFailed)
            with pytest.raises(EnqueueFailed):
                await view.enqueue(letter())
            mail_id = await view.enqueue(letter())
            waiting = asyncio.create_task(view.wait(mail_id, timeout=30))
            await asyncio.sleep(0)
            assert mailer.drain() == {"sent": 1}
            assert (await waiting).status == "sent"
        with pytest.raises(EnqueueFailed, match="closed"):
            await view.enqueue(letter())
        return mail_id

    mail_id = asyncio.run(story())
    with pytest.raises(EnqueueFailed, match="closed"):
        mailer.enqueue(letter())
    # What was enqueued can be looked at all the same.
    assert mailer.assert_enqueued(status="sent").id == mail_id


def test_threads_with_one_key_store_one_mail_and_drain_each_mail_once() -> None:
    mailer = InMemoryMailer()
    barrier = threading.Barrier(8)
    ids: list[UUID] = []
    ended: Counter[Status] = Counter()

    def work(number: int) -> None:
        barrier.wait()
        for place in range(50):
            ids.append(mailer.enqueue(letter(idempotency_key=f"order-{place}")))
            mailer.enqueue(letters(2, name=f"t{number}"))
            if number % 2:
                drained = mailer.drain()
                with lock:
                    ended.update(drained)

    lock = threading.Lock()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 400
    assert len(set(ids)) == 50
    ended.update(mailer.drain())
    assert ended == {"sent": 50 + 8 * 50 * 2}


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("enqueue"), st.integers(0, 3)),
        st.tuples(st.just("cancel"), st.integers(0, 9)),
        st.tuples(st.just("drain"), st.sampled_from(sorted(CAUSES))),
        st.tuples(st.just("advance"), st.integers(0, 120)),
    ),
    max_size=30,
)


@given(events=EVENTS)
def test_whatever_happens_each_key_has_one_mail_and_each_status_is_one_that_can_be(
    events: list[tuple[str, Any]],
) -> None:
    mailer = InMemoryMailer()
    by_key: dict[int, UUID] = {}
    for kind, value in events:
        if kind == "enqueue":
            mail_id = mailer.enqueue(letter(idempotency_key=f"order-{value}"))
            assert by_key.setdefault(value, mail_id) == mail_id
        elif kind == "cancel" and value in by_key:
            before = mailer.get(by_key[value]).status
            stoppable = before in WAITING or before == Status.HELD
            assert mailer.cancel(by_key[value]).status == (
                TRANSITIONS[before, Cause.CANCELED] if stoppable else before
            )
        elif kind == "drain":
            assert sum(mailer.drain(value).values()) <= len(by_key)
        elif kind == "advance":
            mailer.advance(timedelta(seconds=value))
    assert [each.id for each in mailer.mails] == list(by_key.values())
    assert all(each.state == mailer.get(each.id) for each in mailer.mails)
