"""Nobody who is suppressed is mailed, by the provider's own ledger; and the provider comes to know it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import httpx

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.faults import FaultKind, FaultPlan, FaultRule
from atum_schema.mail import Mail
from tests import command_line
from tests.nodes import eventually
from tests.simulating import HEADERS
from tests.system import SETTLED_SOON, System, letters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_ops.simulator.records import LedgerRecord
    from tests.command_line import Answer

BEFORE = [f"before{number}@example.net" for number in range(5)]
LATER = [f"later{number}@example.net" for number in range(5)]
NEVER = [f"never{number}@example.net" for number in range(20)]


def run(system: System, *arguments: str) -> Answer:
    answer = command_line.run("suppressions", *arguments, ATUM_DATABASE_URL=system.database_url)
    assert answer.status == 0, answer
    return answer


def mails(number: int, *, seed: int) -> list[Mail]:
    """Make mails to some of everybody, in to, cc and bcc."""
    chance = random.Random(seed)  # noqa: S311
    made = []
    for place in range(number):
        some = chance.sample([*BEFORE, *LATER, *NEVER], chance.randint(1, 6))
        to, cc = chance.randint(1, len(some)), chance.randint(0, 2)
        made.append(
            Mail(
                sender="App <app@example.com>",
                to=some[:to],
                cc=some[to : to + cc],
                bcc=some[to + cc :],
                subject=f"Hello {place}",
                text="Hi",
            )
        )
    return made


def everybody(record: LedgerRecord) -> set[str]:
    return {*record.to, *record.cc, *record.bcc}


def listed(system: System, stream: str = "outbound") -> set[str]:
    """Give the provider's own list."""
    answer = httpx.get(f"{system.simulator.url}/message-streams/{stream}/suppressions/dump", headers=HEADERS)
    return {one["EmailAddress"] for one in answer.json()["Suppressions"]}


def posted_too_late(system: System, addresses: Sequence[str], acknowledged: object) -> list[str]:
    """Name the batches that were marked after the order was acknowledged and went to these addresses."""
    late = {
        str(batch)
        for (batch,) in system.query(
            "SELECT DISTINCT batch_id FROM atum.attempt WHERE posting_at > %(acknowledged)s",
            acknowledged=acknowledged,
        )
    }
    return [
        record.batch_id or ""
        for record in system.simulator.ledger()
        if record.batch_id in late and everybody(record) & set(addresses)
    ]


def test_the_ledger_names_nobody_who_was_suppressed_before_whatever_happens(
    database_url: str, amqp_url: str
) -> None:
    with System(
        database_url=database_url,
        amqp_url=amqp_url,
        workers=2,
        simulation=SimulatorConfig(latency_ms=200),
        settings={**SETTLED_SOON, "ATUM_BATCH_MAILS": "7"},
    ) as system:
        kinds = (FaultKind.MAINTENANCE, FaultKind.RATE_LIMIT, FaultKind.RESET_BEFORE, FaultKind.RESET_AFTER)
        system.simulator.set_faults(
            FaultPlan(rules=tuple(FaultRule(kind=kind, probability=0.05) for kind in kinds))
        )
        run(system, "add", *BEFORE, "--stream", "outbound", "--yes")
        ids = system.mailer.enqueue(mails(800, seed=5))
        assert eventually(lambda: system.accepted() > 40, seconds=30)
        run(system, "add", *LATER, "--stream", "outbound", "--yes")
        ((acknowledged,),) = system.query("SELECT clock_timestamp()")
        assert system.waiting() > 0
        ids += system.mailer.enqueue(mails(200, seed=6))
        system.simulator.set_faults(FaultPlan())
        system.settled()
        # The provider refuses a mail that was marked before the order and comes after it was told.
        ended = {"sent", "suppressed", "dead"}
        assert eventually(lambda: set(system.statuses(ids)) <= ended, seconds=120)

        system.check()
        ledger = list(system.simulator.ledger())
        assert not {address for record in ledger for address in everybody(record)} & set(BEFORE)
        assert posted_too_late(system, LATER, acknowledged) == []
        # The provider skipped nobody: all was left out here, or not known then.
        assert {address for record in ledger for address in record.skipped} <= set(LATER)
        assert eventually(lambda: listed(system) == {*BEFORE, *LATER})
        for mail_id, status, said in system.query(
            "SELECT m.id, m.status, EXISTS (SELECT FROM atum.event e WHERE e.mail_id = m.id"
            " AND e.cause IN ('suppressed', 'partly_suppressed')) FROM atum.mail m"
            " WHERE concat_ws(', ', to_line, cc_line, bcc_line) LIKE '%%before%%'"
        ):
            assert said, (mail_id, status)


def test_who_is_lifted_gets_mail_again_once_the_provider_has_agreed(database_url: str, amqp_url: str) -> None:
    with System(database_url=database_url, amqp_url=amqp_url) as system:
        run(system, "add", "jane0@example.net", "--stream", "outbound")
        (first,) = system.mailer.enqueue(letters(1, name="jane"))
        system.await_status(first, "suppressed")
        assert eventually(lambda: listed(system) == {"jane0@example.net"})
        run(system, "remove", "jane0@example.net", "--stream", "outbound")
        assert eventually(lambda: listed(system) == set())
        assert eventually(lambda: system.query("SELECT suppressed FROM atum.suppression") == [(False,)])
        (second,) = system.mailer.enqueue(letters(1, name="jane"))
        system.await_status(second, "sent")
        assert system.copies([first, second]) == [0, 1]
        system.check()
