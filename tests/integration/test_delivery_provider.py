"""What happens around the POST: a provider that is away, redirects, and content that goes or stays."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.process import SimulatorProcess
from atum_workers.deadline import Deadline
from atum_workers.outcome import Accepted, Unclear
from atum_workers.postmark import Postmark
from tests.nodes import eventually
from tests.system import System, letters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ITEM = {"From": "a@example.com", "To": "b@example.net", "TextBody": "x", "Metadata": {"atum-mail": "1"}}


def test_a_provider_that_is_not_there_is_asked_again_at_no_charge(
    database_url: str, amqp_url: str, tmp_path: Path
) -> None:
    with System(
        database_url=database_url,
        amqp_url=amqp_url,
        simulation=SimulatorConfig(ledger_path=tmp_path / "ledger"),
    ) as system:
        system.simulator.stop()
        ids = system.mailer.enqueue(letters(3))
        assert eventually(lambda: all(system.story(one).count("retry_scheduled") > 1 for one in ids))
        waiting = system.query("SELECT DISTINCT status, reason, attempts FROM atum.mail")
        assert waiting == [("retrying", "not_sent", 0)]
        assert system.query("SELECT DISTINCT outcome, charged FROM atum.attempt") == [("deferred", False)]
        system.simulator.start()
        system.settled()
        system.check(sent=3)


@pytest.mark.parametrize(("privacy", "kept"), [("metadata", 0), ("full", 3)])
def test_content_goes_with_the_acceptance_unless_the_log_is_to_keep_it(
    database_url: str, amqp_url: str, privacy: str, kept: int
) -> None:
    with System(database_url=database_url, amqp_url=amqp_url, settings={"ATUM_PRIVACY": privacy}) as system:
        ids = system.mailer.enqueue(letters(3))
        system.settled()
        assert system.statuses(ids) == {"sent": 3}
        assert system.query("SELECT count(*) FROM atum.content") == [(kept,)]


@contextmanager
def redirecting_to(url: str, status: int) -> Iterator[str]:
    """Serve redirects to another server; give the URL."""

    class Redirect(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Location", f"{url}{self.path}")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Redirect) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess() as simulator:
        yield simulator


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed_with_mail_and_token(simulator: SimulatorProcess, status: int) -> None:
    before = simulator.summary().sends
    with redirecting_to(simulator.url, status) as elsewhere:
        provider = Postmark(base_url=elsewhere, token=simulator.config.token)
        try:
            (outcome,) = provider.post([ITEM], Deadline.start(60))
        finally:
            provider.close()
        assert isinstance(outcome, Unclear)
        assert outcome.reason == f"http_{status}"
        assert simulator.summary().sends == before
        direct = Postmark(base_url=simulator.url, token=simulator.config.token)
        try:
            (honest,) = direct.post([ITEM], Deadline.start(60))
        finally:
            direct.close()
        assert isinstance(honest, Accepted)
