"""Alerts, whole: what the simulator causes reaches a receiver through a real Prometheus and a real Alertmanager."""

from __future__ import annotations

import itertools
import signal
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import pytest

from atum_ops.simulator.faults import FaultKind, FaultPlan, FaultRule, Target
from tests.intaking import document, publish, take_rejected
from tests.nodes import eventually, private_rabbit
from tests.system import letters
from tests.watched import COOLDOWN_S, Notice, Story, Watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from atum_ops.stack.rabbit import RabbitNode
    from tests.nodes import Databases

PAGE: Final = "atum-mailer-page"
TICKET: Final = "atum-mailer-ticket"
PAUSED: Final = "SELECT count(*) FROM atum.flow WHERE paused_by IS NOT NULL"
WINDOWS: Final = "SELECT bool_and(state = 'open') FROM atum.flow"


@pytest.fixture(scope="module")
def rabbit() -> Iterator[RabbitNode]:
    """A RabbitMQ for this module alone, to block."""
    with private_rabbit() as node:
        yield node


@pytest.fixture(scope="module")
def watched(databases: Databases, rabbit: RabbitNode) -> Iterator[Watched]:
    with databases.fresh() as url, Watched(url, rabbit.url) as one:
        yield one


@pytest.fixture(autouse=True)
def _as_if_nothing_had_been(watched: Watched) -> Iterator[None]:
    yield
    # Where a test has failed halfway, the others are about other things.
    if not watched.worker.running:
        watched.worker = watched.system.start_worker()
    watched.system.simulator.set_faults(FaultPlan())
    watched.system.simulator.set_fates(None)
    watched.refusing = ""
    register(watched)
    if watched.query(PAUSED) != [(0,)]:
        watched.order("queue", "resume", "transactional")
    assert eventually(lambda: watched.query(WINDOWS) == [(True,)], seconds=60)
    watched.system.settled()
    watched.pass_time()


def fault(watched: Watched, *kinds: FaultKind, blind: bool = False) -> None:
    rules = [FaultRule(kind=kind) for kind in kinds]
    if blind:
        rules.append(FaultRule(kind=FaultKind.MAINTENANCE, target=Target.SEARCH))
    watched.system.simulator.set_faults(FaultPlan(rules=tuple(rules)))


def register(watched: Watched, **credentials: str) -> None:
    """Have events told with these credentials, and no others."""
    for one in watched.system.simulator.webhooks()["webhooks"]:
        watched.system.simulator.remove_webhook(one["ID"])
    watched.register(**credentials)


def is_all_told(watched: Watched) -> bool:
    """Whether the provider has nothing more to tell of what it took."""
    state = watched.system.simulator.webhooks()
    return not state["upcoming"] and not state["pending"]


def pile_up(watched: Watched) -> None:
    watched.order("queue", "pause", "transactional", "--reason", "a test")
    watched.system.mailer.enqueue(letters(40, name="backlog"))


def drain(watched: Watched) -> None:
    watched.order("queue", "resume", "transactional")
    watched.system.settled()


def test_an_alert_is_told_once_and_again_after_the_cooldown_and_a_flap_and_its_end_are_no_more_than_they_are(
    watched: Watched,
) -> None:
    name: Final = "AtumBacklogHigh"
    notices = Story(watched, name).notices
    pile_up(watched)
    assert eventually(lambda: bool(notices()), seconds=60)
    first = notices()[0]
    assert (first.status, first.receiver) == ("firing", TICKET)
    assert first.labels["severity"] == "warning"
    assert first.annotations["runbook_url"].endswith(f"/{name}.md")
    assert "40 mails" in first.annotations["description"]

    # A flap inside the cooldown: the condition ends, and is met again.
    backlog = "sum(max by (lane) (atum_mailer_backlog_mails))"
    drain(watched)
    assert eventually(lambda: watched.value(backlog) == 0)
    pile_up(watched)
    assert eventually(lambda: (watched.value(backlog) or 0) >= 30)

    assert eventually(lambda: len(notices()) > 1, seconds=60)
    assert [notice.status for notice in notices()[:2]] == ["firing", "firing"]
    assert is_cooled_down(notices()[:2])

    ending = time.time()
    drain(watched)
    assert eventually(lambda: notices()[-1].status == "resolved", seconds=60)
    # It is told once, and only when nothing has been wrong for the whole cooldown.
    resolved = notices()[-1]
    assert resolved.at - ending >= COOLDOWN_S / 2
    assert not eventually(lambda: notices()[-1] != resolved, seconds=3)
    assert is_cooled_down([notice for notice in notices() if notice.status == "firing"])


def is_cooled_down(notices: Sequence[Notice]) -> bool:
    """Whether the cooldown is between the notices, as near as a receiver on a busy machine can tell; without, it is a second."""
    return all(two.at - one.at >= COOLDOWN_S / 2 for one, two in itertools.pairwise(notices))


def is_told(story: Story, receiver: str, end: Callable[[], object]) -> None:
    """Assert that an alert that was caused is told, and its end too."""
    notice = story.await_told("firing")
    assert notice.receiver == receiver
    assert notice.annotations["runbook_url"].endswith(f"/{notice.alert}.md")
    end()
    story.await_told("resolved")


def test_failures_and_dead_letters_are_told(watched: Watched) -> None:
    dying, fast = Story(watched, "AtumDeadLettersGrowing"), Story(watched, "AtumFailureBurnFast")
    failing = Story(watched, "AtumFailureRateCritical")
    refused = [{"EmailAddress": f"refused{place}@example.net"} for place in range(30)]
    watched.system.simulator.set_suppressions(refused)
    watched.system.mailer.enqueue(letters(30, name="refused"))
    dying.await_told("firing")
    fast.await_told("firing")
    is_told(failing, PAGE, watched.pass_time)
    dying.await_told("resolved")


def test_a_provider_that_is_down_is_told_and_what_follows_from_it_is_not(watched: Watched) -> None:
    down, backlog = Story(watched, "AtumProviderDown"), Story(watched, "AtumBacklogHigh")
    fault(watched, FaultKind.MAINTENANCE)
    watched.system.mailer.enqueue(letters(20, name="outage"))
    down.await_told("firing")
    # The cause is told first: what follows faster than that is told too.
    watched.system.mailer.enqueue(letters(20, name="behind"))
    assert eventually(lambda: watched.is_met("AtumBacklogHigh"))
    assert not eventually(lambda: bool(backlog.notices()), seconds=6)
    is_told(down, PAGE, lambda: watched.system.simulator.set_faults(FaultPlan()))


def test_a_token_that_is_refused_is_told(watched: Watched) -> None:
    refused = Story(watched, "AtumProviderAuthFailing")
    fault(watched, FaultKind.UNAUTHORIZED)
    watched.system.mailer.enqueue(letters(3, name="token"))
    is_told(refused, PAGE, lambda: watched.system.simulator.set_faults(FaultPlan()))


def test_a_provider_that_finds_it_too_much_is_told(watched: Watched) -> None:
    throttling = Story(watched, "AtumProviderThrottling")
    fault(watched, FaultKind.RATE_LIMIT)
    watched.system.mailer.enqueue(letters(10, name="toomuch"))

    def end() -> None:
        watched.system.simulator.set_faults(FaultPlan())
        watched.system.settled()
        watched.pass_time()

    is_told(throttling, TICKET, end)


def test_bounces_and_complaints_are_told(watched: Watched) -> None:
    bouncing, complaining = Story(watched, "AtumBounceRateHigh"), Story(watched, "AtumComplaintRateHigh")
    watched.system.simulator.set_fates({"bounce-hard": 0.5, "complaint": 0.5})
    watched.system.mailer.enqueue(letters(40, name="fated"))
    bouncing.await_told("firing")
    is_told(complaining, TICKET, watched.pass_time)
    bouncing.await_told("resolved")


def test_a_webhook_endpoint_that_refuses_the_provider_is_told(watched: Watched) -> None:
    rejecting = Story(watched, "AtumWebhookRejecting")
    register(watched, password="another-password")
    watched.system.simulator.set_fates({"open": 1.0})
    watched.system.mailer.enqueue(letters(30, name="untold"))
    assert rejecting.await_told("firing").receiver == TICKET


def test_a_provider_that_says_nothing_of_what_it_took_is_told(watched: Watched) -> None:
    watched.system.simulator.set_fates({"open": 1.0})
    watched.system.mailer.enqueue(letters(1, name="told"))
    last = "atum_mailer_webhook_last_received_timestamp_seconds"
    assert eventually(lambda: bool(watched.value(last)))
    watched.system.settled()
    watched.system.simulator.set_fates(None)
    # What comes after the silence has begun ends it: that of this mail, and of those of other tests.
    assert eventually(lambda: is_all_told(watched), seconds=120)
    silent = Story(watched, "AtumWebhookSilence")
    watched.query(
        "WITH t AS (UPDATE atum.webhook_inbox SET received_at = received_at - interval '2 hours' RETURNING 1)"
        " SELECT count(*) FROM t"
    )
    watched.system.mailer.enqueue(letters(30, name="silent"))
    is_told(silent, TICKET, watched.pass_time)


def test_a_mail_that_was_sent_twice_is_told(watched: Watched) -> None:
    # The provider takes it long after anybody could think so: no search finds it in time, so it goes out again.
    doubled = Story(watched, "AtumDuplicateConfirmed")
    watched.system.simulator.set_fates({"open": 1.0})
    rule = FaultRule(kind=FaultKind.ACCEPT_LATE, recipient="twice", max_count=1)
    watched.system.simulator.set_faults(FaultPlan(rules=(rule,), late_s=15.0))
    watched.system.mailer.enqueue(letters(1, name="twice"))
    is_told(doubled, PAGE, watched.pass_time)


def test_mails_that_wait_for_a_person_and_those_that_wait_for_long_are_told(watched: Watched) -> None:
    old, waiting_for_somebody = Story(watched, "AtumOldestMailOld"), Story(watched, "AtumMailsHeld")
    later = datetime.now(UTC) + timedelta(days=1)
    (held,) = watched.system.mailer.enqueue(letters(1, name="held", send_at=later))
    watched.order("mail", "hold", str(held))
    watched.order("queue", "pause", "transactional", "--reason", "a test")
    (waiting,) = watched.system.mailer.enqueue(letters(1, name="old"))
    watched.query(
        "UPDATE atum.ready SET due_at = due_at - interval '55 minutes' WHERE mail_id = %(id)s RETURNING mail_id",
        id=waiting,
    )
    old.await_told("firing")

    def end() -> None:
        watched.order("mail", "cancel", str(held))
        drain(watched)

    is_told(waiting_for_somebody, TICKET, end)
    old.await_told("resolved")


def test_unknown_outcomes_are_told(watched: Watched) -> None:
    unknown = Story(watched, "AtumUnknownMailsOld")
    # Accepted, and the answer is lost; and the search finds nothing.
    fault(watched, FaultKind.RESET_AFTER, blind=True)
    watched.system.mailer.enqueue(letters(2, name="unknown", stream="broadcast"))
    assert eventually(lambda: bool(watched.value("sum(atum_mailer_unknown_mails)")))
    watched.query(
        "WITH t AS (UPDATE atum.batch SET posting_at = posting_at - interval '1 hour' WHERE state = 'unknown' RETURNING 1)"
        " SELECT count(*) FROM t"
    )
    is_told(unknown, TICKET, lambda: watched.system.simulator.set_faults(FaultPlan()))


def test_no_worker_is_told(watched: Watched) -> None:
    none, vanished = Story(watched, "AtumNoWorker"), Story(watched, "AtumPartVanished")
    watched.worker.signal(signal.SIGKILL)

    def start() -> None:
        watched.worker = watched.system.start_worker()

    # While none is left, that one of them vanished goes without saying.
    none.await_told("firing")
    assert eventually(lambda: watched.is_met("AtumPartVanished"))
    assert vanished.notices() == []
    is_told(none, PAGE, start)


def is_told_once_a_cooldown(story: Story, end: Callable[[], object]) -> None:
    """Assert that a critical alert that was caused is told, never sooner again than after the cooldown, and its end once."""
    is_told(story, PAGE, end)
    *firing, last = story.notices()
    assert last.status == "resolved"
    assert {notice.status for notice in firing} == {"firing"}
    assert is_cooled_down(firing)


def test_an_alarm_of_the_broker_is_told(watched: Watched, rabbit: RabbitNode) -> None:
    alarm = Story(watched, "AtumBrokerAlarm")
    rabbit.rabbitmqctl("set_vm_memory_high_watermark", "0.00001")
    # Who publishes during an alarm learns of it; the mail itself leaves without the broker.
    watched.system.mailer.enqueue(letters(1, name="alarm"))
    is_told_once_a_cooldown(
        alarm, lambda: rabbit.rabbitmqctl("set_vm_memory_high_watermark", "absolute", "1GB")
    )


def test_a_receiver_that_refuses_notices_is_told_to_another_one(watched: Watched) -> None:
    failing, untold = Story(watched, "AtumAlertDeliveryFailing"), Story(watched, "AtumBacklogHigh")
    watched.refusing = TICKET
    pile_up(watched)

    def end() -> None:
        assert untold.notices() == []
        watched.refusing = ""
        # What it refused is offered to it again, and it takes it now.
        untold.await_told("firing")
        drain(watched)

    is_told_once_a_cooldown(failing, end)


def test_jobs_that_nobody_takes_and_those_that_were_refused_are_told(
    watched: Watched, rabbit: RabbitNode
) -> None:
    nobody, rejected = Story(watched, "AtumNoIntake"), Story(watched, "AtumJobsRejected")
    publish(rabbit.url, [document(1), b"no mail"])
    is_told_once_a_cooldown(nobody, lambda: watched.run("intake"))
    is_told(rejected, TICKET, lambda: take_rejected(rabbit.url, 1))


def test_a_database_that_cannot_be_read_is_told(watched: Watched) -> None:
    down = Story(watched, "AtumDatabaseDown")
    watched.refuse(connections=True)
    try:
        is_told(down, PAGE, lambda: watched.refuse(connections=False))
    except BaseException:
        watched.refuse(connections=False)
        raise
