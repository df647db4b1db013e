"""A database that was restored has forgotten acknowledged commits: nothing of it is sent before it is looked through."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from atum_schema.migrate import migrate
from tests.nodes import eventually, private_postgres
from tests.system import SETTLED_SOON, System, letters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from atum_ops.stack.postgres import PostgresNode


@pytest.fixture
def postgres() -> Iterator[PostgresNode]:
    """A PostgreSQL for one test alone, to restore."""
    with private_postgres() as node:
        migrate(node.url)
        yield node


def back_up(node: PostgresNode) -> Path:
    """Copy the data of the stopped server, owners and modes included."""
    node.stop()
    backup = node.data.with_name("backup")
    subprocess.run(["cp", "-a", str(node.data), str(backup)], check=True)
    node.start()
    return backup


def put_back(node: PostgresNode, backup: Path) -> None:
    node.stop()
    shutil.rmtree(node.data)
    subprocess.run(["cp", "-a", str(backup), str(node.data)], check=True)


def as_a_cold_copy(node: PostgresNode, backup: Path) -> None:
    put_back(node, backup)
    node.start()


def on_a_new_timeline(node: PostgresNode, backup: Path) -> None:
    """Recover as from an archive that ends early: the server branches off to its next timeline."""
    put_back(node, backup)
    with (node.data / "postgresql.auto.conf").open("a") as settings:
        settings.write("restore_command = 'false'\n")
    signal = node.data / "recovery.signal"
    shutil.copy2(node.data / "postgresql.auto.conf", signal)
    signal.write_text("")
    subprocess.run(["chown", "--reference", str(node.data), str(signal)], check=True)
    node.start()


@pytest.mark.parametrize("restored", [as_a_cold_copy, on_a_new_timeline])
def test_what_was_sent_after_the_backup_is_found_and_not_sent_again(
    postgres: PostgresNode, amqp_url: str, restored: Callable[[PostgresNode, Path], None]
) -> None:
    with System(
        database_url=postgres.url,
        amqp_url=amqp_url,
        workers=0,
        settings={**SETTLED_SOON, "ATUM_BATCH_MAILS": "3"},
    ) as system:
        # At the backup five mails wait: three in a batch whose ticket is out, two in `ready`.
        waiting = system.mailer.enqueue(letters(5, name="waiting"))
        assert eventually(lambda: system.query("SELECT sum(cardinality(mail_ids)) FROM atum.batch") == [(5,)])
        backup = back_up(postgres)
        worker = system.start_worker()
        system.settled()
        assert system.copies(waiting) == [1] * 5
        restored(postgres, backup)
        # The log has forgotten that they were sent, and shows them as waiting, until somebody notices. What is written
        # before that makes a copy of moments ago harder to tell from the server that was seen.
        assert eventually(lambda: all("outcome_unknown" in system.story(one) for one in waiting), seconds=60)
        new = system.mailer.enqueue(letters(3, name="new"))
        for one in [*waiting, *new]:
            system.await_status(one, "sent")
        assert system.copies([*waiting, *new]) == [1] * 8
        stories = [system.story(one) for one in waiting]
        assert {story[-1] for story in stories} == {"found"}
        assert system.story(new[0]) == ["accepted", "provider_accepted"]
        assert worker.running
        system.check(sent=8)


def test_what_was_not_sent_goes_out_once_the_searches_have_found_nothing(
    postgres: PostgresNode, amqp_url: str
) -> None:
    with System(database_url=postgres.url, amqp_url=amqp_url, workers=0, settings=SETTLED_SOON) as system:
        waiting = system.mailer.enqueue(letters(3, name="waiting"))
        later = system.mailer.enqueue(letters(1, name="later", send_at=_in_an_hour(system)))
        backup = back_up(postgres)
        on_a_new_timeline(postgres, backup)
        system.start_worker()
        for one in waiting:
            system.await_status(one, "sent")
        assert system.copies(waiting) == [1] * 3
        assert "resend_allowed" in system.story(waiting[0])
        # What was not due cannot have been sent meanwhile.
        assert system.story(later[0]) == ["accepted_for_later"]


def _in_an_hour(system: System) -> object:
    ((soon,),) = system.query("SELECT clock_timestamp() + interval '1 hour'")
    return soon
