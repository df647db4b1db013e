"""Each alert's condition in Python, at its threshold and just below it; and what the predecessor's alerts got wrong."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest

from atum_ops.alerts import catalogue, watching
from atum_ops.alerts.alert import Alert, Area, Seen
from atum_ops.alerts.breach import measured
from atum_ops.alerts.wording import duration, rendered
from atum_ops.signals.snapshot import (
    LaneSignal,
    PartSignal,
    QueueSignal,
    Snapshot,
    TaskSignal,
    Waiting,
    WindowSignal,
)
from atum_schema.topology import INTAKE, REJECTED
from tests.alerting import load

AT: Final = 1_800_000_000.0
SETTINGS: Final = load("postgresql://nowhere")
ALERTS: Final = {alert.name: alert for alert in catalogue.alerts(SETTINGS)}
LANE: Final = "transactional"


def now(**facts: Any) -> Snapshot:
    alive = {kind: PartSignal(alive=1) for kind in ("relay", "worker")}
    return Snapshot(at=AT, **{"parts": alive, **facts})


def recent(period: str, **numbers: int) -> dict[tuple[str, str, str], int]:
    return {(LANE, period, result): number for result, number in numbers.items()}


def lane(due: int = 0, *, sending: int = 0, oldest_s: float | None = None) -> dict[str, Any]:
    oldest_at = None if oldest_s is None else AT - oldest_s
    return {"lanes": (LaneSignal(LANE, due, 0, sending, 0, oldest_at),)}


def window(why: str | None) -> dict[str, Any]:
    state = "open" if why is None else "closed"
    return {"windows": (WindowSignal(LANE, "default", state, why, False, AT, 1, 32, 0, 0.0, None, None),)}


def day(finished: int, **failed: int) -> dict[str, Any]:
    return {"recent": recent("24h", finished=finished, **failed)}


def burst(periods: tuple[str, str], finished: int, dead: int) -> dict[str, Any]:
    return {
        "recent": {
            **recent(periods[0], finished=finished, dead=dead),
            **recent(periods[1], finished=100, dead=dead),
        }
    }


def sent(number: int, **results: int) -> dict[str, Any]:
    return {"recent": recent("24h", sent=number, **results)}


def silence(seconds: float, number: int = 20) -> dict[str, Any]:
    return {"webhook_last_at": AT - seconds, "recent": recent("1h", sent=number)}


def queued(name: str, messages: int, *, consumers: int = 0) -> dict[str, Any]:
    return {"queues": {name: QueueSignal(messages, consumers)}}


def parts(**kinds: PartSignal) -> dict[str, Any]:
    return {"parts": {"relay": PartSignal(alive=1), "worker": PartSignal(alive=1), **kinds}}


def throttled(refused: int, number: int) -> dict[str, Any]:
    return {"recent_deferrals": {("30m", "rate_limited"): refused}, "recent": recent("30m", sent=number)}


def put_off(**whys: int) -> dict[str, Any]:
    return {"recent_deferrals": {("30m", why): number for why, number in whys.items()}}


def task(*, failing: bool = False, overdue: bool = False) -> dict[str, Any]:
    return {"tasks": (TaskSignal("apply", AT, failing, overdue),)}


Case = tuple[str, dict[str, Any], float, dict[str, Any]]
CASES: Final[list[Case]] = [
    # alert, facts at the threshold, the value, facts just below
    ("AtumFailureRateHigh", day(100, dead=10), 10.0, day(100, dead=9)),
    ("AtumFailureRateHigh", day(50, dead=5), 10.0, day(49, dead=49)),
    ("AtumFailureRateCritical", day(100, dead=25), 25.0, day(100, dead=24)),
    ("AtumFailureBurnFast", burst(("1h", "5m"), 100, 60), 60.0, burst(("1h", "5m"), 100, 59)),
    ("AtumFailureBurnSlow", burst(("6h", "30m"), 100, 20), 20.0, burst(("6h", "30m"), 100, 19)),
    ("AtumBacklogHigh", lane(60, sending=40), 100.0, lane(60, sending=39)),
    ("AtumBacklogCritical", lane(1000), 1000.0, lane(999)),
    ("AtumOldestMailOld", lane(1, oldest_s=900), 900.0, lane(1, oldest_s=899)),
    ("AtumOldestMailVeryOld", lane(1, oldest_s=3600), 3600.0, lane(1, oldest_s=3599)),
    ("AtumDeadLettersGrowing", {"recent": recent("1h", dead=10)}, 10.0, {"recent": recent("1h", dead=9)}),
    (
        "AtumDeadLettersWaiting",
        {"dead": Waiting(1, AT - 86_400)},
        86_400.0,
        {"dead": Waiting(1, AT - 86_399)},
    ),
    ("AtumUnknownMailsOld", {"unknown": Waiting(1, AT - 3600)}, 3600.0, {"unknown": Waiting(1, AT - 3599)}),
    ("AtumSearchesFailing", {"search_failures": 5}, 5.0, {"search_failures": 4}),
    ("AtumMailsHeld", {"held": Waiting(1, AT)}, 1.0, {"held": Waiting()}),
    ("AtumDuplicateConfirmed", {"recent_duplicates": {"1h": 1}}, 1.0, {"recent_duplicates": {"6h": 1}}),
    ("AtumBatchesStuck", {"stuck_batches": 1}, 1.0, {"stuck_batches": 0}),
    ("AtumLaneRemoved", {"orphaned": {"news": 2, "offers": 1}}, 3.0, {"orphaned": {}}),
    ("AtumNoIntake", queued(INTAKE, 3), 3.0, queued(INTAKE, 3, consumers=1)),
    ("AtumNoIntake", queued(INTAKE, 1), 1.0, queued(INTAKE, 0)),
    ("AtumNoIntake", queued(INTAKE, 1), 1.0, queued(REJECTED, 1)),
    ("AtumJobsWaiting", queued(INTAKE, 100, consumers=1), 100.0, queued(INTAKE, 99)),
    ("AtumJobsRejected", queued(REJECTED, 1), 1.0, queued(REJECTED, 0)),
    ("AtumJobsRejected", queued(REJECTED, 2, consumers=1), 2.0, queued(INTAKE, 2)),
    ("AtumProviderDown", window("provider"), 1.0, window(None)),
    ("AtumProviderAuthFailing", window("account"), 1.0, window("provider")),
    ("AtumLaneStopped", window("sender"), 1.0, window("account")),
    ("AtumMailsPutOff", put_off(sender=12, other=8), 20.0, put_off(sender=12, other=7, mail=5)),
    ("AtumProviderThrottling", throttled(20, 180), 10.0, throttled(20, 181)),
    ("AtumProviderThrottling", throttled(20, 0), 100.0, throttled(19, 0)),
    ("AtumWebhookSilence", silence(3600), 3600.0, silence(3599)),
    ("AtumWebhookSilence", silence(7200), 7200.0, silence(7200, 19)),
    (
        "AtumWebhookEventsWaiting",
        {"inbox_new": Waiting(1, AT - 900)},
        900.0,
        {"inbox_new": Waiting(1, AT - 899)},
    ),
    ("AtumBounceRateHigh", sent(100, bounced=5), 5.0, sent(100, bounced=4)),
    ("AtumBounceRateHigh", sent(50, bounced=50), 100.0, sent(49, bounced=49)),
    ("AtumComplaintRateHigh", sent(2000, complained=2), 0.1, sent(2001, complained=2)),
    ("AtumComplaintRateHigh", sent(50, complained=2), 4.0, sent(50, complained=1)),
    ("AtumNoRelay", parts(relay=PartSignal(alive=0)), 0.0, parts(relay=PartSignal(alive=1))),
    ("AtumNoWorker", parts(worker=PartSignal(alive=0)), 0.0, parts(worker=PartSignal(alive=1))),
    ("AtumPartStuck", parts(worker=PartSignal(2, stuck=1)), 1.0, parts(worker=PartSignal(2))),
    ("AtumPartVanished", parts(api=PartSignal(vanished=1)), 1.0, parts(api=PartSignal(alive=1))),
    ("AtumHeartbeatMissed", {"heartbeat_at": AT - 300}, 300.0, {"heartbeat_at": AT - 299}),
    ("AtumTaskFailing", task(failing=True), 1.0, task()),
    ("AtumTaskFailing", task(overdue=True), 1.0, {}),
    ("AtumBrokerAlarm", {"brokers": {"blocked": 2}}, 2.0, {"brokers": {"connected": 2}}),
    ("AtumBrokerDown", {"brokers": {"away": 2}}, 2.0, {"brokers": {"away": 2, "connected": 1}}),
]


@pytest.mark.parametrize(("name", "met", "value", "unmet"), CASES)
def test_a_condition_is_met_at_its_threshold_and_not_just_below(
    name: str, met: dict[str, Any], value: float, unmet: dict[str, Any]
) -> None:
    look = ALERTS[name].look
    assert look is not None
    assert look(Seen(now(**met))) == pytest.approx(value)
    assert look(Seen(now(**unmet))) is None


@pytest.mark.parametrize(
    ("refused", "stored", "value"),
    [
        ({"credentials": 10}, 10, 10.0),
        ({"credentials": 9}, 0, None),
        ({"credentials": 10}, 11, None),
        ({"stranger": 500}, 0, None),
        ({"credentials": 4, "too_many": 6}, 0, 10.0),
    ],
)
def test_refused_events_are_compared_with_a_quarter_of_an_hour_before(
    refused: dict[str, int], stored: int, value: float | None
) -> None:
    look = ALERTS["AtumWebhookRejecting"].look
    assert look is not None
    before = now(webhooks_refused={"credentials": 1000}, webhooks_stored=50)
    totals = {word: number + 1000 * (word == "credentials") for word, number in refused.items()}
    after = now(webhooks_refused={"credentials": 1000, **totals}, webhooks_stored=50 + stored)
    assert look(Seen(after, before)) == value
    assert look(Seen(after, None)) is None


def test_the_database_and_the_receivers_are_looked_at_without_the_database() -> None:
    for name, blind, well in (
        ("AtumDatabaseDown", Seen(None), Seen(now())),
        ("AtumAlertDeliveryFailing", Seen(None, deaf=1), Seen(None, deaf=0)),
    ):
        look = ALERTS[name].look
        assert look is not None
        assert look(blind) is not None
        assert look(well) is None


def test_every_alert_that_can_be_seen_without_prometheus_has_a_case() -> None:
    cases = {name for name, *_ in CASES} | {
        "AtumWebhookRejecting",
        "AtumDatabaseDown",
        "AtumAlertDeliveryFailing",
    }
    assert cases == {alert.name for alert in ALERTS.values() if alert.look is not None}


@pytest.mark.parametrize("alert", ALERTS.values(), ids=lambda alert: alert.name)
def test_nothing_is_met_in_a_system_that_is_well(alert: Alert) -> None:
    if alert.look is not None:
        assert alert.look(Seen(now(), now())) is None


@pytest.mark.parametrize("alert", ALERTS.values(), ids=lambda alert: alert.name)
def test_every_description_is_filled_in(alert: Alert) -> None:
    text = rendered(alert.description, 1234.5, {"job": "atum-mailer", "instance": "here:9"})
    assert not re.search(r"[{}$]|\?", text)
    assert ("{{" in alert.description) == (text != alert.description)
    assert "{{" not in rendered(alert.description, None)


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ('{{ $value | printf "%.2f" }} %', 12.345, "12.35 %"),
        ('{{$value|printf "%.0f"}}', 412.0, "412"),
        ("{{ $value }}", 0.5, "0.5"),
        ("{{ $value | humanizeDuration }}", 93_784.0, "1d 2h 3m 4s"),
        ("{{ $labels.job }}", 1.0, "?"),
        ('{{ $value | humanize1024 }} and {{ query "up" }}', 1.0, "? and ?"),
        ("no holes", None, "no holes"),
    ],
)
def test_the_forms_of_the_template_language_that_are_used(
    text: str, value: float | None, expected: str
) -> None:
    assert rendered(text, value) == expected


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0s"),
        (0.02, "20ms"),
        (1e-12, "0.001ns"),
        (1.5, "1.5s"),
        (59, "59s"),
        (60, "1m 0s"),
        (750, "12m 30s"),
        (3600, "1h 0m 0s"),
        (-90, "-1m 30s"),
        (float("inf"), "inf"),
    ],
)
def test_durations_are_said_as_prometheus_says_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words


# The predecessor's weaknesses E1 to E7; E1, E4 and parts of others are where receivers and the watcher are tested.


def look_at(name: str, **facts: Any) -> float | None:
    look = ALERTS[name].look
    assert look is not None
    return look(Seen(now(**facts)))


def test_dead_letters_count_as_failures_in_the_rate_and_in_what_is_told() -> None:
    facts = day(100, dead=100)
    assert look_at("AtumFailureRateHigh", **facts) == 100.0
    assert look_at("AtumFailureRateCritical", **facts) == 100.0
    assert measured(now(**facts), least=50)[:3] == (100.0, 100, 100)


@pytest.mark.parametrize("result", ["dead", "expired", "bounced"])
def test_every_terminal_failure_counts(result: str) -> None:
    assert look_at("AtumFailureRateHigh", **day(100, **{result: 10})) == 10.0


def test_one_failure_of_one_mail_is_no_alert() -> None:
    failures = [alert.name for alert in ALERTS.values() if alert.area is Area.FAILURES]
    facts = {
        "recent": {
            key: number
            for period in ("5m", "30m", "1h", "6h", "24h")
            for key, number in recent(period, finished=1, dead=1).items()
        }
    }
    assert [look_at(name, **facts) for name in failures] == [None] * 4
    assert measured(now(**facts), least=50).failure_rate_24h is None


def test_mails_that_wait_or_travel_are_in_no_denominator() -> None:
    waiting = {**lane(10_000, sending=5000, oldest_s=1), "unknown": Waiting(700, AT)}
    assert look_at("AtumFailureRateHigh", **day(100, dead=10), **waiting) == 10.0


def test_a_burst_needs_both_a_long_and_a_short_period() -> None:
    over = {**recent("1h", finished=100, dead=90), **recent("5m", finished=50)}
    assert look_at("AtumFailureBurnFast", recent=over) is None


def test_there_is_an_alert_for_dead_letters_age_workers_webhook_silence_and_complaints() -> None:
    for name in (
        "AtumDeadLettersGrowing",
        "AtumOldestMailOld",
        "AtumNoWorker",
        "AtumWebhookSilence",
        "AtumComplaintRateHigh",
    ):
        alert = ALERTS[name]
        assert alert.look is not None
        assert alert.expr
        listener = watching.Listener("anybody")
        assert listener.wants(alert.area)


def test_confirmed_deliveries_do_not_change_how_many_were_sent() -> None:
    delivered = {"recent": recent("24h", sent=100, finished=100, delivered=90, dead=10)}
    assert measured(now(**delivered), least=50)[:3] == (10.0, 10, 100)
    assert look_at("AtumBounceRateHigh", recent=recent("24h", sent=100, delivered=90, bounced=5)) == 5.0


def test_thresholds_come_from_settings_alone() -> None:
    changed = SETTINGS.model_copy(
        update={"alert_failure_rate_threshold": 7.5, "alert_queue_backlog_threshold": 55}
    )
    thresholds = {alert.name: alert.threshold for alert in catalogue.alerts(changed)}
    assert (thresholds["AtumFailureRateHigh"], thresholds["AtumBacklogHigh"]) == (7.5, 55)
