"""`queue run`: works off what is due in its own process, under the same claims, and counts what it did.

Weaknesses B5 (claims more than it can work on), B6 and B7 (due mail waits for somebody to wake up), B14 (one POST per mail),
B17 ("processed" was the difference of two backlogs).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from atum_ops.running import runner
from atum_ops.simulator.faults import FaultPlan
from atum_schema import flow_store, settings
from tests.command_line import RETRYING, Place
from tests.command_line import run as command
from tests.system import System, letters

if TYPE_CHECKING:
    from atum_ops.running import Ran
    from atum_ops.simulator.process import SimulatorProcess


@pytest.fixture
def place(place: Place, simulator: SimulatorProcess) -> Place:
    place.environment |= {
        "ATUM_POSTMARK_TOKEN": simulator.config.token,
        "ATUM_POSTMARK_URL": simulator.url,
        "ATUM_THREADS": "2",
        "ATUM_REQUEST_TIMEOUT_S": "20",
    }
    return place


def run(place: Place, *arguments: object, status: int = 0) -> Any:
    answer = place.run("queue", "run", "--format=json", *arguments)
    assert answer.status == status, answer
    return answer.json


def test_due_mail_is_sent_in_batches_without_rabbitmq_and_counted(
    place: Place, simulator: SimulatorProcess
) -> None:
    """Weakness B14: many mails travel in one POST."""
    place.enqueue(25)
    place.enqueue(5, lane="broadcast", stream="broadcast")
    done = run(place)
    assert (done["sent"], done["due"], done["stopped"]) == (30, {}, {})
    assert done["batches"] < 30
    assert simulator.summary().accepted == 30
    assert place.sql("SELECT status, count(*) FROM atum.mail GROUP BY 1") == [("sent", 30)]
    assert run(place)["sent"] == 0


def test_counts_are_of_what_became_of_each_mail_and_not_of_the_backlog(place: Place) -> None:
    """Weakness B17: mails that came meanwhile or were tried in vain do not distort them."""
    place.ended(RETRYING, 2)
    place.sql("UPDATE atum.ready SET due_at = now()")
    place.enqueue(1, sender="App <app@example.com>")
    ids = place.enqueue(1)
    place.sql("UPDATE atum.mail SET expires_at = now() WHERE id = %(id)s", id=ids[0])
    unreadable = place.enqueue(1)
    place.sql("UPDATE atum.content SET key_id = 'gone' WHERE mail_id = %(id)s", id=unreadable[0])
    done = run(place)
    counted = {word: number for word, number in done.items() if word in {"sent", "expired", "retrying"}}
    assert counted == {"sent": 3, "expired": 1, "retrying": 1}
    assert place.sql("SELECT status, count(*) FROM atum.mail GROUP BY 1 ORDER BY 1") == [
        ("expired", 1),
        ("retrying", 1),
        ("sent", 3),
    ]


def test_what_is_refused_for_good_is_dead_and_the_exit_status_says_so(
    place: Place, simulator: SimulatorProcess
) -> None:
    """Weakness I1: exit statuses say what was found."""
    place.enqueue(2)
    simulator.set_faults(plan("422_300"))
    place.enqueue(1, lane="broadcast", stream="broadcast")
    assert run(place, "--lane", "broadcast", status=1)["dead"] == 1


def test_a_dry_run_only_counts_what_is_due(place: Place, simulator: SimulatorProcess) -> None:
    place.enqueue(3)
    assert run(place, "--dry-run") == {"due": {"transactional": 3}, "ran": False}
    assert "transactional" in place.run("queue", "run", "--dry-run").out
    assert simulator.summary().accepted == 0
    assert place.sql("SELECT count(*) FROM atum.batch") == [(0,)]


def test_no_more_mails_are_taken_than_the_limit_says(place: Place) -> None:
    """Weakness B5: what is not worked on is not claimed."""
    place.enqueue(10)
    done = run(place, "--limit", 4)
    assert (done["sent"], done["due"]) == (4, {"transactional": 6})
    assert place.sql("SELECT count(*) FROM atum.batch") == [(0,)]


def test_one_lane_is_worked_off_and_the_others_wait(place: Place) -> None:
    place.enqueue(2)
    place.enqueue(3, lane="broadcast", stream="broadcast")
    assert run(place, "--lane", "broadcast")["sent"] == 3
    assert run(place, "--dry-run")["due"] == {"transactional": 2}
    answer = place.run("queue", "run", "--lane", "nowhere")
    assert answer.status == 2
    assert "'nowhere' is no lane of ATUM_LANES" in answer.err


def test_a_paused_lane_stays_paused(place: Place, simulator: SimulatorProcess) -> None:
    """Weakness A15: the kill switch stops whoever works off."""
    place.enqueue(2)
    assert place.run("queue", "pause", "--reason", "a test").status == 0
    done = run(place, status=1)
    assert (done["due"], done["stopped"]["transactional"]) == ({"transactional": 2}, "a test")
    assert simulator.summary().accepted == 0


def test_batches_that_nobody_fetched_are_taken_up(place: Place) -> None:
    """Weakness B6: a wake-up that got lost strands nothing."""
    place.enqueue(5)
    place.issue(mails=2)
    place.sql("UPDATE atum.batch SET publish_after = now() - interval '1 minute'")
    assert run(place)["sent"] == 5


def test_a_batch_that_a_worker_has_is_left_to_it(place: Place, simulator: SimulatorProcess) -> None:
    place.enqueue(3)
    (batch,) = place.issue()
    place.post(batch)
    place.enqueue(2)
    assert run(place)["sent"] == 2
    assert simulator.summary().accepted == 2


def test_an_answer_that_never_came_is_unknown_and_a_refusal_for_now_is_retried(
    place: Place, simulator: SimulatorProcess
) -> None:
    place.environment["ATUM_REQUEST_TIMEOUT_S"] = "1"
    place.enqueue(2)
    simulator.set_faults(plan("hang_after"))
    assert run(place, status=1)["unknown"] == 2


def plan(kind: str) -> FaultPlan:
    from atum_ops.simulator.faults import FaultKind, FaultRule

    return FaultPlan(seed=0, rules=(FaultRule(kind=FaultKind(kind), probability=1.0),))


def test_a_rate_is_kept_and_waited_for(place: Place) -> None:
    place.environment["ATUM_RATES"] = "transactional=20"
    place.enqueue(30)
    with_rate = run(place, "--time", "1s")
    assert with_rate["sent"] < 30 or with_rate["batches"] > 1
    assert run(place, "--time", "60s").get("sent", 0) + with_rate["sent"] == 30
    (row,) = [row for row in flow_store.read(place.connection) if row.lane == "transactional"]
    assert row.window.rate == 20


@pytest.mark.parametrize("wrong", ["0", "-1", "soon", "1.5s"])
def test_a_time_that_cannot_be_read_is_wrong_usage(place: Place, wrong: str) -> None:
    assert place.run("queue", "run", "--time", wrong).status == 2


def test_many_of_them_share_the_work_and_nothing_is_sent_twice(
    place: Place, simulator: SimulatorProcess
) -> None:
    """Weakness B17: each counts what it did itself, so that the counts add up."""
    place.enqueue(400)
    configured = settings.load_from({**place.environment, "ATUM_BATCH_MAILS": "10"})
    done: list[Ran] = []

    def work() -> None:
        with runner(configured) as one:
            ran = one.run(["transactional"], limit=None, time_s=120, progress=lambda _: None)
        done.append(ran)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(ran.counts["sent"] for ran in done) == 400
    summary = simulator.summary()
    assert (summary.accepted, summary.distinct, summary.duplicates) == (400, 400, 0)
    assert run(place)["sent"] == 0


# A batch that somebody was only slow to post would be unknown, and the exit status says so.
BESIDE = {"ATUM_BATCH_MAILS": "10", "ATUM_REQUEST_TIMEOUT_S": "20"}


def test_it_may_run_beside_relays_and_workers(database_url: str, amqp_url: str) -> None:
    with System(database_url=database_url, amqp_url=amqp_url, settings=BESIDE) as system:
        system.mailer.enqueue(letters(500))
        answer = command("queue", "run", "--format=json", **system.environment)
        assert answer.status == 0, answer
        system.settled()
        system.check(sent=500)


def test_limits_that_relays_have_set_outlive_a_run_by_somebody_with_other_settings(place: Place) -> None:
    flow_store.ensure(place.connection, lane="transactional", account="default", ceiling=8, rate=5000.0)
    before = place.sql("SELECT ceiling, rate, burst FROM atum.flow WHERE lane = 'transactional'")
    place.enqueue(3)
    assert run(place)["sent"] == 3
    assert place.sql("SELECT ceiling, rate, burst FROM atum.flow WHERE lane = 'transactional'") == before
