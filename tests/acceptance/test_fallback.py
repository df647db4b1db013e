"""The provider is away for long: the SMTP relay stands in, and nothing is sent twice or lost by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from atum_ops.simulator.faults import FaultKind, FaultPlan, FaultRule
from atum_ops.verification import verify
from atum_schema import database, live
from atum_schema.fallback import HELD_REASON, SMTP
from tests.nodes import eventually
from tests.smtp import Relay
from tests.system import SETTLED_SOON, System, letters

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from uuid import UUID

LANE = "transactional"
AFTER_S = 2


@pytest.fixture
def smtp() -> Iterator[Relay]:
    with Relay(vanishing="vanish") as relay:
        yield relay


@pytest.fixture
def system(database_url: str, amqp_url: str, smtp: Relay) -> Iterator[System]:
    with System(
        database_url=database_url,
        amqp_url=amqp_url,
        settings={
            **SETTLED_SOON,
            # What SMTP has no answer to is held, and a batch of ten takes its time on a busy machine.
            "ATUM_REQUEST_TIMEOUT_S": "5",
            "ATUM_SMTP_URL": f"smtp+plain://127.0.0.1:{smtp.port}",
            "ATUM_FALLBACK": "auto",
            "ATUM_FALLBACK_AFTER_S": str(AFTER_S),
            "ATUM_BATCH_MAILS": "10",
            "ATUM_WINDOW": "8",
            "ATUM_RETRY_MAX_S": "0.2",
        },
    ) as system:
        yield system


def away(system: System, kind: FaultKind) -> None:
    system.simulator.set_faults(FaultPlan(rules=(FaultRule(kind=kind),)))


def window(system: System, account: str = "default") -> tuple[str, str | None, bool]:
    """Give a window's state and reason, and whether its outage is on."""
    ((state, reason, outage),) = system.query(
        "SELECT state, reason, outage_at IS NOT NULL AND outage_end IS NULL FROM atum.flow"
        " WHERE lane = %(lane)s AND account = %(account)s",
        lane=LANE,
        account=account,
    )
    return state, reason, outage


def with_unresolved_attempt(system: System, number: int) -> list[UUID]:
    """Make mails that wait although nobody knows what became of their first POST, and close the window by it."""
    away(system, FaultKind.SERVER_ERROR_BEFORE)
    ids = system.mailer.enqueue(letters(number, name="unresolved"))
    assert eventually(
        lambda: all("resend_allowed" in system.story(one) for one in ids) and window(system)[0] == "closed",
        seconds=90,
    )
    away(system, FaultKind.MAINTENANCE)
    return ids


def accounts(system: System, ids: Iterable[UUID]) -> set[str]:
    """Say which accounts were ever asked to take one of these mails."""
    rows = system.query(
        "SELECT DISTINCT account FROM atum.attempt WHERE mail_id = ANY(%(ids)s)", ids=list(ids)
    )
    return {account for (account,) in rows}


def change(system: System, mode: str) -> None:
    with database.connect(system.database_url, name="tests") as connection, connection.transaction():
        live.change(connection, system.load(), {"fallback": mode}, actor="operator:tests")


def test_the_smtp_relay_stands_in_while_the_provider_is_away_and_every_mail_arrives_once(
    system: System, smtp: Relay
) -> None:
    doubtful = with_unresolved_attempt(system, 3)
    ids = system.mailer.enqueue(letters(40))
    lost = system.mailer.enqueue(letters(2, name="v", subject="vanish"))
    # Closed for longer than that: new mail goes to SMTP, while the provider's window stays closed and counts as an
    # outage, so that alerts go on.
    assert eventually(lambda: system.statuses(ids) == {"sent": 40}, seconds=60), system.statuses(ids)
    assert window(system) == ("closed", "outage", True)
    # A1, C20: what SMTP left open is neither sent again nor called sent: it is held, with its reason.
    assert eventually(lambda: system.statuses(lost) == {"held": 2}, seconds=60), system.statuses(lost)
    assert smtp.copies() == dict.fromkeys(map(str, [*ids, *lost]), 1)
    held = system.query("SELECT DISTINCT reason FROM atum.mail WHERE status = 'held'")
    assert held == [(HELD_REASON,)]
    # A5: what the provider may have taken waits for the provider, however long.
    assert system.statuses(doubtful).keys() <= {"queued", "retrying", "unknown"}
    assert accounts(system, doubtful) == {"default"}

    system.simulator.set_faults(FaultPlan())
    assert eventually(lambda: window(system)[0] == "open")
    taken = len(smtp.taken)
    back = system.mailer.enqueue(letters(10, name="back"))
    # A slow machine may leave some unknown for a while.
    assert eventually(lambda: system.statuses([*doubtful, *back]) == {"sent": 13}, seconds=60)
    assert accounts(system, back) == {"default"}
    assert system.copies([*doubtful, *back]) == [1] * 13
    assert len(smtp.taken) == taken

    # By an operator's word it stands in for a provider that works, too, and it ends by one.
    change(system, "on")
    ordered: list[UUID] = []

    def noticed() -> bool:
        ordered.extend(system.mailer.enqueue(letters(1, name="ordered")))
        return SMTP in accounts(system, ordered)

    assert eventually(noticed, seconds=60)
    assert eventually(lambda: system.statuses(ordered) == {"sent": len(ordered)}, seconds=60)
    report = verify(system.database_url, system.simulator.ledger())
    assert report.sound, report.findings
    assert report.by_status == {"sent": 53 + len(ordered), "held": 2}
