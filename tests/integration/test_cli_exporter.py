"""`atum-mailer exporter` as a process: what it serves, how it ends, and what it says when it cannot begin."""

from __future__ import annotations

import shutil
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from atum_ops.service import Service
from atum_ops.stack.ports import LOOPBACK, free_port
from atum_schema import metrics_catalogue as m
from tests.command_line import DEAD, SENT, run
from tests.exporting import OF_DATABASE, Served
from tests.nodes import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command_line import Place


@contextmanager
def started(tmp_path: Path, *arguments: str, **environment: str) -> Iterator[tuple[Service, Served]]:
    """Start the command on a free port and wait until it serves."""
    port = free_port()
    service = Service(
        ["exporter", "--port", str(port), *arguments],
        environment=environment,
        log=tmp_path / "exporter.log",
    )
    with service:
        assert eventually(lambda: "exporter: serving" in service.output() or not service.running, seconds=60)
        assert "exporter: serving" in service.output(), service.output()
        yield service, Served(port)


def promtool() -> str:
    """Give the program. It belongs to Debian's package prometheus; where it is missing, nothing is proven."""
    found = shutil.which("promtool")
    assert found is not None, "promtool is not installed: apt-get install --no-install-recommends prometheus"
    return found


def test_promtool_finds_nothing_wrong_with_what_it_serves(place: Place, tmp_path: Path) -> None:
    place.ended(SENT, 2)
    place.ended(DEAD)
    # Its own URL goes before that of the others.
    nobody = "postgresql://127.0.0.1:1/x"
    with started(tmp_path, ATUM_EXPORTER_DATABASE_URL=place.url, ATUM_DATABASE_URL=nobody) as (_, served):
        shown = served.await_up()
    assert shown.of_database == OF_DATABASE
    checked = subprocess.run(
        [promtool(), "check", "metrics"], input=shown.text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_promtool_would_find_something(tmp_path: Path) -> None:
    wrong = "# TYPE atum_mailer_x_total gauge\natum_mailer_x_total 1\n"
    checked = subprocess.run(
        [promtool(), "check", "metrics"], input=wrong, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 3


def test_it_needs_one_database_url_and_nothing_else_and_ends_at_sigterm(place: Place, tmp_path: Path) -> None:
    with started(tmp_path, ATUM_DATABASE_URL=place.url) as (service, served):
        assert served.await_up().value(m.EXPORTER_ERRORS) == 0
        assert service.stop() == 0
    assert "Traceback" not in service.output()


def test_a_port_that_is_taken_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        service = Service(
            ["exporter", "--port", str(port)],
            environment={"ATUM_DATABASE_URL": "postgresql://127.0.0.1:1/x"},
            log=tmp_path / "exporter.log",
        )
        with service:
            assert eventually(lambda: not service.running, seconds=60)
            assert service.stop() == 1
    assert service.output().splitlines() == [
        f"atum-mailer: ATUM_EXPORTER_PORT: cannot listen on {LOOPBACK}:{port}: Address already in use"
    ]


def test_without_any_url_it_names_both_variables() -> None:
    answer = run("exporter")
    assert answer.status == 1
    assert "neither ATUM_EXPORTER_DATABASE_URL nor ATUM_DATABASE_URL is set" in answer.err


def test_a_url_that_is_none_is_refused_and_not_quoted() -> None:
    answer = run("exporter", ATUM_EXPORTER_DATABASE_URL="hunter2 is no url")
    assert answer.status == 1
    assert "ATUM_EXPORTER_DATABASE_URL: is not a PostgreSQL connection URL" in answer.err
    assert "hunter2" not in answer.err
