"""docs/runbooks, executed: every command and statement of every diagnosis, on a system that has something to find."""

from __future__ import annotations

import re
import shlex
import sys
from typing import TYPE_CHECKING, Final

import pytest

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.faults import FaultKind, FaultPlan, FaultRule
from atum_ops.stack.ports import free_port
from tests.alert_pages import DOCS
from tests.command_line import run
from tests.system import System, letters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.nodes import Databases, VirtualHosts

PAGES: Final = {path.stem: path.read_text() for path in sorted((DOCS / "runbooks").glob("Atum*.md"))}
# What judges may find that something needs attention, and a dry run that something cannot be done.
JUDGES: Final = ("health check", "retention status", "webhook check", "keys status", "dead replay")


def blocks(text: str, language: str) -> list[str]:
    """Give the code blocks of a diagnosis in a language."""
    diagnosis = text.partition("## Diagnosis\n")[2].partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", diagnosis, re.DOTALL | re.MULTILINE)


def commands() -> dict[tuple[str, ...], str]:
    """Give the command lines of all diagnoses, up to a pipe, each once, with a page that has it."""
    found = {}
    for name, text in PAGES.items():
        for line in (line for block in blocks(text, "console") for line in block.splitlines()):
            if line.startswith("$ atum-mailer "):
                found[tuple(shlex.split(line.partition(" | ")[0])[2:])] = name
    return found


@pytest.fixture
def system(databases: Databases, virtual_hosts: VirtualHosts) -> Iterator[System]:
    port = free_port()
    with (
        databases.fresh() as database_url,
        System(
            database_url=database_url,
            amqp_url=virtual_hosts.fresh(),
            simulation=SimulatorConfig(signatures=frozenset({"example.com"}), time_scale=0.001),
            settings={
                "ATUM_WEBHOOK_PORT": str(port),
                "ATUM_WEBHOOK_BASIC": "postmark:a-password-for-tests",
                "ATUM_WEBHOOK_URL": f"http://127.0.0.1:{port}/webhooks/postmark",
            },
        ) as made,
    ):
        endpoint = [sys.executable, "-m", "atum_ops", "api", "--only", "webhooks"]
        made.await_output(made.start_part(endpoint), "serving")
        yield made


def test_every_command_and_statement_of_a_diagnosis_can_be_given_and_changes_nothing(system: System) -> None:
    huge = FaultRule(kind=FaultKind.TOO_LARGE, recipient="huge")
    system.simulator.set_faults(FaultPlan(rules=(huge,)))
    sent = system.mailer.enqueue(letters(5, name="fine"))
    dead = system.mailer.enqueue(letters(2, name="huge"))
    system.settled()
    assert system.statuses([*sent, *dead]) == {"sent": 5, "dead": 2}
    orders = system.query("SELECT count(*) FROM atum.audit WHERE actor LIKE 'operator:%%'")

    lines = commands()
    assert len(lines) > 40
    for line, page in lines.items():
        arguments = [str(dead[0]) if word == "$MAIL" else word for word in line]
        answer = run(*arguments, **system.environment)
        fine = (0, 1) if " ".join(line[:2]) in JUDGES else (0,)
        assert answer.status in fine, (page, line, answer.status, answer.out[-1000:], answer.err[-1000:])
        assert "Traceback" not in answer.err, (page, line)
    for text in PAGES.values():
        for statement in blocks(text, "sql"):
            assert system.query(statement) == []

    assert system.statuses([*sent, *dead]) == {"sent": 5, "dead": 2}
    assert system.query("SELECT count(*) FROM atum.audit WHERE actor LIKE 'operator:%%'") == orders
