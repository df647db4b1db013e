"""The way back, whole: simulator with every webhook fault, endpoint, workers; compared with what is true at the provider."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.webhook_faults import webhook_preset
from atum_ops.stack.ports import free_port
from tests.nodes import eventually
from tests.system import System, letters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_ops.simulator.records import TruthRecord
    from tests.system import Part

#: So many with ATUM_WAY_BACK_MAILS=10000, as the promise has it; fewer where the whole suite runs.
MAILS = int(os.environ.get("ATUM_WAY_BACK_MAILS", "600"))
FATES = {
    "open": 0.05,
    "click": 0.05,
    "delay": 0.05,
    "bounce-soft": 0.05,
    "bounce-hard": 0.05,
    "bounce-inactive": 0.03,
    "bounce-late": 0.05,
    "complaint": 0.05,
    "autoreply": 0.05,
    "unsubscribe": 0.04,
    "resubscribe": 0.03,
}
#: An hour of fates, retries and late events takes four seconds.
TIME_SCALE = 0.001
PASSWORD = "a-password-for-tests"
CAUGHT_UP = {"ATUM_CATCH_UP_S": "1", "ATUM_CATCH_UP_AGES_S": "5", "ATUM_CATCH_UP_RATE": "1000"}


@contextmanager
def whole(database_url: str, amqp_url: str, *, faults: str = "none", **settings: str) -> Iterator[System]:
    """Run everything; the provider tells the endpoint what becomes of mails."""
    port = free_port()
    simulation = SimulatorConfig(
        fates=FATES, time_scale=TIME_SCALE, webhook_faults=webhook_preset(faults, seed=7), latency_ms=5
    )
    environment = {
        "ATUM_WEBHOOK_PORT": str(port),
        "ATUM_WEBHOOK_BASIC": f"postmark:{PASSWORD}",
        "ATUM_CATCH_UP_S": "3600",
        "ATUM_WINDOW": "64",
        **settings,
    }
    with System(
        database_url=database_url, amqp_url=amqp_url, simulation=simulation, settings=environment
    ) as system:
        start_endpoint(system)
        system.simulator.register_webhook(
            f"http://127.0.0.1:{port}/webhooks/postmark", basic=("postmark", PASSWORD)
        )
        yield system


def start_endpoint(system: System) -> Part:
    command = [sys.executable, "-m", "atum_ops", "api", "--only", "webhooks"]
    return system.await_output(system.start_part(command), "serving")


def truth(system: System) -> dict[tuple[str, str], TruthRecord]:
    """Give what is true by (mail, recipient)."""
    return {(one.mail_id or "", one.recipient.lower()): one for one in system.simulator.truth()}


def known(system: System) -> dict[tuple[str, str], str]:
    """Give the state that the log has, by (mail, recipient)."""
    rows = system.query(
        "SELECT DISTINCT ON (mail_id, recipient) mail_id::text, recipient, kind FROM atum.recipient_event"
        " WHERE kind IN ('delayed', 'soft_bounced', 'delivered', 'bounced', 'complained')"
        " ORDER BY mail_id, recipient, array_position("
        "   ARRAY['complained', 'bounced', 'delivered', 'soft_bounced', 'delayed'], kind)"
    )
    return {(mail, recipient): kind for mail, recipient, kind in rows}


def differences(system: System) -> list[Any]:
    """List what the log does not know as it is: (mail, recipient), the truth, and what the log has."""
    log = known(system)
    return [
        (key, one.state, log.get(key))
        for key, one in truth(system).items()
        if log.get(key, "delayed") != one.state
    ]


def statuses_differ(system: System) -> list[Any]:
    """List mails whose status is not the gravest of what is true of their recipients."""
    order = ["sent", "delivered", "bounced", "complained"]
    expected: dict[str, str] = {}
    for (mail, _), one in truth(system).items():
        status = one.state if one.state in order else "sent"
        expected[mail] = max(expected.get(mail, "sent"), status, key=order.index)
    stored = dict(system.query("SELECT id::text, status FROM atum.mail"))
    return [(mail, status, stored[mail]) for mail, status in expected.items() if stored[mail] != status]


def is_over(system: System) -> bool:
    """Whether all has happened at the provider, all is told, and all that was told is applied or waits for nobody."""
    state = system.simulator.webhooks()
    return (
        not state["upcoming"]
        and not state["pending"]
        and system.query("SELECT count(*) FROM atum.webhook_inbox WHERE state = 'new'") == [(0,)]
    )


def suppressed(system: System) -> set[tuple[str, str]]:
    return set(system.query("SELECT stream, address FROM atum.suppression WHERE suppressed"))


def catch_up(system: System) -> None:
    """Catch up by command, as an operator does after an outage."""
    answer = system.start_part(
        [sys.executable, "-m", "atum_ops", "catch-up", "--since", "1h", "--yes", "--format", "json"]
    )
    assert answer.ended(seconds=120) == 0, answer.output()


def assert_suppressions_agree(system: System) -> None:
    """Assert that nobody is missing, and that whoever is too many was lifted by a word that got lost a moment ago."""
    true = list(system.simulator.truth())
    expected = {(one.stream, one.recipient.lower()) for one in true if one.suppressed}
    lifted = {(one.stream, one.recipient.lower()) for one in true if "resubscribed" in one.events}
    assert eventually(lambda: expected <= suppressed(system)), expected - suppressed(system)
    assert suppressed(system) - expected <= lifted


def assert_all_is_known(system: System, *, seconds: float = 120.0) -> None:
    assert eventually(lambda: is_over(system), seconds=seconds), system.simulator.webhooks()
    assert eventually(lambda: not differences(system), seconds=seconds), differences(system)[:10]
    assert eventually(lambda: not statuses_differ(system)), statuses_differ(system)[:10]
    assert system.query("SELECT count(*) FROM atum.mail WHERE duplicates > 0") == [(0,)]


def test_with_every_webhook_fault_the_log_knows_what_is_true_of_each_recipient(
    database_url: str, amqp_url: str
) -> None:
    with whole(database_url, amqp_url, faults="all", **CAUGHT_UP) as system:
        mails = [
            mail
            for number in range(MAILS)
            for mail in letters(1, name=f"to{number}-", cc=[f"cc{number}@example.org"] * (number % 3 == 0))
        ]
        for start in range(0, MAILS, 500):
            system.mailer.enqueue(mails[start : start + 500])
        assert eventually(lambda: system.waiting() == 0, seconds=120)
        assert_all_is_known(system, seconds=240)
        faults = system.simulator.summary().webhooks
        assert all(faults.get(name) for name in ("lost", "duplicated", "reordered", "late", "early")), faults
        catch_up(system)
        assert_suppressions_agree(system)


@pytest.mark.parametrize("outage", ["lost", "failing"])
def test_an_outage_of_webhooks_is_caught_up_with(database_url: str, amqp_url: str, outage: str) -> None:
    with whole(database_url, amqp_url) as system:
        system.mailer.enqueue(letters(50, name="before"))
        assert eventually(lambda: system.waiting() == 0)
        system.simulator.set_webhook_outage(outage)
        ids = system.mailer.enqueue(letters(400, name="meanwhile"))
        assert eventually(lambda: system.waiting() == 0)
        # Half an hour at the provider, and longer than it tries.
        assert eventually(lambda: is_over(system), seconds=120), system.simulator.webhooks()
        assert len(differences(system)) > len(ids) / 2
        catch_up(system)
        assert_all_is_known(system)
        assert_suppressions_agree(system)
