"""How processes fare with RabbitMQ, in their rows and their metrics: connected, blocked by an alarm, away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from atum_schema import metrics_catalogue as m
from tests.intaking import INTAKE, publish
from tests.nodes import eventually, private_rabbit, raise_alarm
from tests.scraping import await_scrape, url_in
from tests.system import System, letters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_ops.stack.rabbit import RabbitNode

BEGUN_S = 90.0


@pytest.fixture(scope="module")
def rabbit() -> Iterator[RabbitNode]:
    """A RabbitMQ for this module alone, to block and to kill."""
    with private_rabbit() as node:
        yield node


def told(system: System) -> dict[str, str | None]:
    return dict(system.query("SELECT kind, broker FROM atum.part WHERE ended_at IS NULL"))


def await_told(system: System, **expected: str) -> None:
    assert eventually(lambda: expected.items() <= told(system).items(), seconds=BEGUN_S), told(system)


def alarm(rabbit: RabbitNode, *, on: bool) -> None:
    if on:
        raise_alarm(rabbit)
    else:
        rabbit.rabbitmqctl("set_vm_memory_high_watermark", "absolute", "1GB")


def test_an_alarm_and_a_death_of_the_broker_are_seen_in_every_process_that_notices_them(
    database_url: str, rabbit: RabbitNode
) -> None:
    with System(
        database_url=database_url,
        amqp_url=rabbit.url,
        relays=0,
        workers=0,
        settings={"ATUM_METRICS_PORT": "0"},
    ) as system:
        relay, worker = system.start_relay(), system.start_worker()
        intake = system.await_output(system.start_part(INTAKE), "serving")
        urls = {name: url_in(part.output()) for name, part in (("relay", relay), ("worker", worker))}
        await_told(system, relay="connected", intake="connected", worker="connected")

        alarm(rabbit, on=True)
        try:
            system.mailer.enqueue(letters(5))
            await_told(system, relay="blocked")
            await_scrape(urls["relay"], lambda now: now.value(m.CONNECTED) == 0, seconds=BEGUN_S)
            # Dropping the connection and making a new one does not make it forget.
            dropped = await_scrape(
                urls["relay"], lambda now: now.value(m.BROKER_CONNECTIONS) >= 2, seconds=BEGUN_S
            )
            assert dropped.values(m.PUBLISHED, "published").keys() & {"uncertain", "unwritten"}
            await_told(system, relay="blocked")
            # It publishes nothing, so nothing is blocked for it.
            assert told(system)["worker"] == "connected"
        finally:
            alarm(rabbit, on=False)
        system.mailer.enqueue(letters(5, name="after"))
        await_told(system, relay="connected", intake="connected", worker="connected")

        rabbit.kill()
        await_told(system, relay="away", intake="away", worker="away")
        for url in urls.values():
            await_scrape(url, lambda now: now.value(m.CONNECTED) == 0, seconds=BEGUN_S)
        rabbit.start()
        await_told(system, relay="connected", intake="connected", worker="connected")
        for url in urls.values():
            await_scrape(url, lambda now: now.value(m.CONNECTED) == 1, seconds=BEGUN_S)
        assert intake.running
        system.settled()
        system.check(sent=10)


def test_an_intake_is_blocked_by_what_it_cannot_reject(database_url: str, rabbit: RabbitNode) -> None:
    with System(database_url=database_url, amqp_url=rabbit.url, relays=0, workers=0) as system:
        publish(rabbit.url, [b"no mail"])
        alarm(rabbit, on=True)
        try:
            intake = system.await_output(system.start_part(INTAKE), "serving")
            await_told(system, intake="blocked")
        finally:
            alarm(rabbit, on=False)
        await_told(system, intake="connected")
        assert intake.stop(timeout=60) == 0
