"""What operators order while the whole system is at work: the provider's ledger says whether it was kept."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from atum_ops.simulator.config import SimulatorConfig
from tests import command_line
from tests.nodes import eventually
from tests.system import System, letters

if TYPE_CHECKING:
    from tests.command_line import Answer


def run(system: System, *arguments: object) -> Answer:
    return command_line.run(*arguments, **system.environment)


def test_orders_are_kept_while_relay_and_workers_are_at_work(database_url: str, amqp_url: str) -> None:
    with System(
        database_url=database_url,
        amqp_url=amqp_url,
        simulation=SimulatorConfig(latency_ms=100),
        settings={"ATUM_BATCH_MAILS": "5"},
    ) as system:
        # H7, H9: followed through the whole system, one mail per recipient.
        tried = run(
            system,
            "test-send",
            "a@example.net",
            "b@example.net",
            "--from",
            "app@example.com",
            "--format=json",
        )
        assert tried.status == 0, tried.err
        assert [one["status"] for one in tried.json] == ["sent", "sent"]
        assert system.copies([uuid.UUID(one["id"]) for one in tried.json]) == [1, 1]

        wanted = system.mailer.enqueue(letters(400, tag="newsletter"))
        assert eventually(lambda: 0 < system.accepted() < 300)
        held = [mail for mail in wanted[-3:] if run(system, "mail", "hold", mail).status == 0]
        answer = run(
            system,
            "mail",
            "recall",
            "--tag",
            "newsletter",
            "--yes",
            "--note",
            "wrong prices",
            "--format=json",
        )
        ((acknowledged,),) = system.query("SELECT clock_timestamp()")
        assert answer.status == 0, answer.err
        canceled = rows(system, "SELECT id FROM atum.mail WHERE status = 'canceled'")
        assert answer.json["counts"]["canceled"] == len(canceled) >= len(held)
        system.settled()
        assert system.copies(canceled) == [0] * len(canceled)
        after = system.query(
            "SELECT count(*) FROM atum.attempt a JOIN atum.mail m ON m.id = a.mail_id"
            " WHERE m.tag = 'newsletter' AND a.posting_at > %(at)s",
            at=acknowledged,
        )
        assert after == [(0,)]

        # A7: a held mail goes out once more as a new one, with its Bcc; the old one stays where it is.
        (old,) = system.mailer.enqueue(
            letters(
                1, cc="c@example.org", bcc="audit@example.org", send_at=datetime.now(UTC) + timedelta(hours=1)
            )
        )
        assert run(system, "mail", "hold", old).status == 0
        again = run(system, "mail", "resend", old, "--again")
        assert again.status == 0, again.err
        new = uuid.UUID(again.out.strip())
        system.await_status(new, "sent")
        (record,) = [one for one in system.simulator.ledger() if one.mail_id == str(new)]
        assert (record.to, record.cc, record.bcc) == (
            ("r0@example.net",),
            ("c@example.org",),
            ("audit@example.org",),
        )
        assert system.copies([old]) == [0]
        system.check()


def rows(system: System, statement: Any) -> list[uuid.UUID]:
    return [row[0] for row in system.query(statement)]
