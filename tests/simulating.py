"""What every client of the simulator says in tests, and how to wait for what becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.nodes import eventually

if TYPE_CHECKING:
    import httpx

    from atum_ops.simulator.process import SimulatorProcess

HEADERS: Final = {"X-Postmark-Server-Token": "simulator-token", "Accept": "application/json"}
MAIL: Final = {
    "From": "Shop <shop@example.com>",
    "Subject": "Hello",
    "TextBody": "Hello",
    "Tag": "greeting",
}


def send(client: httpx.Client, *to: str, mail_id: str = "m1", stream: str = "outbound") -> str:
    """Send one message to these recipients; give its MessageID."""
    mail = {**MAIL, "To": ", ".join(to), "Metadata": {"atum-mail": mail_id}, "MessageStream": stream}
    answer = client.post("/email", json=mail)
    answer.raise_for_status()
    message_id: str = answer.json()["MessageID"]
    return message_id


def settled(simulator: SimulatorProcess) -> dict[str, int]:
    """Wait until everything has happened and been posted; give the counts of webhooks."""

    def quiet() -> bool:
        now = simulator.webhooks()
        return not (now["pending"] or now["upcoming"])

    assert eventually(quiet, seconds=90)
    counts: dict[str, int] = simulator.webhooks()["counts"]
    return counts
