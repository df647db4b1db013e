"""A snapshot becomes exactly the families of the catalogue, with a zero wherever nothing is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from atum_ops.exporter.exporter import OfDatabase
from atum_ops.exporter.families import Known, families
from atum_ops.exporter.values import LOOKS
from atum_ops.signals.snapshot import (
    LaneSignal,
    PartSignal,
    QueueSignal,
    Snapshot,
    TaskSignal,
    Waiting,
    WindowSignal,
)
from atum_schema import metrics_catalogue as m
from atum_schema.metrics import MOST_SERIES, Meter
from atum_schema.metrics_family import Kind

if TYPE_CHECKING:
    from atum_schema.metrics_family import Family

KNOWN = Known((("transactional", "default"), ("broadcast", "default")))
AT = 1_800_000_000.0
Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def shown(snapshot: Snapshot, known: Known = KNOWN) -> Series:
    """Give every sample by its name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for metric in families(snapshot, known)
        for sample in metric.samples
    }


def value(series: Series, family: Family, **labels: str) -> float:
    return series[family.full_name, tuple(sorted(labels.items()))]


def window(**fields: object) -> WindowSignal:
    usual = {
        "lane": "transactional",
        "account": "default",
        "state": "open",
        "why": None,
        "by_person": False,
        "since": AT,
        "size": 4,
        "ceiling": 32,
        "in_flight": 2,
        "sent_rate": 7.5,
        "outage_at": None,
        "outage_end": None,
    }
    return WindowSignal(**{**usual, **fields})  # type: ignore[arg-type]


def test_every_family_of_the_database_is_looked_up_and_no_other() -> None:
    assert list(LOOKS) == list(m.OF_DATABASE)


def test_an_empty_system_has_every_family_with_zeros_and_nothing_else() -> None:
    series = shown(Snapshot(at=AT))
    assert {name for name, _ in series} == {family.full_name for family in m.OF_DATABASE}
    assert set(series.values()) == {0}


@pytest.mark.parametrize("family", m.OF_DATABASE, ids=lambda family: family.name)
def test_the_series_of_a_family_have_its_labels_type_and_help(family: Family) -> None:
    (metric,) = [one for one in families(Snapshot(at=AT), KNOWN) if one.samples[0].name == family.full_name]
    assert {frozenset(sample.labels) for sample in metric.samples} == {frozenset(family.labels)}
    assert (metric.type, metric.documentation) == (family.kind.value, family.help)


def test_what_prometheus_reads_is_what_the_catalogue_says() -> None:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(OfDatabase(lambda: Snapshot(at=AT), KNOWN))
    read = {one.name: one.type for one in text_string_to_metric_families(generate_latest(registry).decode())}
    assert read == {
        family.full_name.removesuffix("_total")
        if family.kind is Kind.COUNTER
        else family.full_name: family.kind
        for family in m.OF_DATABASE
    }


def test_lanes_have_their_numbers_and_the_backlog_is_what_is_due_and_sending() -> None:
    lane = LaneSignal(lane="transactional", due=3, later=4, sending=5, unknown=6, oldest_at=AT - 60)
    series = shown(Snapshot(at=AT, lanes=(lane,)))
    found = [
        value(series, family, lane="transactional")
        for family in (m.DUE, m.LATER, m.SENDING, m.BACKLOG, m.UNKNOWN, m.OLDEST)
    ]
    assert found == [3, 4, 5, 8, 6, AT - 60]
    assert value(series, m.BACKLOG, lane="broadcast") == 0


def test_a_window_is_in_one_state_and_says_why_it_stopped() -> None:
    closed = window(state="closed", why="provider", outage_at=AT - 9)
    series = shown(Snapshot(at=AT, windows=(closed,)))
    states = {
        state: value(series, m.WINDOW_STATE, lane="transactional", account="default", window_state=state)
        for state in m.FIXED["window_state"]
    }
    assert states == {"open": 0, "closed": 1, "paused": 0}
    whys = {
        why: value(series, m.WINDOW_WHY, lane="transactional", account="default", why=why)
        for why in m.FIXED["why"]
    }
    assert whys == {**dict.fromkeys(m.FIXED["why"], 0), "provider": 1}
    of = {"lane": "transactional", "account": "default"}
    assert value(series, m.OUTAGE_BEGAN, **of) == AT - 9
    assert value(series, m.OUTAGE_ENDED, **of) == 0
    numbers = (m.WINDOW_SIZE, m.WINDOW_CEILING, m.WINDOW_INFLIGHT, m.WINDOW_SENT_RATE, m.WINDOW_SINCE)
    assert [value(series, family, **of) for family in numbers] == [4, 32, 2, 7.5, AT]


def test_a_window_that_a_person_paused_has_no_why() -> None:
    series = shown(Snapshot(at=AT, windows=(window(state="paused", by_person=True),)))
    whys = [number for (name, _), number in series.items() if name == m.WINDOW_WHY.full_name]
    assert set(whys) == {0}


def test_the_fallback_s_window_has_series_and_makes_none_for_other_lanes() -> None:
    series = shown(Snapshot(at=AT, windows=(window(account="smtp"),)))
    pairs = {labels for name, labels in series if name == m.WINDOW_SIZE.full_name}
    assert pairs == {
        (("account", "default"), ("lane", "broadcast")),
        (("account", "default"), ("lane", "transactional")),
        (("account", "smtp"), ("lane", "transactional")),
    }


def test_a_lane_that_was_removed_keeps_its_counters_with_all_their_results() -> None:
    series = shown(Snapshot(at=AT, totals={("old", "sent"): 7}))
    assert value(series, m.FINISHED_TOTAL, lane="old", result="sent") == 7
    assert value(series, m.FINISHED_TOTAL, lane="old", result="dead") == 0
    assert value(series, m.DUE, lane="old") == 0


def test_sums_counts_and_times_are_where_they_belong() -> None:
    series = shown(
        Snapshot(
            at=AT,
            held=Waiting(2, AT - 1),
            unknown=Waiting(9, AT - 2),
            search_failures=3,
            dead=Waiting(4, AT - 7),
            dead_unpublished=Waiting(1, AT - 3),
            batches={"posting": 5},
            stuck_batches=6,
            recent={("transactional", "1h", "dead"): 8},
            recent_deferrals={("5m", "sender"): 10},
            recent_duplicates={"24h": 11},
            deferrals={"account": 12},
            duplicates=13,
            last_accepted_at=AT - 4,
            webhook_last_at=AT - 5,
            inbox_new=Waiting(14, AT - 6),
            inbox_parked=15,
            webhooks_stored=16,
            webhooks_refused={"credentials": 17},
            suppressed=18,
            brokers={"blocked": 19},
            orphaned={"news": 20},
            queues={"mail.rejected": QueueSignal(21, 22)},
            heartbeat_at=AT - 7,
            thresholds={"cooldown_seconds": 3600.0},
        )
    )
    expected: dict[Family, tuple[float, dict[str, str]]] = {
        m.HELD: (2, {}),
        m.HELD_OLDEST: (AT - 1, {}),
        m.UNKNOWN_OLDEST: (AT - 2, {}),
        m.SEARCH_FAILURES: (3, {}),
        m.DEAD: (4, {}),
        m.DEAD_OLDEST: (AT - 7, {}),
        m.DEAD_UNPUBLISHED: (1, {}),
        m.BATCHES: (5, {"batch_state": "posting"}),
        m.STUCK: (6, {}),
        m.RECENT: (8, {"lane": "transactional", "period": "1h", "result": "dead"}),
        m.RECENT_DEFERRALS: (10, {"period": "5m", "why": "sender"}),
        m.RECENT_DUPLICATES: (11, {"period": "24h"}),
        m.DEFERRALS_TOTAL: (12, {"why": "account"}),
        m.DUPLICATES_TOTAL: (13, {}),
        m.LAST_ACCEPTED: (AT - 4, {}),
        m.WEBHOOK_LAST: (AT - 5, {}),
        m.INBOX_OLDEST: (AT - 6, {}),
        m.WEBHOOK_STORED_TOTAL: (16, {}),
        m.WEBHOOK_REFUSED_TOTAL: (17, {"webhook": "credentials"}),
        m.SUPPRESSED: (18, {}),
        m.PARTS_BROKER: (19, {"broker_state": "blocked"}),
        m.ORPHANED: (20, {"lane": "news"}),
        m.QUEUE_MESSAGES: (21, {"queue": "mail.rejected"}),
        m.QUEUE_CONSUMERS: (22, {"queue": "mail.rejected"}),
        m.HEARTBEAT: (AT - 7, {}),
        m.THRESHOLD: (3600, {"setting": "cooldown_seconds"}),
    }
    assert {family.name: value(series, family, **labels) for family, (_, labels) in expected.items()} == {
        family.name: number for family, (number, _) in expected.items()
    }
    assert [value(series, m.INBOX, inbox_state=state) for state in ("new", "parked")] == [14, 15]


def test_processes_and_tasks_have_their_numbers() -> None:
    task = TaskSignal(name="retain", ended_at=AT - 8, failing=True, overdue=False)
    series = shown(Snapshot(at=AT, parts={"worker": PartSignal(3, 2, 1)}, tasks=(task,)))
    parts = (m.PARTS, m.PARTS_STUCK, m.PARTS_VANISHED)
    assert [value(series, family, part="worker") for family in parts] == [3, 2, 1]
    tasks = (m.TASK_ENDED, m.TASK_FAILING, m.TASK_OVERDUE)
    assert [value(series, family, task="retain") for family in tasks] == [AT - 8, 1, 0]
    assert value(series, m.TASK_FAILING, task="add_up") == 0


def test_eight_lanes_are_still_fewer_series_than_a_scrape_should_have() -> None:
    known = Known(tuple((f"lane{number}", "default") for number in range(8)))
    standing_in = tuple(window(lane=lane, account="smtp") for lane, _ in known.windows)
    own = sum(len(metric.samples) for metric in Meter("exporter").registry.collect())
    assert len(shown(Snapshot(at=AT, windows=standing_in), known)) + own < MOST_SERIES


def test_the_meter_of_the_exporter_leaves_the_database_s_families_to_the_collector() -> None:
    names = {sample.name for metric in Meter("exporter").registry.collect() for sample in metric.samples}
    assert m.EXPORTER_UP.full_name in names
    assert not names & {family.full_name for family in m.OF_DATABASE}
