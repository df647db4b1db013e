"""What a worker counts of each answer, ticket and search; and that counting never harms a delivery."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import pytest

from atum_schema import metrics_catalogue as m
from atum_schema import settings
from atum_schema.encryption import new_key
from atum_schema.fallback import SMTP
from atum_schema.ids import first_mail_id, new_mail_id
from atum_schema.metrics_logs import counting_logs
from atum_workers.metering import Metering, worker_meter
from atum_workers.observing import Ticket
from atum_workers.outcome import Accepted, Deferred, Rejected, Unclear
from atum_workers.reconcile import Round
from atum_workers.search import Found
from atum_workers.settling import Search
from atum_workers.store import Item, Result
from tests.scraping import Scrape

if TYPE_CHECKING:
    from uuid import UUID

    from atum_schema.metrics import Meter
    from atum_workers.outcome import Outcome

LANE = "transactional"
LATER = Deferred(reason="maintenance", detail="", charged=False, http_status=503, code=100)


@pytest.fixture
def meter() -> Meter:
    return worker_meter(
        settings.load_from(
            {"ATUM_DATABASE_URL": "postgresql://nowhere", "ATUM_CONTENT_KEYS": new_key("test")}
        )
    )


@pytest.fixture
def metering(meter: Meter) -> Metering:
    return Metering(meter, (LANE, "broadcast"))


def shown(meter: Meter) -> Scrape:
    from prometheus_client import generate_latest

    return Scrape(generate_latest(meter.registry).decode())


def item(*, mail_id: UUID | None = None, **fields: Any) -> Item:
    whole: dict[str, Any] = {
        "mail_id": mail_id or new_mail_id(),
        "status": "queued",
        "attempts": 0,
        "tries": 0,
        "expired": False,
        "expires_at": None,
        "key_id": None,
        "body": None,
        "account": "default",
        "cycle": 1,
    }
    return Item(**{**whole, **fields})


def answer(metering: Metering, outcomes: list[Outcome], **options: Any) -> None:
    items = [item() for _ in outcomes]
    metering.answered(
        options.get("lane", LANE),
        options.get("account", "default"),
        items,
        outcomes,
        options.get("seconds", 0.2),
    )


def test_each_mail_of_an_answer_counts_by_its_outcome_and_the_answer_once(
    meter: Meter, metering: Metering
) -> None:
    refused = Rejected(reason="recipient_inactive", detail="", http_status=200, code=406)
    answer(metering, [Accepted("a"), Accepted("b"), refused, refused])
    answer(metering, [LATER])
    answer(metering, [Unclear(reason="read_timeout", detail="")] * 3, seconds=30.0)
    seen = shown(meter)
    assert seen.values(m.ATTEMPTS, "outcome", lane=LANE) == {
        "accepted": 2,
        "rejected": 2,
        "deferred": 1,
        "unknown": 3,
    }
    assert seen.values(m.REQUESTS, "code_class", account="default") == {"2xx": 1, "5xx": 1, "none": 1}
    assert seen.values(m.ERROR_CODES, "code") == {"406": 2, "100": 1}
    assert seen.value(m.REQUEST_DURATION, "_count", account="default") == 3
    assert seen.value(m.REQUEST_DURATION, "_sum", account="default") == pytest.approx(30.4)


@pytest.mark.parametrize(("code", "label"), [(300, "300"), (9876, "other"), (2**31 - 1, "other")])
def test_a_code_that_nobody_knows_makes_no_series_of_its_own(
    meter: Meter, metering: Metering, code: int, label: str
) -> None:
    before = shown(meter).series
    answer(metering, [Rejected(reason="x", detail="", http_status=200, code=code)])
    assert shown(meter).values(m.ERROR_CODES, "code") == {label: 1}
    assert shown(meter).series == before


@pytest.mark.parametrize(("status", "word"), [(302, "3xx"), (101, "none"), (999, "none")])
def test_a_status_of_a_proxy_or_of_nobody_makes_no_series_of_its_own(
    meter: Meter, metering: Metering, status: int, word: str
) -> None:
    before = shown(meter).series
    answer(metering, [Unclear(reason="http_302", detail="", http_status=status)])
    assert shown(meter).values(m.REQUESTS, "code_class", account="default") == {word: 1}
    assert shown(meter).series == before


def test_a_lane_that_this_worker_does_not_know_is_another(meter: Meter, metering: Metering) -> None:
    for lane in ("gone", "long gone"):
        answer(metering, [LATER], lane=lane)
    assert shown(meter).values(m.ATTEMPTS, "lane") == {"other": 2}


def test_an_smtp_relay_has_no_status(meter: Meter, metering: Metering) -> None:
    answer(metering, [Accepted("a", http_status=None, code=None)], account=SMTP)
    assert shown(meter).values(m.REQUESTS, "code_class", account=SMTP) == {"none": 1}


@pytest.mark.parametrize(
    ("fields", "counted"),
    [
        ({}, 1),
        ({"tries": 1}, 0),
        ({"status": "retrying"}, 0),
        ({"status": "scheduled"}, 0),
        ({"cycle": 2}, 0),
    ],
    ids=["first", "second", "retrying", "scheduled", "replayed"],
)
def test_only_the_first_attempt_of_a_mail_without_a_time_of_its_own_has_a_delay(
    meter: Meter, metering: Metering, fields: dict[str, Any], counted: int
) -> None:
    metering.answered(LANE, "default", [item(**fields)], [Accepted("a")], 0.1)
    assert shown(meter).value(m.FIRST_ATTEMPT_DELAY, "_count", lane=LANE) == counted


@pytest.mark.parametrize(("ago_s", "least", "most"), [(100.0, 100.0, 110.0), (-3600.0, 0.0, 0.0)])
def test_the_delay_counts_from_the_id_and_is_never_negative(
    meter: Meter, metering: Metering, ago_s: float, least: float, most: float
) -> None:
    from datetime import UTC, datetime

    mail_id = first_mail_id(datetime.fromtimestamp(time.time() - ago_s, UTC))
    metering.answered(LANE, "default", [item(mail_id=mail_id)], [Accepted("a")], 0.1)
    assert least <= shown(meter).value(m.FIRST_ATTEMPT_DELAY, "_sum", lane=LANE) <= most


def result(*, charged: bool, retry_s: float | None) -> Result:
    nothing: dict[str, Any] = dict.fromkeys(Result._fields)
    return Result(**{**nothing, "charged": charged, "retry_s": retry_s})


def test_retries_count_by_their_charge_and_ends_do_not(meter: Meter, metering: Metering) -> None:
    metering.recorded(
        LANE,
        [
            result(charged=True, retry_s=30.0),
            result(charged=True, retry_s=30.0),
            result(charged=False, retry_s=1.0),
            result(charged=True, retry_s=None),
        ],
    )
    assert shown(meter).values(m.RETRIES, "charged", lane=LANE) == {"yes": 2, "no": 1}


FOUND = (Found(new_mail_id(), new_mail_id(), "id", frozenset()),)


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (Round(worth=Search.CONTROLLED, detail="", found=FOUND), "found"),
        (Round(worth=Search.FAILED, detail="", found=FOUND), "found"),
        (Round(worth=Search.FAILED, detail=""), "failed"),
        (Round(worth=Search.CONTROLLED, detail=""), "empty"),
        (Round(worth=Search.UNCONTROLLED, detail=""), "empty"),
    ],
)
def test_a_round_of_searches_counts_by_what_it_came_to(
    meter: Meter, metering: Metering, found: Round, word: str
) -> None:
    metering.searched(found)
    assert shown(meter).values(m.SEARCHES, "search") == {word: 1}


def test_every_end_of_a_ticket_has_a_series(meter: Meter, metering: Metering) -> None:
    for end in Ticket:
        metering.ticket(end)
    assert shown(meter).values(m.TICKETS, "ticket") == dict.fromkeys(m.FIXED["ticket"], 1)


def test_tasks_that_this_version_does_not_know_are_another(meter: Meter, metering: Metering) -> None:
    metering.ran("retain", failed=False)
    metering.ran("of the future", failed=True)
    assert shown(meter).values(m.TASK_RUNS, "task", task_result="done") == {"retain": 1}
    assert shown(meter).values(m.TASK_RUNS, "task", task_result="failed") == {"other": 1}


def test_what_goes_wrong_in_counting_is_said_once_and_harms_nobody(
    metering: Metering, caplog: pytest.LogCaptureFixture
) -> None:
    broken: Any = [object()]
    for _ in range(3):
        metering.answered(LANE, "default", broken, [Accepted("a")], 0.1)
    assert caplog.messages == ["metrics: one could not be counted"]


def test_lines_are_counted_by_level_while_somebody_counts_them(meter: Meter) -> None:
    log = logging.getLogger("tests.metrics")
    with counting_logs(meter):
        log.info("one")
        log.warning("two")
        log.error("three")
        log.critical("four")
    log.warning("five")
    assert shown(meter).values(m.LOG_MESSAGES, "level") == {"warning": 1, "error": 2}
