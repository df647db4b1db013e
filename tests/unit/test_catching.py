"""What the provider's read APIs say, as the events that webhooks would have brought."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest

from atum_schema import webhook
from atum_schema.errors import SettingsError
from atum_schema.webhook import Kind
from atum_workers import catching
from atum_workers.pace import Pace
from atum_workers.postmark_api import BouncePage, Details, MessageEvent

MAIL, BATCH = uuid.uuid4(), uuid.uuid4()
MESSAGE = "0a129aee-e1cd-480d-b08d-4f48548ff48d"
AT = "2026-11-05T16:33:54.9070259Z"


def details(*events: MessageEvent) -> Details:
    metadata = {"atum-mail": str(MAIL), "atum-batch": str(BATCH)}
    return Details(MESSAGE, "outbound", MAIL, BATCH, metadata, ("ann@example.net",), events)


@pytest.mark.parametrize("text", ["", "x", "20,10", "10,10", "1,2,3,4,5,6", "-1", "nan", "1e12", "1,,2"])
def test_ages_that_make_no_sense_are_refused_by_name(text: str) -> None:
    with pytest.raises(SettingsError, match="ATUM_CATCH_UP_AGES_S"):
        catching.ages(text)


def test_ages_are_read_in_order() -> None:
    assert catching.ages("1200, 86400") == (1200.0, 86400.0)


def test_each_line_of_a_messages_story_becomes_the_fact_that_a_webhook_would_have_told() -> None:
    found = details(
        MessageEvent("ann@example.net", "Delivered", AT, {"DeliveryMessage": "250 OK"}),
        MessageEvent("ann@example.net", "Transient", AT, {"DeliveryMessage": "451 later"}),
        MessageEvent("ann@example.net", "Opened", AT, {"Summary": "opened"}),
        MessageEvent("ann@example.net", "LinkClicked", AT, {"Link": "https://example.com/"}),
        MessageEvent("ann@example.net", "Bounced", AT, {"BounceID": "7"}),
        MessageEvent("ann@example.net", "Whatever", None, {}),
    )
    told = [webhook.read(event) for event in catching.events_of(found)]
    assert [one.kind for one in told] == [Kind.DELIVERED, Kind.DELAYED, Kind.OPENED, Kind.CLICKED]
    assert {(one.mail_id, one.batch_id, one.message_id, one.recipient) for one in told} == {
        (MAIL, BATCH, MESSAGE, "ann@example.net")
    }
    assert told[0].detail == "250 OK"


def test_a_delivery_is_the_same_fact_whichever_way_it_came() -> None:
    (asked,) = catching.events_of(
        details(MessageEvent("ann@example.net", "Delivered", "2026-11-05T16:33:54Z", {}))
    )
    brought = {**asked, "DeliveredAt": AT, "Details": "250 OK", "Tag": "welcome"}
    assert webhook.read(asked).fact == webhook.read(brought).fact


def test_bounces_and_complaints_of_a_list_are_read_as_such() -> None:
    page = [
        {
            "ID": 1,
            "Type": "HardBounce",
            "TypeCode": 1,
            "Email": "a@example.net",
            "Inactive": True,
            "BouncedAt": AT,
        },
        {"ID": 2, "Type": "SpamComplaint", "TypeCode": 100001, "Email": "a@example.net", "BouncedAt": AT},
    ]
    told = [webhook.read(event) for event in catching.events_of_bounces(page)]
    assert [(one.kind, one.bounce_id) for one in told] == [(Kind.BOUNCED, 1), (Kind.COMPLAINED, 2)]


def test_a_list_is_read_until_it_goes_back_far_enough() -> None:
    since = datetime(2026, 11, 5, 12, tzinfo=UTC)
    new, old, undated = {"BouncedAt": AT}, {"BouncedAt": "2026-11-05T11:59:59Z"}, {"ID": 3}
    now = datetime(2026, 11, 6, tzinfo=UTC)
    assert since < catching.oldest(BouncePage(3, [new, undated]), now) < now
    assert catching.oldest(BouncePage(3, [new, old]), now) < since
    assert catching.oldest(BouncePage(0, []), now) == now
    assert catching.recent(BouncePage(3, [new, old, undated]), since) == [new, undated]


def test_the_pace_lets_requests_through_evenly_and_saves_nothing_up() -> None:
    now, slept = 100.0, []

    def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(round(seconds, 3))
        now += seconds

    pace = Pace(10.0, clock=lambda: now, sleep=sleep)
    for _ in range(3):
        pace.wait()
    now += 60.0
    for _ in range(3):
        pace.wait()
    assert slept == [0.1, 0.1, 0.1, 0.1]
