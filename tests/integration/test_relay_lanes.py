"""What the relay decides alone: lanes that were removed, the size of batches, wake-ups, and being many."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psycopg

from atum_ops import pausing
from atum_ops.simulator.config import SimulatorConfig
from tests.nodes import eventually
from tests.system import PATIENT, System, letters

if TYPE_CHECKING:
    from uuid import UUID


def sizes(system: System) -> list[int]:
    rows = system.query("SELECT cardinality(mail_ids) FROM atum.batch ORDER BY 1")
    return [size for (size,) in rows]


def test_mail_of_a_removed_lane_travels_in_the_first_one(database_url: str, amqp_url: str) -> None:
    with (
        System(database_url=database_url, amqp_url=amqp_url, settings=PATIENT) as system,
        system.new_mailer(lanes="transactional,newsletter") as old,
    ):
        ids = old.enqueue(letters(3, lane="newsletter"))
        system.settled()
        assert system.query("SELECT DISTINCT lane FROM atum.mail") == [("newsletter",)]
        assert system.copies(ids) == [1] * 3
        system.check(sent=3)


def test_batches_that_were_issued_in_a_lane_that_is_removed_then_travel_in_the_first_one(
    database_url: str, amqp_url: str
) -> None:
    with System(
        database_url=database_url, amqp_url=amqp_url, relays=0, settings={**PATIENT, "ATUM_BATCH_MAILS": "2"}
    ) as system:
        relay = system.start_relay(ATUM_LANES="transactional,newsletter")
        with system.new_mailer(lanes="transactional,newsletter") as old:
            ids = old.enqueue(letters(3, lane="newsletter"))
        # No worker here serves that lane: the batches are issued, and their tickets are in a queue that nobody reads.
        assert eventually(
            lambda: system.query("SELECT lane, count(*) FROM atum.batch GROUP BY lane") == [("newsletter", 2)]
        )
        relay.kill()
        system.start_relay()
        system.settled()
        assert system.copies(ids) == [1] * 3
        system.check(sent=3)


def test_mail_of_a_removed_lane_that_a_person_paused_waits_until_it_is_resumed(
    database_url: str, amqp_url: str
) -> None:
    with (
        System(database_url=database_url, amqp_url=amqp_url, relays=0, settings=PATIENT) as system,
        system.new_mailer(lanes="transactional,newsletter") as old,
    ):
        system.query(
            "INSERT INTO atum.flow (lane, account, size, ceiling, state, reason, paused_by)"
            " VALUES ('newsletter', 'default', 4, 32, 'paused', 'wrong prices', 'jane') RETURNING lane"
        )
        ids = old.enqueue(letters(3, lane="newsletter"))
        system.start_relay()
        other = system.mailer.enqueue(letters(1, name="other")[0])
        assert system.mailer.wait(other, timeout=60).status == "sent"
        # A sweep, and then some.
        assert not eventually(lambda: system.waiting() < 3, seconds=2.5)
        system.query("UPDATE atum.flow SET state = 'open', reason = NULL, paused_by = NULL RETURNING lane")
        system.settled()
        assert system.copies(ids) == [1] * 3


def test_batches_of_a_removed_lane_wait_while_the_first_one_is_stopped(
    database_url: str, amqp_url: str
) -> None:
    with System(database_url=database_url, amqp_url=amqp_url, relays=0) as system:
        relay = system.start_relay(ATUM_LANES="transactional,newsletter")
        with system.new_mailer(lanes="transactional,newsletter") as old:
            ids = old.enqueue(letters(3, lane="newsletter"))
        assert eventually(
            lambda: system.query("SELECT lane, state FROM atum.batch") == [("newsletter", "issued")]
        )
        relay.kill()
        with psycopg.connect(database_url, autocommit=True) as connection:
            pausing.pause(connection, "transactional", reason="wrong prices", by="jane")
        # As old as batches are that nobody takes.
        system.query("UPDATE atum.batch SET issued_at = issued_at - interval '1 minute' RETURNING id")
        system.start_relay()
        assert not eventually(lambda: system.copies(ids) != [0] * 3, seconds=4)
        with psycopg.connect(database_url, autocommit=True) as connection:
            pausing.resume(connection, "transactional", by="jane")
        system.settled()
        assert system.copies(ids) == [1] * 3


def test_batches_are_bounded_by_count_and_by_bytes(database_url: str, amqp_url: str) -> None:
    with System(
        database_url=database_url,
        amqp_url=amqp_url,
        relays=0,
        workers=0,
        settings={"ATUM_BATCH_MAILS": "10", "ATUM_BATCH_BYTES": "50000"},
    ) as system:
        system.mailer.enqueue(letters(25))
        system.mailer.enqueue(letters(4, name="big", text="x" * 60_000, lane="broadcast"))
        system.start_relay()
        assert eventually(lambda: system.query("SELECT count(*) FROM atum.ready") == [(0,)])
        assert sizes(system) == [1, 1, 1, 1, 5, 10, 10]


def test_a_newsletter_waiting_for_the_provider_does_not_delay_a_password_reset(
    database_url: str, amqp_url: str
) -> None:
    with System(
        database_url=database_url,
        amqp_url=amqp_url,
        # The newsletter takes half a minute, the reset one second.
        simulation=SimulatorConfig(latency_ms=1000),
        settings={**PATIENT, "ATUM_BATCH_MAILS": "5", "ATUM_WINDOW": "4"},
    ) as system:
        system.mailer.enqueue(letters(300, name="news", stream="broadcast"))
        system.await_posting()
        reset = system.mailer.enqueue(letters(1, name="reset")[0])
        assert system.mailer.wait(reset, timeout=60).status == "sent"
        assert system.waiting() > 50
        system.simulator.tune(latency_ms=0)
        system.settled()
        system.check(sent=301)


def test_a_sleeping_relay_is_woken_by_new_mail_long_before_it_would_look(
    database_url: str, amqp_url: str
) -> None:
    with System(
        database_url=database_url, amqp_url=amqp_url, settings={**PATIENT, "ATUM_POLL_S": "30"}
    ) as system:
        system.mailer.wait(system.mailer.enqueue(letters(1, name="first")[0]), timeout=60)
        for turn in range(5):
            assert eventually(
                lambda: system.query("SELECT for_mail FROM atum.sleeper WHERE until > now()") == [(True,)]
            )
            asked = time.monotonic()
            mail_id: UUID = system.mailer.enqueue(letters(1, name=f"turn{turn}")[0])
            assert system.mailer.wait(mail_id, timeout=60).status == "sent"
            assert time.monotonic() - asked < 20


def test_a_relay_killed_at_work_leaves_everything_to_the_next_one(database_url: str, amqp_url: str) -> None:
    with System(
        database_url=database_url,
        amqp_url=amqp_url,
        relays=0,
        # All of them take ten seconds at least, and what the relays have issued is done in three.
        simulation=SimulatorConfig(latency_ms=200),
        settings={**PATIENT, "ATUM_BATCH_MAILS": "5"},
    ) as system:
        system.mailer.enqueue(letters(600))
        for left in (590, 500):
            relay = system.start_relay()
            assert eventually(lambda left=left: system.waiting() < left)  # type: ignore[misc]
            relay.kill()
        assert system.waiting() > 0
        system.simulator.tune(latency_ms=0)
        system.start_relay()
        system.settled()
        system.check(sent=600)
