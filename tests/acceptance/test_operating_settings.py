"""Running parts whose settings and keys change under load: nothing is lost, nothing is sent twice, nobody restarts."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from atum_ops.simulator.faults import FaultKind, FaultPlan, FaultRule
from atum_schema.encryption import new_key
from tests.command_line import run
from tests.nodes import eventually
from tests.system import System, letters

if TYPE_CHECKING:
    from uuid import UUID

GROUP: Final = 10
LEAST: Final = 100
NEW: Final = new_key("k2")


def ours(system: System, **others: str) -> dict[str, str]:
    wanted = {**system.environment, **others}
    return {name: value for name, value in wanted.items() if name.startswith("ATUM_")}


def test_a_worker_goes_by_a_retry_policy_that_was_set_while_it_runs(database_url: str, amqp_url: str) -> None:
    with System(database_url=database_url, amqp_url=amqp_url, workers=0, relays=0) as system:
        parts = [system.start_relay(), system.start_worker()]
        system.simulator.set_faults(FaultPlan(rules=(FaultRule(kind=FaultKind.RATE_LIMIT),)))
        (patient,) = system.mailer.enqueue(letters(1))
        system.await_status(patient, "retrying")
        done = run("settings", "set", "attempts=1", "tries=1", "window=3", "--yes", **ours(system))
        assert done.status == 0, done.err
        for part in parts:
            system.await_output(part, '"settings_version":1')
        system.await_status(patient, "dead")
        (hasty,) = system.mailer.enqueue(letters(1))
        system.await_status(hasty, "dead")
        assert system.story(hasty).count("retry_scheduled") == 0
        assert eventually(lambda: system.query("SELECT DISTINCT ceiling FROM atum.flow") == [(3,)])


def test_keys_are_rotated_under_load_and_every_mail_is_sent_once(database_url: str, amqp_url: str) -> None:
    with System(
        database_url=database_url,
        amqp_url=amqp_url,
        workers=0,
        settings={"ATUM_PRIVACY": "full", "ATUM_BATCH_MAILS": "20"},
    ) as system:
        old = system.environment["ATUM_CONTENT_KEYS"]
        # First all parts can read the new key, then some have it first.
        system.start_worker(ATUM_CONTENT_KEYS=f"{old},{NEW}")
        sent: list[UUID] = []

        rotated = threading.Event()

        def load() -> None:
            while not rotated.wait(0.2) or len(sent) < LEAST:
                sent.extend(system.mailer.enqueue(letters(GROUP, name=f"g{len(sent)}n")))

        loading = threading.Thread(target=load)
        loading.start()
        system.start_worker(ATUM_CONTENT_KEYS=f"{NEW},{old}")
        keys = ours(system, ATUM_CONTENT_KEYS=f"{NEW},{old}")
        # It ends although the application goes on to store under the old key.
        first = run("keys", "rotate", "--yes", "--format=json", **keys)
        rotated.set()
        loading.join()
        assert first.status == 0, first.err
        assert first.json["reencrypted"] > 0
        second = run("keys", "rotate", "--yes", "--format=json", **keys)
        assert second.status == 0, second.err
        assert second.json["late"] == 0
        system.settled()
        system.check(sent=len(sent))
        assert system.query("SELECT key_id, count(*) FROM atum.content GROUP BY 1") == [("k2", len(sent))]
        found = run("keys", "status", "--all", "--format=json", **ours(system, ATUM_CONTENT_KEYS=NEW))
        assert found.status == 0, found.err
