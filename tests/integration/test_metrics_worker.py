"""What a worker exposes agrees with the provider's ledger and with the tables."""

from __future__ import annotations

import sys
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.faults import FaultKind, FaultPlan, FaultRule
from atum_schema import metrics_catalogue as m
from atum_schema.fallback import SMTP
from atum_schema.formats import ticket
from atum_schema.maintenance import Task
from atum_schema.migrate import migrate
from tests.nodes import eventually
from tests.scraping import await_scrape, scrape, url_in
from tests.system import SETTLED_SOON, System, letters

if TYPE_CHECKING:
    from atum_ops.stack.postgres import PostgresNode

SERVED = {"ATUM_METRICS_PORT": "0"}
LANE = "transactional"

LOST = FaultRule(kind=FaultKind.SERVER_ERROR_AFTER, recipient="lost", max_count=1)
LATER = FaultRule(kind=FaultKind.SENDER_UNKNOWN, recipient="later", max_count=2)

WORDS = {
    "provider_accepted": "accepted",
    "provider_rejected": "rejected",
    "retry_scheduled": "deferred",
    "outcome_unknown": "unknown",
}


def answered(system: System) -> dict[str, int]:
    """Count the mails of all answers by what they said, as the log of events has it."""
    rows = system.query("SELECT cause, count(*) FROM atum.event GROUP BY cause")
    return {WORDS[cause]: number for cause, number in rows if cause in WORDS}


def test_a_worker_counts_what_it_posts_and_what_the_provider_says_of_it(
    database_url: str, amqp_url: str
) -> None:
    with System(
        database_url=database_url,
        amqp_url=amqp_url,
        workers=0,
        settings={
            **SETTLED_SOON,
            **SERVED,
            "ATUM_OUTAGE_REQUESTS": "10000",
            "ATUM_RETRY_MAX_S": "0.1",
            # What is counted here is what the provider says, not who is too slow to hear it.
            "ATUM_REQUEST_TIMEOUT_S": "10",
        },
    ) as system:
        url = url_in(system.start_worker().output())
        system.simulator.set_faults(FaultPlan(rules=(LOST,)))
        lost = system.mailer.enqueue(letters(2, name="lost"))
        await_scrape(url, lambda now: now.values(m.SEARCHES, "search").get("found"), seconds=60)
        # Not earlier: catching up would have told the system whom it must not mail.
        system.simulator.set_inactive([f"gone{place}@example.net" for place in range(3)])
        system.simulator.set_faults(FaultPlan(rules=(LATER,)))
        ids = [
            *lost,
            *system.mailer.enqueue(letters(40, name="fine")),
            *system.mailer.enqueue(letters(3, name="gone")),
            *system.mailer.enqueue(letters(2, name="later")),
        ]
        system.settled()
        assert system.statuses(ids)["dead"] == 3

        def posted() -> int:
            ((requests,),) = system.query(
                "SELECT count(DISTINCT token) FROM atum.attempt WHERE token <> batch_id"
            )
            return int(requests)

        # What a thread does with a ticket is counted in several steps, the last of which is that it has let go.
        seen = await_scrape(
            url,
            lambda now: (
                now.values(m.ATTEMPTS, "outcome", lane=LANE) == answered(system)
                and now.value(m.TICKETS, ticket="posted") == posted()
                and now.value(m.INFLIGHT, lane=LANE) == 0
            ),
            seconds=60,
        )
        requests = posted()
        outcomes = seen.values(m.ATTEMPTS, "outcome", lane=LANE)
        assert outcomes == {
            "accepted": 42,
            "rejected": 3,
            "deferred": outcomes["deferred"],
            "unknown": 2,
        }
        assert sum(seen.values(m.REQUESTS, "code_class", account="default").values()) == requests
        assert seen.values(m.REQUESTS, "code_class") == {"2xx": requests - 1, "5xx": 1}
        assert seen.value(m.REQUEST_DURATION, "_count", account="default") == requests
        assert seen.values(m.ERROR_CODES, "code") == {
            "400": outcomes["deferred"],
            "406": 3,
            "101": 2,
        }
        assert seen.values(m.RETRIES, "charged", lane=LANE) == {"yes": outcomes["deferred"]}
        # Each mail has one first attempt, whatever came after it.
        assert seen.value(m.FIRST_ATTEMPT_DELAY, "_count", lane=LANE) == len(ids)
        assert 0 < seen.value(m.FIRST_ATTEMPT_DELAY, "_sum", lane=LANE) < 60 * len(ids)
        assert seen.value(m.THREADS, lane=LANE) == 2
        assert seen.value(m.CONNECTED) == 1
        # One for each queue: two lanes, reconcile, maintain, revive.
        assert seen.value(m.BROKER_CONNECTIONS) == 5
        assert seen.value(m.POOL, pool_state="open") >= seen.value(m.POOL, pool_state="idle") >= 0
        assert seen.values(m.SEARCHES, "search").keys() <= {"found", "empty"}


def test_a_worker_counts_the_tasks_that_it_runs_as_the_table_does(database_url: str, amqp_url: str) -> None:
    with System(database_url=database_url, amqp_url=amqp_url, workers=0, settings=SERVED) as system:
        url = url_in(system.start_worker().output())
        seen = await_scrape(url, lambda now: len(now.values(m.TASK_RUNS, "task")) >= 3, seconds=60)
        begun = system.query(
            "SELECT name FROM atum.maintenance WHERE ended_at IS NOT NULL OR token IS NOT NULL"
        )
        assert seen.values(m.TASK_RUNS, "task").keys() <= {name for (name,) in begun}
        assert all(
            seen.has(m.TASK_RUNS, task=task, task_result=result)
            for task in Task
            for result in m.FIXED["task_result"]
        )


def test_the_series_of_a_worker_are_there_before_its_first_mail(database_url: str, amqp_url: str) -> None:
    with System(database_url=database_url, amqp_url=amqp_url, relays=0, workers=0, settings=SERVED) as system:
        seen = scrape(url_in(system.start_worker().output()))
        for lane in ("transactional", "broadcast"):
            assert [seen.value(m.ATTEMPTS, lane=lane, outcome=each) for each in m.FIXED["outcome"]] == [0] * 4
            assert seen.value(m.FIRST_ATTEMPT_DELAY, "_count", lane=lane) == 0
            assert seen.value(m.INFLIGHT, lane=lane) == 0
        for code in ("300", "406", "other"):
            assert seen.value(m.ERROR_CODES, code=code) == 0
        for account in ("default", SMTP):
            assert seen.value(m.REQUESTS, account=account, code_class="5xx") == 0


def test_a_request_under_way_is_seen(database_url: str, amqp_url: str) -> None:
    with System(
        database_url=database_url,
        amqp_url=amqp_url,
        workers=0,
        # Long enough to be seen in the middle on a busy machine.
        simulation=SimulatorConfig(latency_ms=6000),
        settings={**SERVED, "ATUM_REQUEST_TIMEOUT_S": "60"},
    ) as system:
        url = url_in(system.start_worker().output())
        system.mailer.enqueue(letters(1))
        system.await_posting()
        await_scrape(url, lambda now: now.value(m.INFLIGHT, lane=LANE) == 1)
        system.settled()
        seen = await_scrape(url, lambda now: now.value(m.INFLIGHT, lane=LANE) == 0)
        assert seen.value(m.REQUEST_DURATION, "_sum", account="default") >= 5


def test_tickets_of_batches_that_are_done_or_empty_are_told_apart(database_url: str, amqp_url: str) -> None:
    # Each ticket is published once, however slow everybody is.
    settings = {**SERVED, "ATUM_TICKET_LOST_AFTER_S": "60", "ATUM_PUBLISH_TIMEOUT_S": "30"}
    with System(
        database_url=database_url, amqp_url=amqp_url, relays=0, workers=0, settings=settings
    ) as system:
        url = url_in(system.start_worker().output())
        relay = system.start_relay()
        system.mailer.enqueue(letters(1))
        system.settled()
        ((batch,),) = system.query("SELECT batch_id FROM atum.attempt")
        relay.stop(timeout=60)
        with system.broker() as channel:
            again = ticket(batch, LANE)
            channel.basic_publish("", again.queue, again.body)
        seen = await_scrape(url, lambda now: now.value(m.TICKETS, ticket="stale"))
        assert seen.values(m.TICKETS, "ticket") == {"posted": 1, "stale": 1}


def test_a_worker_that_dramatiqs_own_command_runs_serves_its_metrics_too(
    database_url: str, amqp_url: str
) -> None:
    with System(database_url=database_url, amqp_url=amqp_url, workers=0, settings=SERVED) as system:
        command = [
            sys.executable,
            "-m",
            "dramatiq",
            "atum_workers.app:setup",
            "--processes",
            "1",
            "--threads",
            "3",
        ]
        worker = system.await_output(system.start_part(command), "metrics: exposed")
        url = url_in(worker.output())
        system.mailer.enqueue(letters(3))
        system.settled()
        seen = await_scrape(url, lambda now: now.values(m.ATTEMPTS, "outcome") == {"accepted": 3})
        assert seen.value(m.THREADS, lane=LANE) == 3
        assert seen.value(m.CONNECTED) == 1


def test_a_batch_whose_mails_have_expired_is_emptied(database_url: str, amqp_url: str) -> None:
    with System(database_url=database_url, amqp_url=amqp_url, workers=0, settings=SERVED) as system:
        soon = datetime.now(UTC) + timedelta(seconds=6)
        system.mailer.enqueue(letters(2, expires_at=soon))
        assert eventually(lambda: bool(system.query("SELECT FROM atum.batch")))
        assert eventually(lambda: datetime.now(UTC) > soon)
        url = url_in(system.start_worker().output())
        seen = await_scrape(url, lambda now: now.value(m.TICKETS, ticket="emptied"), seconds=60)
        assert seen.values(m.ATTEMPTS, "outcome") == {}


def test_a_ticket_is_given_up_while_the_database_is_away(own_postgres: PostgresNode, amqp_url: str) -> None:
    migrate(own_postgres.url)
    with System(
        database_url=own_postgres.url,
        amqp_url=amqp_url,
        relays=0,
        workers=0,
        settings={**SERVED, "ATUM_CLAIM_LEASE_S": "5"},
    ) as system:
        worker = system.start_worker()
        url = url_in(worker.output())
        await_scrape(url, lambda now: now.value(m.CONNECTED))
        own_postgres.kill()
        with system.broker() as channel:
            outgoing = ticket(uuid.uuid4(), LANE)
            channel.basic_publish("", outgoing.queue, outgoing.body)
        seen = await_scrape(url, lambda now: now.value(m.TICKETS, ticket="given_up"), seconds=60)
        assert seen.value(m.DATABASE_RETRIES) > 0
        assert seen.value(m.LOG_MESSAGES, level="warning") > 0
        own_postgres.start()
