"""Jobs of producers in any language, while the intake and its servers fail: none lost, none twice."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from atum_ops.chaos.proxy import Proxy
from atum_producers import BrokerMailer
from atum_schema import topology
from atum_schema.errors import EnqueueFailed, EnqueueUncertain
from atum_schema.migrate import migrate
from tests.clients import nodejs
from tests.intaking import Inbox, depth, document, publish, publishing, start_intake, take_rejected
from tests.nodes import VirtualHosts, eventually, private_rabbit
from tests.sharing import Shared
from tests.system import System, letters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_ops.stack.postgres import PostgresNode
    from atum_ops.stack.rabbit import RabbitNode
    from atum_schema.mail import Mail


@pytest.fixture
def system(database_url: str, amqp_url: str) -> Iterator[System]:
    """A whole system without an intake."""
    with System(database_url=database_url, amqp_url=amqp_url, settings={"ATUM_INTAKE_JOBS": "20"}) as system:
        yield system


@pytest.fixture(scope="module")
def shared() -> Iterator[Shared[RabbitNode]]:
    """A RabbitMQ for this module alone, to kill and to block; what is left in its queues is in each test's own virtual host."""
    with Shared(private_rabbit) as one:
        yield one


@pytest.fixture
def rabbit(shared: Shared[RabbitNode], request: pytest.FixtureRequest) -> RabbitNode:
    return shared.lend(request.node)


def await_sent(system: System, number: int, *, seconds: float = 120) -> None:
    """Wait until the provider has so many mails and the log knows it; then check everything."""
    assert eventually(lambda: system.accepted() >= number, seconds=seconds), (
        system.accepted(),
        depth(system.amqp_url, topology.INTAKE),
    )
    system.settled()
    system.check(sent=number)
    assert eventually(lambda: depth(system.amqp_url, topology.INTAKE) == 0)


def stored(system: System) -> int:
    """Count the mails in the log."""
    ((number,),) = system.query("SELECT count(*) FROM atum.mail")
    return int(number)


def test_jobs_of_plain_pika_are_delivered_once(system: System) -> None:
    intake = start_intake(system)
    jobs = [document(place) for place in range(200)]
    publish(system.amqp_url, jobs, app_id="shop")
    await_sent(system, 200)
    assert set(system.ledger()) == {job["id"] for job in jobs}
    assert intake.stop() == 0


def test_jobs_of_amqplib_with_attachments_are_delivered_once(system: System) -> None:
    start_intake(system)
    done = subprocess.run(
        nodejs.program("amqp.mjs"),
        input=json.dumps({"number": 100, "client": "node-shop"}),
        env={**os.environ, "AMQP_URL": system.amqp_url},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    await_sent(system, 100)
    assert set(system.ledger()) == set(json.loads(done.stdout))
    assert system.query("SELECT DISTINCT client FROM atum.mail") == [("node-shop",)]
    assert {record.subject for record in system.simulator.ledger()} == {
        f"Invoice {place} – Größe" for place in range(100)
    }


def test_an_intake_killed_between_commit_and_acknowledgement_doubles_and_loses_nothing(
    system: System,
) -> None:
    jobs = [document(place) for place in range(100)]
    jobs += [document(place, id=None, idempotency_key=f"k{place}") for place in range(100, 200)]
    publish(system.amqp_url, jobs)
    for _ in range(4):
        crashing = system.start_part([sys.executable, "-m", "tests.crashing_intake"])
        assert crashing.ended(seconds=60) == -signal.SIGKILL
    assert system.query("SELECT count(*) FROM atum.mail") != [(0,)]
    start_intake(system)
    await_sent(system, 200)
    assert system.query("SELECT number FROM atum.tally WHERE name = 'intake_accepted'") == [(200,)]


def test_a_job_that_kills_every_intake_does_not_keep_the_others_from_being_stored(system: System) -> None:
    jobs = [document(place) for place in range(60)]
    publish(system.amqp_url, [document(subject="poison"), *jobs])
    for _ in range(40):
        poisoned = system.start_part([sys.executable, "-m", "tests.poisoned_intake"])
        assert poisoned.ended(seconds=60) == -signal.SIGKILL
        if system.query("SELECT count(*) FROM atum.mail") == [(60,)]:
            break
    assert set(map(str, system.query("SELECT array_agg(id) FROM atum.mail")[0][0])) == {
        job["id"] for job in jobs
    }
    # Mended, it takes that job too.
    start_intake(system)
    await_sent(system, 61)


def test_intakes_killed_under_load_lose_and_double_nothing(system: System) -> None:
    for _ in range(5):
        before = stored(system)
        # Jobs of its own for each: however fast the last one was, this one has something in hand.
        with publishing(system.amqp_url, [document(place) for place in range(120)], pause_s=0.005):
            intake = start_intake(system)
            assert eventually(lambda before=before: stored(system) > before)  # type: ignore[misc]
            intake.kill()
    start_intake(system)
    await_sent(system, 600)


@pytest.mark.parametrize("orderly", [True, False], ids=["stopped", "killed"])
def test_jobs_wait_while_postgres_is_away_and_flow_when_it_returns(
    own_postgres: PostgresNode, amqp_url: str, orderly: bool
) -> None:
    migrate(own_postgres.url)
    with System(
        database_url=own_postgres.url, amqp_url=amqp_url, settings={"ATUM_INTAKE_JOBS": "20"}
    ) as system:
        intake = start_intake(system)
        # They come for ten seconds and longer: some are left when the server is gone, however slowly it stops.
        jobs = [document(place) for place in range(1500)]
        with publishing(amqp_url, jobs, pause_s=0.005) as confirmed:
            assert eventually(lambda: len(confirmed) > 100)
            (own_postgres.stop if orderly else own_postgres.kill)()
            taken = len(confirmed)
            # Producers notice nothing, and what they hand over waits.
            assert eventually(lambda: depth(amqp_url, topology.INTAKE) > 100)
            assert eventually(lambda: len(confirmed) > taken)
            own_postgres.start()
            before = stored(system)
            assert eventually(lambda: stored(system) > before)
        await_sent(system, 1500)
        assert depth(amqp_url, topology.REJECTED) == 0
        assert intake.running
        assert len(intake.output()) < 5000
        assert "example.net" not in intake.output()


@pytest.mark.parametrize("orderly", [True, False], ids=["restarted", "killed"])
def test_a_broker_restarted_under_load_loses_and_doubles_no_confirmed_job(
    database_url: str, rabbit: RabbitNode, orderly: bool
) -> None:
    amqp_url = VirtualHosts(rabbit).fresh()
    with System(database_url=database_url, amqp_url=amqp_url, settings={"ATUM_INTAKE_JOBS": "20"}) as system:
        intake = start_intake(system)
        jobs = [document(place) for place in range(600)]
        with publishing(amqp_url, jobs, pause_s=0.01) as confirmed:
            for number in (200, 350):
                assert eventually(lambda number=number: len(confirmed) > number, seconds=90)  # type: ignore[misc]
                if orderly:
                    rabbit.restart()
                else:
                    rabbit.kill()
                    rabbit.start()
        await_sent(system, 600)
        assert intake.running
        assert intake.stop() == 0


@pytest.mark.parametrize("side", ["broker", "database"])
def test_connections_of_the_intake_that_are_reset_at_random_lose_and_double_nothing(
    system: System, side: str
) -> None:
    variable, url = {
        "broker": ("ATUM_AMQP_URL", system.amqp_url),
        "database": ("ATUM_DATABASE_URL", system.database_url),
    }[side]
    jobs = [document(place) for place in range(800)]
    jobs += [document(place, id=None, idempotency_key=f"k{place}") for place in range(800, 1000)]
    random.Random(1).shuffle(jobs)  # noqa: S311 - no secret
    with Proxy(urlsplit(url).port or 0) as proxy:
        ours = dict(system.environment)
        system.environment[variable] = proxy.url(url)
        intake = start_intake(system)
        system.environment = ours
        chance = random.Random(2)  # noqa: S311 - no secret
        number = 0
        with publishing(system.amqp_url, [{**job, "id": job.get("id")} for job in jobs], pause_s=0.003):
            begun = time.monotonic()
            # For five seconds, and on a busy machine until it has been felt.
            while time.monotonic() < begun + 5 or (number <= 5 and time.monotonic() < begun + 60):
                number += proxy.reset()
                time.sleep(chance.uniform(0.05, 0.6))
        assert number > 5
        await_sent(system, 1000)
        assert intake.running
        assert depth(system.amqp_url, topology.REJECTED) == 0


def test_an_alarm_keeps_rejections_waiting_and_not_the_good_jobs_behind_them(
    database_url: str, rabbit: RabbitNode
) -> None:
    good = [document(place) for place in range(50)]
    amqp_url = VirtualHosts(rabbit).fresh()
    publish(amqp_url, [each for one in good for each in (b"bad", one)])
    rabbit.rabbitmqctl("set_vm_memory_high_watermark", "0.00001")
    try:
        with Inbox(database_url, amqp_url) as inbox:
            assert eventually(lambda: len(inbox.ids()) == 50)
            rabbit.rabbitmqctl("set_vm_memory_high_watermark", "absolute", "1GB")
            assert len(take_rejected(amqp_url, 50)) >= 50
            assert eventually(lambda: depth(amqp_url, topology.INTAKE) == 0)
    finally:
        rabbit.rabbitmqctl("set_vm_memory_high_watermark", "absolute", "1GB")


def test_mails_of_a_broker_mailer_are_delivered_once(system: System) -> None:
    start_intake(system)
    with BrokerMailer(system.amqp_url, client="shop", timeout=30) as mailer:
        ids = mailer.enqueue(letters(100))
        assert mailer.enqueue(letters(1, name="more", idempotency_key="order-1")[0])
        mailer.enqueue(letters(1, name="more", idempotency_key="order-1")[0])
    await_sent(system, 101)
    assert system.copies(ids) == [1] * 100


def test_eight_threads_of_a_broker_mailer_whose_connections_are_reset_lose_and_double_nothing(
    database_url: str, amqp_url: str
) -> None:
    uncertain: list[EnqueueUncertain] = []
    chance = random.Random(3)  # noqa: S311 - no secret

    done: list[UUID] = []

    def work(thread: int) -> None:
        begun = time.monotonic()
        # On a quick machine until the resets have been felt.
        for place in itertools.count():
            if place >= 200 and (uncertain or time.monotonic() > begun + 60):
                break
            (mail,) = letters(1, name=f"t{thread}-{place}-")
            done.append(insisting(mailer, mail, uncertain))

    with (
        Proxy(urlsplit(amqp_url).port or 0) as proxy,
        BrokerMailer(proxy.url(amqp_url), timeout=0.4) as mailer,
        Inbox(database_url, amqp_url) as inbox,
        ThreadPoolExecutor(8) as pool,
    ):
        working = [pool.submit(work, thread) for thread in range(8)]
        resets = 0
        while not all(each.done() for each in working):
            proxy.down()
            resets += proxy.reset()
            time.sleep(chance.choice([0, 0.6]))
            before = len(done)
            proxy.heal()
            time.sleep(chance.uniform(0.3, 0.6))
            # On a busy machine nobody may have got through yet.
            eventually(lambda before=before: len(done) > before or all(each.done() for each in working))  # type: ignore[misc]
        for each in working:
            each.result()
        ids = set(map(str, done))
        assert len(ids) == len(done) >= 1600
        assert resets
        assert uncertain
        inbox.await_mails(len(ids))
        # No job came from anywhere else: not even from a call that failed.
        assert inbox.ids() == ids
        assert inbox.tally() == {("intake_accepted", ""): len(ids)}


def insisting(mailer: BrokerMailer, mail: Mail, uncertain: list[EnqueueUncertain]) -> UUID:
    """Enqueue as docs/intake.md says, until it succeeds."""
    keys: tuple[str, ...] = ()
    while True:
        try:
            return mailer.enqueue(mail, keys=keys)
        except EnqueueUncertain as error:
            uncertain.append(error)
            keys = error.keys
        except EnqueueFailed:
            time.sleep(0.1)


def test_a_signal_ends_an_intake_that_has_nothing_to_do(system: System) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        intake = start_intake(system)
        intake.signal(number)
        assert intake.ended(seconds=60) == 0


def test_ids_of_jobs_are_those_of_the_mails(system: System) -> None:
    start_intake(system)
    job = document()
    publish(system.amqp_url, [job])
    await_sent(system, 1)
    assert system.mailer.get(UUID(job["id"])).status == "sent"
