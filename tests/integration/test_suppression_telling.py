"""The provider is told what people decide here: of every order once it answers, and of none twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from atum_schema import database
from atum_schema import suppression_orders as orders
from atum_workers.deadline import Deadline
from atum_workers.postmark_api import Answer, PostmarkApi, ProviderFailed
from atum_workers.tell_suppressions import tell_suppressions, wait_s
from tests.integration.test_suppression_noting import NOW, lift, note, order, state, sync, word
from tests.simulating import HEADERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import httpx

    from atum_ops.simulator.process import SimulatorProcess
    from tests.command_line import Place

TOKEN = HEADERS["X-Postmark-Server-Token"]


@pytest.fixture
def api(simulator: SimulatorProcess) -> Iterator[PostmarkApi]:
    api = PostmarkApi(base_url=simulator.url, token=TOKEN)
    yield api
    api.close()


@pytest.fixture
def pool(place: Place) -> Iterator[Any]:
    with database.pool(place.url, name="tests", size=2) as pool:
        yield pool


class Double:
    """An API that answers as it is told to, and remembers what it was asked."""

    def __init__(self, answer: Callable[[str, str], list[Answer]]) -> None:
        self.asked: list[tuple[str, list[str]]] = []
        self._answer = answer

    def suppress(self, stream: str, addresses: Sequence[str], deadline: Any) -> list[Answer]:
        del deadline
        self.asked.append((stream, list(addresses)))
        return [one for address in addresses for one in self._answer(stream, address)]

    unsuppress = suppress


def listed(client: httpx.Client, stream: str = "outbound") -> list[tuple[str, str]]:
    """Give the provider's own list."""
    answer = client.get(f"/message-streams/{stream}/suppressions/dump").json()
    return [(one["EmailAddress"], one["SuppressionReason"]) for one in answer["Suppressions"]]


def actions(place: Place) -> list[tuple[str, str]]:
    return place.sql("SELECT actor, action FROM atum.audit ORDER BY id")


def database_time(place: Place) -> Any:
    ((now,),) = place.sql("SELECT clock_timestamp()")
    return now


def put_off(place: Place, since: Any) -> tuple[float, float]:
    """Give for how many seconds an order is put off, at least and at most, if that was decided since then."""
    ((least, most),) = place.sql(
        "SELECT extract(epoch FROM due_at - clock_timestamp())::float8, extract(epoch FROM due_at - %(since)s)::float8"
        " FROM atum.suppression",
        since=since,
    )
    return least, most


def due(place: Place) -> None:
    place.sql("UPDATE atum.suppression SET due_at = clock_timestamp() WHERE pending IS NOT NULL")


def test_the_provider_suppresses_who_was_suppressed_here(
    place: Place, pool: Any, api: PostmarkApi, client: httpx.Client
) -> None:
    order(place)
    assert tell_suppressions(pool, api) == 1
    assert listed(client) == [("jane@example.com", "ManualSuppression")]
    assert state(place) == (True, "manual", None)
    assert actions(place)[-1] == ("system:tell_suppressions", "suppression.told")
    assert tell_suppressions(pool, api) == 0


def test_what_the_provider_agreed_to_lift_is_lifted_and_stays_so_when_its_list_is_late(
    place: Place, pool: Any, api: PostmarkApi, client: httpx.Client
) -> None:
    order(place)
    tell_suppressions(pool, api)
    late = api.suppressions("outbound", Deadline.start(60))
    lift(place)
    assert state(place) == (True, "manual", "remove")
    assert tell_suppressions(pool, api) == 1
    assert listed(client) == []
    assert state(place) == (False, "manual", None)
    sync(place, *late)
    assert state(place) == (False, "manual", None)


def test_what_was_not_on_the_providers_list_is_lifted_too(place: Place, pool: Any, api: PostmarkApi) -> None:
    order(place)
    lift(place)
    assert tell_suppressions(pool, api) == 1
    assert state(place) == (False, "manual", None)


def test_what_the_provider_refuses_to_lift_stays_and_the_reason_is_recorded(
    place: Place, pool: Any, api: PostmarkApi, simulator: SimulatorProcess
) -> None:
    simulator.set_suppressions(
        [
            {
                "EmailAddress": "jane@example.com",
                "MessageStream": "outbound",
                "SuppressionReason": "SpamComplaint",
            }
        ]
    )
    order(place)
    lift(place)
    assert tell_suppressions(pool, api) == 1
    assert state(place) == (True, "manual", None)
    ((action, detail),) = place.sql("SELECT action, detail FROM atum.audit ORDER BY id DESC LIMIT 1")
    assert action == "suppression.refused"
    assert detail["order"] == "remove"
    assert "authority" in detail["reason"]


def test_what_the_provider_refuses_to_suppress_is_suppressed_here_all_the_same(
    place: Place, pool: Any, api: PostmarkApi
) -> None:
    with place.connection.transaction():
        orders.suppress(
            place.connection, "nowhere", ["jane@example.com"], actor="operator:tests", source="operator"
        )
    assert tell_suppressions(pool, api) == 1
    assert state(place, stream="nowhere") == (True, "manual", None)
    ((detail,),) = place.sql("SELECT detail FROM atum.audit WHERE action = 'suppression.refused'")
    assert "1226" in detail["reason"]


def test_one_bad_address_keeps_none_of_the_others_from_being_told(place: Place, pool: Any) -> None:
    def answer(stream: str, address: str) -> list[Answer]:
        del stream
        if address == "bad@example.com":
            raise ProviderFailed("HTTP 422, ErrorCode 1408", status=422, code=1408)
        return [Answer(address, "Suppressed", None)]

    for address in ("a@example.com", "bad@example.com", "c@example.com", "d@example.com"):
        order(place, address)
    assert tell_suppressions(pool, Double(answer)) == 4
    told = place.sql(
        "SELECT detail ->> 'address' FROM atum.audit WHERE action = 'suppression.told' ORDER BY 1"
    )
    refused = place.sql("SELECT detail ->> 'address' FROM atum.audit WHERE action = 'suppression.refused'")
    assert told == [("a@example.com",), ("c@example.com",), ("d@example.com",)]
    assert refused == [("bad@example.com",)]


def test_what_gets_no_answer_is_told_again_later_and_ever_later(
    place: Place, pool: Any, api: PostmarkApi
) -> None:
    order(place)
    broken = Double(lambda *_: [])
    for tries in (1, 2, 3):
        asked_at = database_time(place)
        assert tell_suppressions(pool, broken) == 1
        least, most = put_off(place, asked_at)
        assert least <= wait_s(tries) <= most
        assert place.sql("SELECT tries FROM atum.suppression") == [(tries,)]
        # As if it were still to wait, however slow the machine is.
        place.sql("UPDATE atum.suppression SET due_at = clock_timestamp() + interval '1 minute'")
        assert tell_suppressions(pool, broken) == 0
        due(place)
    assert tell_suppressions(pool, api) == 1
    assert state(place) == (True, "manual", None)


def test_the_distances_double_up_to_an_hour() -> None:
    assert [wait_s(tries) for tries in (1, 2, 3, 12, 13, 99)] == [1, 2, 4, 2048, 3600, 3600]


def test_a_provider_that_says_when_to_come_back_is_not_asked_before(place: Place, pool: Any) -> None:
    def answer(stream: str, address: str) -> list[Answer]:
        del stream, address
        raise ProviderFailed("HTTP 429", status=429, retry_after_s=90.0)

    order(place)
    asked_at = database_time(place)
    tell_suppressions(pool, Double(answer))
    least, most = put_off(place, asked_at)
    assert least <= 90 <= most


def test_an_order_that_changes_while_the_provider_is_told_is_told_anew(
    place: Place, pool: Any, api: PostmarkApi, client: httpx.Client
) -> None:
    def answer(stream: str, address: str) -> list[Answer]:
        del stream
        order(place)
        return [Answer(address, "Deleted", None)]

    order(place)
    lift(place)
    assert tell_suppressions(pool, Double(answer)) == 1
    assert state(place) == (True, "manual", "add")
    assert tell_suppressions(pool, api) == 1
    assert state(place) == (True, "manual", None)
    assert listed(client) == [("jane@example.com", "ManualSuppression")]


def test_who_complains_while_the_provider_lifts_stays_suppressed(place: Place, pool: Any) -> None:
    def answer(stream: str, address: str) -> list[Answer]:
        del stream
        note(place, [word(NOW, reason="complaint")])
        return [Answer(address, "Deleted", None)]

    order(place)
    lift(place)
    tell_suppressions(pool, Double(answer))
    assert state(place) == (True, "complaint", None)


def test_each_request_is_about_one_stream_and_at_most_fifty_addresses(place: Place, pool: Any) -> None:
    double = Double(lambda _, address: [Answer(address, "Suppressed", None)])
    with place.connection.transaction():
        for stream, number in (("outbound", 60), ("broadcast", 2)):
            orders.suppress(
                place.connection,
                stream,
                [f"r{place_}@example.com" for place_ in range(number)],
                actor="operator:tests",
                source="operator",
            )
    taken = []
    while number := tell_suppressions(pool, double, limit=1000):
        taken.append(number)
    assert sorted(taken) == [2, 10, 50]
    assert sorted((stream, len(asked)) for stream, asked in double.asked) == [
        ("broadcast", 2),
        ("outbound", 10),
        ("outbound", 50),
    ]


def test_no_lock_is_held_while_the_provider_is_asked(place: Place, pool: Any) -> None:
    def answer(stream: str, address: str) -> list[Answer]:
        del stream
        assert place.sql("SELECT true FROM atum.suppression FOR UPDATE NOWAIT") == [(True,)]
        return [Answer(address, "Suppressed", None)]

    order(place)
    assert tell_suppressions(pool, Double(answer)) == 1
