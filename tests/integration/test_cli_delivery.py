"""The commands around a real delivery: enqueue a file, look at the mail, check the provider's own ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atum_ops.simulator.config import SimulatorConfig
from tests.command_line import documents, run
from tests.system import System, letters

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_delivered_its_story_is_told_and_the_ledger_agrees_until_it_is_altered(
    database_url: str, amqp_url: str, tmp_path: Path
) -> None:
    ledger, mails = tmp_path / "ledger.jsonl", tmp_path / "mails.jsonl"
    mails.write_bytes(documents(letters(5)))
    simulation = SimulatorConfig(ledger_path=ledger)
    with System(database_url=database_url, amqp_url=amqp_url, simulation=simulation) as system:
        environment = {name: value for name, value in system.environment.items() if name.startswith("ATUM_")}
        accepted = run("enqueue", mails, "--format=json", **environment).json["accepted"]
        system.settled()
        shown = run("mail", "show", accepted[0]["id"], "--format=json", **environment).json
        table = run("mail", "show", accepted[0]["id"], **environment).out
        queue = run("queue", "status", "--format=json", **environment).json

    assert shown["mail"]["status"] == "sent"
    assert [event["cause"] for event in shown["events"]] == ["accepted", "provider_accepted"]
    assert "HTTP 200" in table
    transactional = next(lane for lane in queue["lanes"] if lane["lane"] == "transactional")
    assert (transactional["due"], transactional["sending"]) == (0, 0)
    assert transactional["window"] > 0

    def verified() -> tuple[int, int, int]:
        answer = run("verify", "--ledger", ledger, "--format=json", **environment)
        return answer.status, answer.json["lost"], answer.json["duplicates"]

    assert verified() == (0, 0, 0)
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join([*lines, lines[0]]))
    assert verified() == (1, 0, 1)
    ledger.write_bytes(b"".join(lines[1:]))
    assert verified() == (1, 1, 0)
