"""One suite for every mailer: whichever an application was given, it promises the same."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from psycopg_pool import PoolClosed

from atum_producers import AsyncMailer, Mailer
from atum_producers.testing import InMemoryMailer
from atum_schema import settings
from atum_schema.errors import EnqueueFailed, IdempotencyConflict, MailNotFound, MailRejected
from atum_schema.ids import new_mail_id
from atum_schema.mail import Attachment, Mail
from tests.mailers import ALL, ASKING, KEYS, Asking, Bench, Handing, Implementation
from tests.system import letters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from atum_producers import AnyAsyncMailer, AnyMailer

_numbers = itertools.count()


@pytest.fixture(scope="module", params=ALL, ids=lambda implementation: implementation.name)
def any_bench(request: pytest.FixtureRequest) -> Iterator[Bench[Handing]]:
    implementation: Implementation[Handing] = request.param
    with implementation.opened(request) as bench:
        yield bench


@pytest.fixture
def any_mailer(any_bench: Bench[Handing]) -> Iterator[Handing]:
    with any_bench.mailer(f"client-{next(_numbers)}") as mailer:
        yield mailer


@pytest.fixture(scope="module", params=ASKING, ids=lambda implementation: implementation.name)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench[Asking]]:
    implementation: Implementation[Asking] = request.param
    with implementation.opened(request) as bench:
        yield bench


@pytest.fixture
def mailer(bench: Bench[Asking]) -> Iterator[Asking]:
    with bench.mailer(f"client-{next(_numbers)}") as mailer:
        yield mailer


def letter(**fields: Any) -> Mail:
    return letters(1, **fields)[0]


def keyed(number: int, **fields: Any) -> list[Mail]:
    return [letter(idempotency_key=f"order-{place}", **fields) for place in range(number)]


def own_keys(number: int) -> tuple[list[UUID], list[str]]:
    """Give ids, and the keys that `EnqueueUncertain` has for mails that were to get them."""
    ids = [new_mail_id() for _ in range(number)]
    return ids, [f"mail:{mail_id}" for mail_id in ids]


def is_known(mailer: Asking, mail_id: UUID) -> bool:
    try:
        return mailer.get(mail_id).id == mail_id
    except MailNotFound:
        return False


def test_a_mail_is_queued_when_enqueue_gives_its_id(mailer: Asking) -> None:
    mail_id = mailer.enqueue(letter())
    state = mailer.get(mail_id)
    assert (state.id, state.status) == (mail_id, "queued")
    assert (state.reason, state.detail, state.provider_message_id) == (None, None, None)
    assert (state.due_at, state.finished_at) == (None, None)
    assert abs(state.accepted_at - datetime.now(UTC)) < timedelta(seconds=30)


def test_a_list_gives_its_ids_in_order(mailer: Asking) -> None:
    ids = mailer.enqueue(keyed(1200))
    assert len(set(ids)) == 1200
    for place in (0, 499, 500, 1199):
        assert mailer.enqueue(letter(idempotency_key=f"order-{place}")) == ids[place]
    assert mailer.enqueue(tuple(keyed(1200)[::-1])) == ids[::-1]


def test_one_mail_gives_one_id_and_a_list_gives_a_list(any_mailer: Handing) -> None:
    one = any_mailer.enqueue(letter())
    pair = any_mailer.enqueue([letter(), letter()])
    assert type(one) is uuid.UUID
    assert type(pair) is list
    assert len({one, *pair}) == 3


def test_an_empty_list_is_no_mail(any_mailer: Handing) -> None:
    assert any_mailer.enqueue([]) == []


def test_mails_without_a_key_are_never_taken_for_each_other(any_mailer: Handing) -> None:
    assert len(set(any_mailer.enqueue([letter()] * 3))) == 3


@pytest.mark.parametrize(("place", "index"), [(None, None), (1, 1)])
def test_a_lane_that_does_not_exist_is_refused_and_nothing_is_stored(
    mailer: Asking, place: int | None, index: int | None
) -> None:
    bad = letter(lane="express")
    with pytest.raises(MailRejected) as refused:
        mailer.enqueue(bad if place is None else [*keyed(1), bad])
    assert (refused.value.field, refused.value.index) == ("lane", index)
    # Its key was not used either.
    mailer.enqueue(keyed(1, text="Other"))


def test_a_key_twice_in_a_list_is_refused_and_nothing_is_stored(any_mailer: Handing) -> None:
    with pytest.raises(MailRejected) as refused:
        any_mailer.enqueue([*keyed(2), letter(), *keyed(1)])
    assert (refused.value.field, refused.value.index) == ("idempotency_key", 3)
    any_mailer.enqueue(keyed(2, text="Other"))


@pytest.mark.parametrize("mails", [letter(), letters(2)], ids=["one", "a list"])
def test_keys_of_another_number_than_the_mails_are_refused(any_mailer: Handing, mails: Any) -> None:
    with pytest.raises(MailRejected) as refused:
        any_mailer.enqueue(mails, keys=["a", "b", "c"])
    assert refused.value.field == "keys"


def test_the_same_key_with_the_same_content_is_the_first_mail(mailer: Asking) -> None:
    everything = letter(
        idempotency_key="all",
        html="<p>Hi</p>",
        cc="Bob <bob@example.org>",
        metadata={"order": "1"},
        headers={"X-Order": "1"},
        attachments=[Attachment(name="a.txt", content=b"a")],
        send_at=datetime(2020, 1, 1, 0, 0, 0, 123456, tzinfo=UTC),
        track_links="HtmlOnly",
        on_unknown="hold",
    )
    first = mailer.enqueue(everything)
    assert mailer.enqueue(everything) == first
    fresh, known = mailer.enqueue([letter(), everything])
    assert known == first
    assert fresh != first


@pytest.mark.parametrize(
    "change", [{"text": "Other"}, {"tag": "other"}, {"to": "other@example.net"}, {"lane": "broadcast"}]
)
@pytest.mark.parametrize("alone", [True, False])
def test_the_same_key_with_other_content_is_a_conflict_and_nothing_is_stored(
    mailer: Asking, change: dict[str, str], alone: bool
) -> None:
    first = mailer.enqueue(letter(idempotency_key="known"))
    changed = letter(idempotency_key="known", **change)
    with pytest.raises(IdempotencyConflict) as conflict:
        mailer.enqueue(changed if alone else [*keyed(2), changed])
    assert conflict.value.key == "known"
    assert conflict.value.client.startswith("client-")
    assert mailer.enqueue(letter(idempotency_key="known")) == first
    # The keys of the others in the list were not used.
    mailer.enqueue(keyed(2, text="Other"))


def test_the_same_key_of_another_client_is_another_mail(bench: Bench[Asking], mailer: Asking) -> None:
    first = mailer.enqueue(letter(idempotency_key="shared"))
    with bench.mailer("another") as another:
        second = another.enqueue(letter(idempotency_key="shared", text="Other"))
        assert second != first
        assert another.enqueue(letter(idempotency_key="shared", text="Other")) == second
        assert another.get(first).id == first


def test_repeating_with_the_keys_of_an_uncertain_call_gives_each_mail_its_id(any_mailer: Handing) -> None:
    ids, keys = own_keys(3)
    mails = letters(3)
    assert any_mailer.enqueue(mails[0], keys=keys[:1]) == ids[0]
    assert any_mailer.enqueue(mails, keys=keys) == ids
    assert any_mailer.enqueue(mails, keys=keys) == ids


def test_a_key_that_comes_beside_the_mail_is_the_key_within_it(mailer: Asking) -> None:
    ids, keys = own_keys(1)
    pair = [letter(idempotency_key="order-7"), letter()]
    first, second = mailer.enqueue(pair, keys=["order-7", *keys])
    assert second == ids[0]
    assert mailer.enqueue(pair, keys=["order-7", *keys]) == [first, second]
    assert mailer.enqueue(pair[0]) == first


def test_an_id_that_another_mail_has_is_a_conflict(bench: Bench[Asking], mailer: Asking) -> None:
    ids, keys = own_keys(2)
    mailer.enqueue(letter(), keys=keys[:1])
    with pytest.raises(IdempotencyConflict):
        mailer.enqueue([letter(subject="Other"), letter()], keys=keys)
    with bench.mailer("another") as another, pytest.raises(IdempotencyConflict):
        another.enqueue(letters(2), keys=keys)
    assert not is_known(mailer, ids[1])


def test_an_id_that_nobody_has_is_not_found(mailer: Asking) -> None:
    for ask in (mailer.get, mailer.cancel, lambda mail_id: mailer.wait(mail_id, timeout=0)):
        with pytest.raises(MailNotFound):
            ask(uuid.uuid4())


def test_a_canceled_mail_stays_canceled_and_is_not_delivered(bench: Bench[Asking], mailer: Asking) -> None:
    mail_id = mailer.enqueue(letter())
    state = mailer.cancel(mail_id)
    assert (state.status, state.reason) == ("canceled", "canceled")
    assert state.finished_at is not None
    bench.deliver()
    assert mailer.cancel(mail_id) == state
    assert mailer.wait(mail_id, timeout=0) == state


def test_a_mail_that_was_sent_can_no_longer_be_stopped(bench: Bench[Asking], mailer: Asking) -> None:
    mail_id = mailer.enqueue(letter())
    bench.deliver()
    assert mailer.cancel(mail_id).status == "sent"


def test_waiting_gives_the_end_of_a_mail_at_once(bench: Bench[Asking], mailer: Asking) -> None:
    mail_id = mailer.enqueue(letter())
    bench.deliver()
    started = time.monotonic()
    state = mailer.wait(mail_id, timeout=30)
    assert time.monotonic() - started < 15
    assert (state.status, state.reason) == ("sent", None)
    assert state.provider_message_id is not None
    assert state.finished_at is not None
    assert state.finished_at >= state.accepted_at


def test_waiting_ends_with_the_last_state_when_its_time_is_over(mailer: Asking) -> None:
    mail_id = mailer.enqueue(letter())
    started = time.monotonic()
    assert mailer.wait(mail_id, timeout=0.2).status == "queued"
    assert time.monotonic() - started >= 0.2


def test_a_mail_for_later_is_scheduled_and_can_be_stopped(bench: Bench[Asking], mailer: Asking) -> None:
    now = datetime.now(UTC)
    later, past = mailer.enqueue(
        [letter(send_at=now + timedelta(hours=1)), letter(send_at=now - timedelta(hours=1))]
    )
    assert (mailer.get(later).status, mailer.get(past).status) == ("scheduled", "queued")
    bench.deliver()
    assert (mailer.get(later).status, mailer.get(past).status) == ("scheduled", "sent")
    assert mailer.cancel(later).status == "canceled"


def test_a_client_without_a_name_is_refused(any_bench: Bench[Handing]) -> None:
    with pytest.raises(MailRejected) as refused:
        any_bench.mailer("")
    assert refused.value.field == "client"


@pytest.mark.parametrize("used", [True, False], ids=["used", "never used"])
def test_a_closed_mailer_takes_no_mail_and_can_be_closed_again(any_bench: Bench[Handing], used: bool) -> None:
    with any_bench.mailer("closing") as closing:
        if used:
            closing.enqueue(letter())
    closing.close()
    for mails in (letter(), letters(2), letter(idempotency_key="closed")):
        with pytest.raises(EnqueueFailed, match="closed"):
            closing.enqueue(mails)


@pytest.mark.parametrize("used", [True, False], ids=["used", "never used"])
def test_a_closed_mailer_answers_no_question(bench: Bench[Asking], mailer: Asking, used: bool) -> None:
    mail_id = mailer.enqueue(letter())
    with bench.mailer("closing") as closing:
        if used:
            assert closing.get(mail_id).status == "queued"
    for ask in (closing.get, closing.cancel, lambda one: closing.wait(one, timeout=0)):
        with pytest.raises(PoolClosed, match="closed"):
            ask(mail_id)
    assert mailer.get(mail_id).status == "queued"


def place_order(mailer: AnyMailer) -> list[UUID]:
    """What an application does, which does not know whose mailer it was given."""
    return [mailer.enqueue(letter()), *mailer.enqueue(letters(2))]


async def place_order_async(mailer: AnyAsyncMailer) -> list[UUID]:
    return [await mailer.enqueue(letter()), *await mailer.enqueue(letters(2))]


def test_an_application_may_be_given_the_real_mailer_or_that_of_tests(database_url: str) -> None:
    loaded = settings.load(database_url=database_url, content_keys=KEYS)
    memory = InMemoryMailer()

    async def order() -> list[UUID]:
        async with AsyncMailer(settings=loaded) as mailer:
            return [*await place_order_async(mailer), *await place_order_async(memory.asynchronous)]

    with Mailer(settings=loaded) as mailer:
        ids = [*place_order(mailer), *place_order(memory), *asyncio.run(order())]
    assert len(set(ids)) == 12
    assert len(memory.mails) == 6
