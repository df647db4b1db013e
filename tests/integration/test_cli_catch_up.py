"""`catch-up` asks at once for what no webhook has told, whatever was asked before, and says how that went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.process import SimulatorProcess
from tests.answering import answering
from tests.integration.test_catch_up import happened, sent, states
from tests.simulating import HEADERS
from tests.telling import apply_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.command_line import Place

TOKEN = HEADERS["X-Postmark-Server-Token"]


@pytest.fixture(scope="module")
def shared() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(SimulatorConfig(fates={}, time_scale=0.0005)) as simulator:
        yield simulator


@pytest.fixture
def place(place: Place, simulator: SimulatorProcess) -> Place:
    place.environment |= {
        "ATUM_POSTMARK_URL": simulator.url,
        "ATUM_POSTMARK_TOKEN": TOKEN,
        "ATUM_CATCH_UP_RATE": "1000",
    }
    return place


def counted(place: Place, *arguments: str) -> dict[str, Any]:
    answer = place.run("catch-up", "--format=json", *arguments)
    assert answer.status == 0, answer.err
    document: dict[str, Any] = answer.json
    return document


def test_it_says_how_much_there_is_to_ask_and_asks_nothing(place: Place, client: httpx.Client) -> None:
    sent(place, client, "r0@example.net", "r1@example.net")
    answer = place.run("catch-up")
    assert (answer.status, "2 mails would be asked about" in answer.out) == (0, True)
    assert counted(place)["mails_to_ask"] == 2
    assert place.sql("SELECT count(*) FROM atum.webhook_inbox") == [(0,)]


def test_with_yes_it_asks_also_where_no_webhook_ever_came_and_a_second_time_finds_nothing_new(
    place: Place, client: httpx.Client, simulator: SimulatorProcess
) -> None:
    sent(place, client, "r0@example.net", "bounce-hard@example.org", "complaint@example.org")
    happened(simulator)
    caught = counted(place, "--yes")
    assert caught["asked"] == 3
    assert caught["suppressions"] == 2
    apply_all(place)
    assert sorted(map(str, states(place).values())) == ["bounced", "complained", "delivered"]
    assert counted(place, "--yes") == {"asked": 0, "events": 0, "suppressions": 0, "failed": 0}


def test_people_are_told_in_a_sentence(place: Place, client: httpx.Client) -> None:
    sent(place, client, "r0@example.net")
    answer = place.run("catch-up", "--yes")
    assert answer.status == 0
    assert "asked about 1 mails" in answer.out


def test_a_refused_token_is_said(place: Place) -> None:
    place.environment["ATUM_POSTMARK_TOKEN"] = "wrong"
    answer = place.run("catch-up", "--yes")
    assert (answer.status, "ATUM_POSTMARK_TOKEN is refused" in answer.err) == (1, True)


def test_a_provider_that_is_away_or_fails_has_a_status(place: Place) -> None:
    place.environment["ATUM_POSTMARK_URL"] = "http://127.0.0.1:1"
    assert place.run("catch-up", "--yes").status == 3
    with answering(500, b"{}") as url:
        place.environment["ATUM_POSTMARK_URL"] = url
        assert place.run("catch-up", "--yes").status == 1


@pytest.mark.parametrize("since", ["soon", "0", "-1h", "2 weeks"])
def test_a_time_that_is_none_is_wrong_usage(place: Place, since: str) -> None:
    assert place.run("catch-up", f"--since={since}").status == 2


def test_ages_that_make_no_sense_are_named(place: Place) -> None:
    place.environment["ATUM_CATCH_UP_AGES_S"] = "20,10"
    answer = place.run("catch-up", "--yes")
    assert (answer.status, "ATUM_CATCH_UP_AGES_S" in answer.err) == (1, True)
