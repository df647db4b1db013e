"""Two relays publish one message per dead mail."""

from __future__ import annotations

from atum_ops.simulator.config import SimulatorConfig
from atum_schema import topology
from tests.nodes import eventually
from tests.system import PATIENT, System, letters


def test_two_relays_publish_each_dead_letter_once(database_url: str, amqp_url: str) -> None:
    with System(
        database_url=database_url,
        amqp_url=amqp_url,
        relays=2,
        simulation=SimulatorConfig(signatures=frozenset({"example.com"})),
        # Every mail is refused for its sender: else the lane would pause. A confirm that comes late would be no confirm.
        settings={
            **PATIENT,
            "ATUM_ATTEMPTS": "1",
            "ATUM_OUTAGE_REQUESTS": "10000",
            "ATUM_PUBLISH_TIMEOUT_S": "60",
        },
    ) as system:
        for turn in range(5):
            system.mailer.enqueue(letters(300, name=f"t{turn}", sender="someone@elsewhere.example"))
            system.settled()
        assert eventually(lambda: not system.query("SELECT FROM atum.dead_letter WHERE published_at IS NULL"))
        with system.broker() as channel:
            assert channel.queue_declare(topology.DEAD, passive=True).method.message_count == 1500
