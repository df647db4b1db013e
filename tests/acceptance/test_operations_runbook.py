"""docs/operations-runbook.md, executed: every command line of it, in order, through an incident from its detection to its review."""

from __future__ import annotations

import re
import shlex
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.faults import FaultKind, FaultPlan, FaultRule
from atum_ops.stack.ports import free_port
from tests.command_line import Answer, run
from tests.nodes import eventually
from tests.system import System, letters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from tests.nodes import Databases, VirtualHosts

PAGE: Final = (Path(__file__).parents[2] / "docs" / "operations-runbook.md").read_text()
CADENCE: Final = ("Every day", "Every week", "Every month")
STEPS: Final = ("1. Detect", "2. Contain", "3. Diagnose", "4. Mitigate", "5. Recover", "6. Review")
# What looks at something may find that it needs attention; an order and a list may not.
JUDGES: Final = (
    "health check",
    "retention status",
    "webhook check",
    "keys status",
    "mail resend",
    "queue purge",
)
PASSWORD: Final = "a-password-for-tests"


def commands(section: str) -> list[list[str]]:
    """Give the command lines in the console blocks under a heading."""
    text = re.split(rf"^#+ {re.escape(section)}\n", PAGE, flags=re.MULTILINE)[1]
    text = re.split(r"^#{2,3} ", text, flags=re.MULTILINE)[0]
    blocks = re.findall(r"^```console\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    return [shlex.split(line.removeprefix("$ ")) for line in lines]


class Scene:
    """A system in the middle of things, and the commands of the page on it."""

    def __init__(self, system: System, port: int) -> None:
        self.system = system
        self.environment = {
            **system.environment,
            "ATUM_WEBHOOK_URL": f"http://127.0.0.1:{port}/webhooks/postmark",
        }
        self.mail: UUID | None = None

    def run(self, *arguments: str) -> Answer:
        """Run a command; `$MAIL` stands for the mail that people ask about."""
        filled = [str(self.mail) if argument == "$MAIL" else argument for argument in arguments]
        return run(*filled, **self.environment)

    def do(self, section: str) -> None:
        """Run every command under a heading, as it stands there."""
        lines = commands(section)
        assert lines, section
        for program, *arguments in lines:
            assert program == "atum-mailer"
            answer = self.run(*arguments)
            fine = (0, 1) if " ".join(arguments[:2]) in JUDGES else (0,)
            assert answer.status in fine, (
                section,
                arguments,
                answer.status,
                answer.out[-2000:],
                answer.err[-2000:],
            )


@pytest.fixture
def scene(databases: Databases, virtual_hosts: VirtualHosts) -> Iterator[Scene]:
    port = free_port()
    with (
        databases.fresh() as database_url,
        System(
            database_url=database_url,
            amqp_url=virtual_hosts.fresh(),
            simulation=SimulatorConfig(signatures=frozenset({"example.com"}), time_scale=0.001),
            settings={
                "ATUM_PRIVACY": "full",
                "ATUM_WEBHOOK_PORT": str(port),
                "ATUM_WEBHOOK_BASIC": f"postmark:{PASSWORD}",
            },
        ) as system,
    ):
        endpoint = [sys.executable, "-m", "atum_ops", "api", "--only", "webhooks"]
        system.await_output(system.start_part(endpoint), "serving")
        yield Scene(system, port)


def test_the_page_has_its_cadence_and_the_six_steps_of_an_incident() -> None:
    headings = re.findall(r"^#{2,3} (.+)$", PAGE, re.MULTILINE)
    assert [one for one in headings if one in CADENCE + STEPS] == [*CADENCE, *STEPS]


def test_the_runbook_leads_through_an_incident_and_nothing_is_lost_or_doubled(scene: Scene) -> None:
    system = scene.system
    assert scene.run("webhook", "setup", "--yes").status == 0
    assert scene.run("suppressions", "add", "jane@example.org", "--stream", "outbound").status == 0
    sent = system.mailer.enqueue(letters(10, name="fine"))
    system.settled()
    for section in CADENCE:
        scene.do(section)

    huge = FaultRule(kind=FaultKind.TOO_LARGE, recipient="huge")
    system.simulator.set_faults(FaultPlan(rules=(huge,)))
    dead = system.mailer.enqueue(letters(3, name="huge"))
    system.settled()
    assert system.statuses(dead) == {"dead": 3}
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    letter = {"stream": "broadcast", "lane": "broadcast", "tag": "newsletter-47", "send_at": tomorrow}
    newsletter = system.mailer.enqueue(letters(5, name="reader", **letter))
    scene.mail = system.mailer.enqueue(letters(1, name="asked", send_at=tomorrow)[0])
    scene.do("1. Detect")

    scene.do("2. Contain")
    assert system.statuses(newsletter) == {"canceled": 5}
    assert system.mailer.get(scene.mail).status == "held"

    scene.do("3. Diagnose")
    waiting = system.mailer.enqueue(letters(4, name="later", stream="broadcast", lane="broadcast"))
    scene.do("4. Mitigate")
    assert system.statuses(waiting) == {"queued": 4}, "the lane is paused"

    system.simulator.set_faults(FaultPlan())
    scene.do("5. Recover")
    assert eventually(lambda: system.waiting() == 1), "all but the mail of tomorrow is gone"
    assert eventually(lambda: system.copies([*sent, *dead, *waiting]) == [1] * 17)
    assert system.copies([*newsletter, scene.mail]) == [0] * 6
    assert system.mailer.get(scene.mail).status in {"queued", "scheduled"}
    assert scene.run("dead", "list", "--format=json").json == []

    scene.do("6. Review")
    assert scene.run("verify").status == 0
    told = scene.run("audit", "--format=json").json
    orders = {entry["action"].removesuffix(".began").removesuffix(".ended") for entry in told}
    assert orders >= {"webhook.set_up", "dead.replay", "mail.recall", "settings.changed", "catch_up.done"}
