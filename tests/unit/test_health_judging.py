"""What each check's findings mean, decided without looking at anything.

Weaknesses A15, B7, G3, G4, H6, H8, I1, I2: see the names of the tests.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_ops import failing, windows
from atum_ops.failing import Counts
from atum_ops.health import (
    clock,
    database,
    dns,
    domains,
    failures,
    findings,
    keys,
    lanes,
    parts,
    provider,
    queues,
    retention,
    schema,
    webhooks,
)
from atum_ops.health.database_store import Part, Server, Settling, TaskState
from atum_ops.health.findings import Finding, Verdict
from atum_ops.reading import LaneState
from atum_ops.retaining import Picture
from atum_ops.retaining_store import Old, Run
from atum_ops.webhooks import findings as of_webhooks
from atum_schema.fingerprint import Difference
from atum_workers import postmark_account
from atum_workers.postmark_account import Domain, Records, Sender, Stream
from atum_workers.postmark_api import ProviderFailed

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def verdicts(found: list[Finding]) -> list[str]:
    for each in found:
        assert (each.remedy is None) <= (each.verdict in {Verdict.GOOD, Verdict.UNKNOWN})
    return [each.verdict.value for each in found]


@given(st.lists(st.sampled_from(Verdict)))
def test_the_gravest_verdict_is_that_of_all_and_what_was_not_looked_at_counts_for_nothing(
    given_verdicts: list[Verdict],
) -> None:
    found = [Finding("x", verdict, "") for verdict in given_verdicts]
    known = {each for each in given_verdicts if each is not Verdict.UNKNOWN}
    expected = next(
        (each for each in (Verdict.BAD, Verdict.WARNING, Verdict.GOOD) if each in known), Verdict.UNKNOWN
    )
    assert findings.overall(found) is expected


SERVER = Server(
    "15.1", is_replica=False, fsync=True, synchronous_commit="on", connections=5, most_connections=100
)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "good"),
        ({"is_replica": True}, "bad"),
        ({"fsync": False}, "bad"),
        ({"synchronous_commit": "off"}, "bad"),
        ({"synchronous_commit": "local"}, "good"),
        ({"connections": 95}, "warning"),
    ],
)
def test_a_database_that_would_forget_what_it_acknowledged_is_bad(
    change: dict[str, Any], verdict: str
) -> None:
    assert verdicts(database.judge(SERVER._replace(**change))) == [verdict]


def test_a_schema_that_lacks_something_is_bad_and_one_with_more_is_to_be_looked_at() -> None:
    """Weakness I2."""
    assert verdicts(schema.judge(Difference([], []))) == ["good"]
    found = schema.judge(Difference([f"column mail.c{n} text" for n in range(5)], ["column mail.mine text"]))
    assert verdicts(found) == ["bad", "warning"]
    assert found[0].found.endswith("; and 2 more")


@pytest.mark.parametrize(
    ("skew", "doubt", "verdict"),
    [(0.0, 0.0, "good"), (1.9, 0.0, "good"), (-2.1, 0.0, "warning"), (3.0, 1.5, "good"), (-31.0, 0.5, "bad")],
)
def test_clocks_may_differ_by_what_measuring_is_worth(skew: float, doubt: float, verdict: str) -> None:
    found = clock.judge("the database's clock", skew, doubt_s=doubt)
    assert verdicts([found]) == [verdict]


PART = Part("relay", "host:1", "0.1.0", age_s=500.0, seen_s=3.0, worked_s=1.0, ended=False)


@pytest.mark.parametrize(
    ("running", "verdict"),
    [
        ([], "bad"),
        ([PART], "good"),
        ([PART._replace(ended=True)], "bad"),
        ([PART._replace(seen_s=60.0)], "bad"),
        ([PART._replace(kind="worker")], "bad"),
        ([PART._replace(worked_s=200.0)], "bad"),
        ([PART._replace(worked_s=None)], "bad"),
        ([PART._replace(worked_s=None, age_s=5.0)], "good"),
        ([PART, PART._replace(worked_s=200.0)], "warning"),
    ],
)
def test_no_relay_and_one_that_does_nothing_are_bad(running: list[Part], verdict: str) -> None:
    """Weakness B7: health said Healthy while nothing ran."""
    assert verdicts(parts.judge(parts.RELAYS, "relay", running)) == [verdict]


@pytest.mark.parametrize(
    ("running", "verdict"),
    [
        ([], "good"),
        ([PART, PART._replace(kind="worker")], "good"),
        ([PART, PART._replace(version="0.2.0")], "warning"),
        ([PART._replace(seen_s=100.0)], "warning"),
        ([PART._replace(seen_s=100.0, ended=True)], "good"),
        ([PART._replace(seen_s=5000.0)], "good"),
    ],
)
def test_processes_that_vanish_and_versions_that_mix_are_told(running: list[Part], verdict: str) -> None:
    assert verdicts(parts.judge_all(running)) == [verdict]


def window(**fields: Any) -> windows.WindowState:
    nothing = dict.fromkeys(windows.WindowState.__dataclass_fields__)
    given_fields = {"lane": "transactional", "account": "default", "state": "open", "since": NOW, **fields}
    return windows.WindowState(**{**nothing, **given_fields})


def test_a_lane_that_stopped_is_bad_and_one_that_a_person_paused_is_not_forgotten() -> None:
    """Weakness A15."""
    assert verdicts(lanes.judge([], {})) == ["good"]
    assert verdicts(lanes.judge([window()], {})) == ["good"]
    stopped = window(state="paused", reason="token_refused", remedy="set a valid token")
    (found,) = lanes.judge([stopped], {})
    assert (found.verdict, found.remedy) == (Verdict.BAD, "set a valid token")
    (found,) = lanes.judge([window(state="paused", reason="a sale", paused_by="ada", remedy="resume")], {})
    assert (found.verdict, "by ada" in found.found, "a sale" in found.found) == (Verdict.WARNING, True, True)


def test_mail_of_a_lane_that_no_relay_serves_is_told_beside_the_pause_of_that_lane() -> None:
    waiting = {"transactional": 3, "news": 1200, "offers": 0}
    orphans = lanes.orphaned(waiting, served={"transactional"})
    assert orphans == {"news": 1200}
    # Without any relay, that is what is wrong, and not the lanes.
    assert lanes.orphaned(waiting, served=frozenset()) == {}
    (found,) = lanes.judge([window()], orphans)
    assert (found.verdict, "1,200 mails wait in news" in found.found) == (Verdict.WARNING, True)
    paused = window(lane="news", state="paused", reason="a sale", paused_by="ada", remedy="resume")
    assert verdicts(lanes.judge([paused], orphans)) == ["warning", "warning"]


def lane(oldest_s: float) -> LaneState:
    return LaneState(
        lane="a",
        due=3,
        later=0,
        sending=0,
        unknown=0,
        batches=0,
        window=4,
        oldest_s=oldest_s,
        next_due_s=None,
    )


@pytest.mark.parametrize(
    ("oldest_s", "verdict"), [(0, "good"), (299, "good"), (300, "warning"), (3600, "bad")]
)
def test_mail_that_has_been_due_for_hours_is_bad(oldest_s: float, verdict: str) -> None:
    """Weakness B7: due jobs waited for hours and health still said Healthy."""
    assert verdicts(lanes.judge_backlog([lane(oldest_s)])) == [verdict]


def test_tasks_that_failed_or_that_nobody_does_are_told() -> None:
    states = [TaskState("a", None, 5.0), TaskState("b", "TypeError", 5.0), TaskState("c", None, None)]
    assert verdicts(lanes.judge_tasks(states[:1], [])) == ["good"]
    found = lanes.judge_tasks(states, ["c"])
    assert verdicts(found) == ["warning", "bad"]
    assert found[1].found.endswith("it never was done")


@pytest.mark.parametrize(
    ("dead", "dead_before", "verdict"),
    [(0, 0, "good"), (9, 9, "good"), (30, 5, "warning"), (50, 50, "warning"), (200, 0, "bad")],
)
def test_too_many_failures_and_many_more_than_the_day_before_are_told(
    dead: int, dead_before: int, verdict: str
) -> None:
    trend = failing.trend(Counts(1000, dead=dead), Counts(1000, dead=dead_before))
    assert verdicts(failures.judge(trend)) == [verdict]


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "good"),
        ({"held": 1}, "warning"),
        ({"settling": Settling(3, 4000.0, 2)}, "warning"),
        ({"settling": Settling(3, 40.0, 0)}, "good"),
        ({"dead": 9, "unpublished": 9, "unpublished_s": 5.0}, "good"),
        ({"dead": 9, "unpublished": 9, "unpublished_s": 500.0}, "warning"),
    ],
)
def test_what_waits_for_people_is_told(change: dict[str, Any], verdict: str) -> None:
    nothing = {"held": 0, "settling": Settling(0, 0.0, 0), "dead": 0, "unpublished": 0, "unpublished_s": 0.0}
    assert verdicts(failures.judge_stopped(**{**nothing, **change})) == [verdict]


STREAMS = [
    Stream("outbound", "Transactional", archived=False),
    Stream("news", "Broadcasts", archived=True),
    Stream("inbound", "Inbound", archived=False),
]


@pytest.mark.parametrize(
    ("used", "words"),
    [
        ("outbound", None),
        ("Outbound", None),
        ("inbound", "Inbound"),
        ("news", "archived"),
        ("x", "not exist"),
    ],
)
def test_streams_that_mails_use_must_exist_and_send(used: str, words: str | None) -> None:
    """Weakness G4: inbound and archived streams were offered, and an unknown one was not refused."""
    (found,) = provider.judge_streams([used], STREAMS)
    assert (found.verdict is Verdict.GOOD) == (words is None)
    if words is not None:
        assert words in found.found
        assert "those that send: outbound" in (found.remedy or "")


@pytest.mark.parametrize(
    ("status", "verdict"), [(401, "bad"), (None, "bad"), (503, "warning"), (429, "warning")]
)
def test_a_token_that_is_refused_now_is_bad_whatever_was_true_before(
    status: int | None, verdict: str
) -> None:
    """Weakness G3: a failed verification left "verified" on."""
    found = provider.failed("provider", ProviderFailed("x", status=status), setting="ATUM_POSTMARK_TOKEN")
    assert verdicts([found]) == [verdict]


def test_a_sandbox_is_told() -> None:
    assert verdicts(provider.judge(postmark_account.Server("s", "Sandbox", None))) == ["warning"]
    assert verdicts(provider.judge(postmark_account.Server("s", "Live", None))) == ["good"]


RECORDS = Records("20261101pm._domainkey.example.com", "pm-bounces.example.com")


@pytest.mark.parametrize(
    ("dkim", "return_path", "expected"),
    [
        (True, True, ["good"]),
        (False, True, ["bad"]),
        (True, False, ["warning"]),
        (False, False, ["bad", "warning"]),
    ],
)
def test_the_provider_knows_the_selector_of_a_domain(
    dkim: bool, return_path: bool, expected: list[str]
) -> None:
    """Weakness H6: a fixed selector made false alarms."""
    found = domains.judge_domain(Domain(1, "example.com", dkim, return_path), RECORDS)
    assert verdicts(found) == expected
    if not dkim:
        assert RECORDS.dkim_host in (found[0].remedy or "")


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ([], "neither a domain of the account, nor has an address a sender signature"),
        ([Sender("shop@example.com", confirmed=False)], "not confirmed"),
        ([Sender("shop@example.com", confirmed=True)], "all senders have a confirmed signature"),
    ],
)
def test_a_sender_is_verified_by_the_provider_and_not_by_its_syntax(known: list[Sender], words: str) -> None:
    """Weakness H8."""
    (found,) = domains.judge_senders(domains.From("example.com", ("shop@example.com",)), known)
    assert words in found.found
    assert "shop@" not in found.found


def test_the_domains_of_real_senders_are_looked_at() -> None:
    """Weakness H6: the site's domain was tested, and not that of the From."""
    used = domains.froms(["Shop <Shop@Example.com>", "a@example.org", "shop@example.com", "b@example.org"])
    assert used == [
        domains.From("example.com", ("shop@example.com",)),
        domains.From("example.org", ("a@example.org", "b@example.org")),
    ]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["v=DKIM1; k=rsa; p=MIGf"], None),
        (["p=MIGf"], None),
        (["k=rsa;p= MI Gf ;"], None),
        ([], "no TXT record"),
        (["v=DKIM1; p="], "revoked"),
        (["v=DKIM1; p=  ;"], "revoked"),
        (["v=spf1 -all"], "version"),
        (["k=rsa"], "no p="),
        (["hello"], "no p="),
        (["v=spf1 -all", "p=MIGf"], None),
    ],
)
def test_a_dkim_record_must_hold_a_key(texts: list[str], words: str | None) -> None:
    """Weakness H6: an empty key passed."""
    fault = dns.dkim_fault(texts)
    assert fault is None if words is None else words in (fault or "")


@given(st.lists(st.text(max_size=40), max_size=4))
def test_no_record_whatever_breaks_the_look(texts: list[str]) -> None:
    fault = dns.dkim_fault(texts)
    assert fault is None or fault


@pytest.mark.parametrize(
    ("used", "verdict"), [([], "good"), (["k2"], "good"), (["k1", "k2"], "good"), (["k0"], "bad")]
)
def test_content_whose_key_is_not_set_is_bad(used: list[str], verdict: str) -> None:
    assert verdicts(keys.judge(used, known={"k1", "k2"}, active="k2")) == [verdict]


QUEUE = queues.Queue("mail.deliver.a", exists=True, consumers=2)


@pytest.mark.parametrize(
    ("queue", "verdict"),
    [
        (QUEUE, "good"),
        (QUEUE._replace(exists=False), "warning"),
        (QUEUE._replace(wrong="PRECONDITION_FAILED - inequivalent arg 'x-queue-type'"), "bad"),
        (QUEUE._replace(consumers=0), "warning"),
        (QUEUE._replace(messages=20_000), "warning"),
        (QUEUE._replace(allowed=False), "warning"),
        (QUEUE._replace(name="mail.dead"), "warning"),
        (QUEUE._replace(name="mail.dead", consumers=0, messages=20_000), "good"),
        (QUEUE._replace(name="mail.intake", exists=False), "good"),
    ],
)
def test_a_queue_with_other_arguments_is_bad(queue: queues.Queue, verdict: str) -> None:
    assert verdicts(queues.judge([queue], needed=frozenset({"mail.deliver.a", "mail.dead"}))) == [verdict]


def picture(**fields: Any) -> Picture:
    return Picture(
        **{
            "now": NOW,
            "retention_days": 30,
            "content_retention_days": 30,
            "privacy": "metadata",
            "oldest_month": None,
            "oldest_mail": NOW - timedelta(days=20),
            "months": (),
            "aside": Old(0, None, 0),
            "content": Old(0, None, 0),
            "oldest_content": None,
            "missing": (),
            "run": Run(UUID(int=0), NOW, NOW, None, None, None),
            **fields,
        }
    )


def test_a_partition_that_is_missing_is_bad() -> None:
    found = retention.judge(picture(missing=("mail_2026_12",)), strays=False)
    assert verdicts(found) == ["bad"]
    assert found[0].found == "partitions are missing: mail_2026_12"


@pytest.mark.parametrize(
    ("fields", "strays", "verdict"),
    [
        ({}, False, "good"),
        ({"oldest_mail": None}, False, "good"),
        ({"aside": Old(3, NOW - timedelta(days=70), 3)}, False, "warning"),
        ({"content": Old(3, NOW - timedelta(days=70), 3)}, False, "warning"),
        ({}, True, "warning"),
    ],
)
def test_a_log_that_is_kept_for_longer_than_is_set_is_told(
    fields: dict[str, Any], strays: bool, verdict: str
) -> None:
    assert verdicts(retention.judge(picture(**fields), strays=strays)) == [verdict]


def test_webhooks_are_judged_in_the_words_of_health() -> None:
    level = of_webhooks.Level
    good = of_webhooks.Finding("last event", level.GOOD, "5.0 s ago")
    assert verdicts(webhooks.judge([good])) == ["good"]
    wrong = of_webhooks.Finding("last event", level.BAD, "2.0 d ago")
    assert verdicts(webhooks.judge([good, wrong])) == ["bad"]
