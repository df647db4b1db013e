"""What all five processes that serve metrics have in common, each started by its real command line.

The mail that goes through them has a recipient, a domain, a subject, a tag and a client that must be in no metric.
"""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
import pytest

from atum_ops.stack.ports import free_port
from atum_schema import metrics_catalogue as m
from atum_schema.metrics import MOST_SERIES
from tests.api import add_client, letter
from tests.intaking import document, publish
from tests.nodes import eventually
from tests.scraping import Scrape, await_scrape, check, scrape, url_in
from tests.system import System
from tests.webhooks import BASIC, PASSWORD, PATH, USER, delivery

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.nodes import Databases, VirtualHosts
    from tests.system import Part

PARTS = ("relay", "intake", "worker", "api", "webhooks")
LANES = ("transactional", "broadcast", *[f"lane-{place}" for place in range(8)])
CANARY = "canary"
LETTER: dict[str, Any] = {
    "from": "Canary <canary@canary.example>",
    "to": "Canary <canary@canary.example>",
    "subject": "The canary sings",
    "tag": "canary-tag",
    "metadata": {"canary": "canary"},
}


class Served:
    """All five at work, and where each serves its metrics."""

    def __init__(self, system: System, undo: ExitStack) -> None:
        self.system = system
        self.ports = {"api": free_port(), "webhooks": free_port()}
        ours = [sys.executable, "-m", "atum_ops"]
        commands = {
            "intake": [*ours, "intake"],
            "api": [*ours, "api", "--port", str(self.ports["api"])],
            "webhooks": [*ours, "api", "--only", "webhooks", "--port", str(self.ports["webhooks"])],
        }
        self.parts: dict[str, Part] = {name: system.start_part(words) for name, words in commands.items()}
        for part in self.parts.values():
            system.await_output(part, "serving")
        self.parts |= {"relay": system.start_relay(), "worker": system.start_worker()}
        self.urls = {name: url_in(part.output()) for name, part in self.parts.items()}
        #: Before anything happened to any of them.
        self.before = {name: scrape(url) for name, url in self.urls.items()}
        self._undo = undo

    def go_through(self) -> None:
        """Send a canary through all of them."""
        key = add_client(self.system.database_url, CANARY)
        with httpx.Client(headers={"Authorization": f"Bearer {key}"}, timeout=30) as http:
            api = f"http://127.0.0.1:{self.ports['api']}"
            assert http.post(f"{api}/v1/mails", json=letter(**LETTER)).status_code == 202
            assert http.get(f"{api}/v1/mails?to=canary@canary.example").status_code == 200
            assert http.get(f"{api}/canary").status_code == 404
        publish(self.system.amqp_url, [document(**LETTER), b"canary"], app_id=CANARY)
        told = delivery(Recipient="canary@canary.example", Details="canary")
        webhooks = f"http://127.0.0.1:{self.ports['webhooks']}{PATH}"
        assert httpx.post(webhooks, json=told, auth=(USER, PASSWORD), timeout=30).status_code == 200
        assert httpx.post(webhooks, json=told, auth=(CANARY, CANARY), timeout=30).status_code == 401
        sent = "SELECT count(*) FROM atum.mail WHERE status = 'sent'"
        assert eventually(lambda: self.system.query(sent) == [(2,)], seconds=90), self.system.query(
            "SELECT status, reason, detail FROM atum.mail"
        )
        await_scrape(
            self.urls["intake"], lambda now: now.value(m.JOBS, job_result="rejected") == 1, seconds=60
        )


@pytest.fixture(scope="module")
def served(databases: Databases, virtual_hosts: VirtualHosts) -> Iterator[Served]:
    with ExitStack() as undo:
        system = undo.enter_context(
            System(
                database_url=undo.enter_context(databases.fresh()),
                amqp_url=virtual_hosts.fresh(),
                relays=0,
                workers=0,
                settings={
                    **BASIC,
                    "ATUM_LANES": ",".join(LANES),
                    "ATUM_METRICS_PORT": "0",
                    "ATUM_THREADS": "1",
                    # Connections and batches are counted: none is given up for being slow.
                    "ATUM_PUBLISH_TIMEOUT_S": "30",
                    "ATUM_CLAIM_LEASE_S": "30",
                },
            )
        )
        served = Served(system, undo)
        served.go_through()
        yield served


@pytest.fixture(params=PARTS)
def part(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def seen(served: Served, part: str) -> Scrape:
    return scrape(served.urls[part])


def test_promtool_finds_nothing_wrong(seen: Scrape) -> None:
    check(seen.text)


def test_a_process_exposes_the_families_of_its_part_and_no_others(seen: Scrape, part: str) -> None:
    assert seen.families == {family.name for family in m.FAMILIES if part in family.parts}


def test_ten_lanes_make_fewer_than_a_thousand_series(seen: Scrape) -> None:
    assert seen.series < MOST_SERIES


def test_nothing_of_a_mail_is_in_any_metric(seen: Scrape) -> None:
    assert CANARY not in seen.text.lower()
    assert "@" not in seen.text


def test_all_series_are_there_before_anything_has_happened(served: Served, seen: Scrape, part: str) -> None:
    ours = {
        line.rpartition(" ")[0]
        for line in seen.text.splitlines()
        if line.startswith(m.BUILD_INFO.full_name[:12])
    }
    assert len(ours) > 10
    then = {line.rpartition(" ")[0] for line in served.before[part].text.splitlines()}
    assert ours - then == set()


def test_a_process_says_once_where_its_metrics_are(served: Served, part: str) -> None:
    assert served.parts[part].output().count("metrics: exposed") == 1
    assert served.urls[part].startswith("http://127.0.0.1:")


def test_the_api_has_counted_its_requests_and_mails(served: Served) -> None:
    seen = scrape(served.urls["api"])
    assert seen.value(m.MAILS_TAKEN) == 1
    assert seen.values(m.HTTP_REQUESTS, "http_class", endpoint="mails") == {"2xx": 2}
    assert seen.values(m.HTTP_REQUESTS, "http_class", endpoint="other") == {"4xx": 1}
    assert seen.value(m.HTTP_DURATION, "_count", endpoint="mails") == 2


def test_the_webhook_endpoint_has_counted_its_requests_and_events(served: Served) -> None:
    seen = scrape(served.urls["webhooks"])
    assert seen.values(m.WEBHOOK_REQUESTS, "webhook") == {"stored": 1, "credentials": 1}
    assert seen.values(m.WEBHOOK_EVENTS, "record_type") == {"Delivery": 1}
    assert seen.values(m.HTTP_REQUESTS, "http_class", endpoint="webhook") == {"2xx": 1, "4xx": 1}
    assert seen.value(m.WEBHOOK_LAG, "_count") == 1


def test_the_intake_has_counted_its_jobs(served: Served) -> None:
    seen = scrape(served.urls["intake"])
    assert seen.values(m.JOBS, "job_result") == {"stored": 1, "rejected": 1}
    assert seen.value(m.JOBS_DURATION, "_count") >= 1
    assert seen.value(m.CONNECTED) == 1
    # One takes jobs, the other publishes those that are none.
    assert seen.value(m.BROKER_CONNECTIONS) == 2
    assert seen.value(m.LOG_MESSAGES, level="warning") == served.parts["intake"].output().count(
        '"level":"warning"'
    )


def test_the_relay_has_counted_batches_and_confirms(served: Served) -> None:
    seen = scrape(served.urls["relay"])
    ((batches,),) = served.system.query("SELECT count(DISTINCT batch_id) FROM atum.attempt")
    assert seen.values(m.BATCHES_ISSUED, "lane") == {"transactional": batches}
    assert seen.value(m.PUBLISHED, published="confirmed") >= batches
    assert seen.value(m.CONNECTED) == 1
    assert seen.value(m.BROKER_CONNECTIONS) == 1
    ((now,),) = served.system.query("SELECT extract(epoch FROM clock_timestamp())::float8")
    assert abs(seen.value(m.LAST_LOOK) - now) < 30


def test_every_process_tells_how_it_fares_with_rabbitmq(served: Served) -> None:
    expected = {
        "relay": "connected",
        "intake": "connected",
        "worker": "connected",
        "api": None,
        "webhooks": None,
    }

    def told() -> dict[str, str | None]:
        with psycopg.connect(served.system.database_url) as connection:
            return dict(
                connection.execute("SELECT kind, broker FROM atum.part WHERE ended_at IS NULL").fetchall()
            )

    assert eventually(lambda: told() == expected, seconds=60), told()


@pytest.mark.parametrize(
    "command", [["relay"], ["intake"], ["worker"], ["api"], ["api", "--only", "webhooks"]], ids=PARTS
)
def test_a_port_that_is_taken_ends_the_start_with_one_line(served: Served, command: list[str]) -> None:
    system = served.system
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        serve_on = ["--port", str(free_port())] if command[0] == "api" else []
        part = system.start_part(
            [sys.executable, "-m", "atum_ops", *command, *serve_on, "--metrics-port", port]
        )
        assert part.ended(seconds=60) == 1
    assert part.output() == (
        f"atum-mailer: ATUM_METRICS_PORT: cannot serve metrics on 127.0.0.1:{port}: Address already in use\n"
    )


def test_metrics_are_served_at_the_address_that_is_set_and_at_no_other(served: Served) -> None:
    system = served.system
    port = free_port()
    part = system.start_part(
        [
            "env",
            "ATUM_METRICS_HOST=127.0.0.2",
            sys.executable,
            "-m",
            "atum_ops",
            "relay",
            "--metrics-port",
            str(port),
        ]
    )
    system.await_output(part, "serving")
    assert url_in(part.output()) == f"http://127.0.0.2:{port}/metrics"
    assert scrape(f"http://127.0.0.2:{port}/metrics").value(m.CONNECTED) in {0, 1}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    assert part.stop(timeout=60) == 0


def test_without_a_port_nothing_is_served(served: Served) -> None:
    system = served.system
    part = system.start_part(["env", "-u", "ATUM_METRICS_PORT", sys.executable, "-m", "atum_ops", "relay"])
    system.await_output(part, "serving")
    assert "metrics: exposed" not in part.output()
    assert part.stop(timeout=60) == 0
