"""Postgres restarted, killed, or away while an answer is in hand: nothing is lost, nothing is sent twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from atum_ops.simulator.config import SimulatorConfig
from atum_schema.migrate import migrate
from tests.nodes import eventually
from tests.system import System, letters

if TYPE_CHECKING:
    from atum_ops.stack.postgres import PostgresNode


@pytest.mark.parametrize("orderly", [True, False], ids=["restarted", "killed"])
def test_postgres_restarted_under_load_loses_and_doubles_nothing(
    own_postgres: PostgresNode, amqp_url: str, orderly: bool
) -> None:
    migrate(own_postgres.url)
    with System(
        database_url=own_postgres.url,
        amqp_url=amqp_url,
        workers=2,
        simulation=SimulatorConfig(latency_ms=150),
        settings={"ATUM_BATCH_MAILS": "10"},
    ) as system:
        for _ in range(2):
            before = system.accepted()
            # For four seconds and longer: some are left when the server is back, even where this test stands still.
            system.mailer.enqueue(letters(1000))
            assert eventually(lambda before=before: system.accepted() > before)  # type: ignore[misc]
            if orderly:
                own_postgres.restart()
            else:
                own_postgres.kill()
                own_postgres.start()
            assert system.waiting() > 0
        system.settled()
        # Given up while the database was away, and proven by the late answer: both end as sent.
        assert eventually(lambda: not system.query("SELECT FROM atum.batch"))
        system.check(sent=2000)


def test_an_answer_in_hand_is_recorded_once_the_database_returns(
    own_postgres: PostgresNode, amqp_url: str
) -> None:
    migrate(own_postgres.url)
    # The answer takes longer than a server that stops on a busy machine, and the worker waits for it even longer.
    with System(
        database_url=own_postgres.url,
        amqp_url=amqp_url,
        simulation=SimulatorConfig(latency_ms=8000),
        settings={"ATUM_REQUEST_TIMEOUT_S": "60"},
    ) as system:
        ids = system.mailer.enqueue(letters(3))
        system.await_posting()
        own_postgres.stop()
        assert system.ledger() == {}
        assert eventually(lambda: system.copies(ids) == [1] * 3)
        own_postgres.start()
        assert eventually(lambda: system.statuses(ids) == {"sent": 3})
        system.settled()
        system.check(sent=3)
