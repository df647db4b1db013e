"""Mail that cannot be read, and mail whose lane is gone: nobody else waits for it, and it is not lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from atum_schema.encryption import new_key
from tests.nodes import eventually
from tests.system import System, letters

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def system(database_url: str, amqp_url: str) -> Iterator[System]:
    with System(database_url=database_url, amqp_url=amqp_url, workers=0) as made:
        yield made


def test_a_mail_under_a_missing_key_waits_unharmed_until_the_keyring_is_mended(system: System) -> None:
    other_key = new_key("other")
    companions = system.mailer.enqueue(letters(3))
    with system.new_mailer(content_keys=SecretStr(other_key)) as stranger:
        unreadable = stranger.enqueue(letters(1, name="s")[0])
    system.start_worker()

    assert eventually(lambda: system.copies(companions) == [1, 1, 1])
    system.await_status(unreadable, "retrying")
    state = system.mailer.get(unreadable)
    assert state.reason == "content_unreadable"
    assert system.query("SELECT attempts, tries FROM atum.mail WHERE id = %(id)s", id=unreadable) == [(0, 0)]
    assert system.copies([unreadable]) == [0]

    mended = f"{system.environment['ATUM_CONTENT_KEYS']},{other_key}"
    system.start_worker(ATUM_CONTENT_KEYS=mended)
    # The first worker may take it again and again: only the one with the whole keyring can send it.
    assert eventually(lambda: _sent_when_due(system), seconds=60)
    system.settled()
    system.check(sent=4)


def _sent_when_due(system: System) -> bool:
    system.query("UPDATE atum.ready SET due_at = now() RETURNING mail_id")
    return system.query("SELECT count(*) FROM atum.mail WHERE status = 'sent'") == [(4,)]


def test_a_mail_without_content_does_not_stop_its_companions(system: System) -> None:
    ids = system.mailer.enqueue(letters(5))
    system.query("DELETE FROM atum.content WHERE mail_id = %(id)s RETURNING mail_id", id=ids[2])
    system.start_worker()

    assert eventually(lambda: system.copies(ids) == [1, 1, 0, 1, 1])
    system.await_status(ids[2], "retrying")
    assert system.mailer.get(ids[2]).reason == "content_unreadable"


def test_mail_of_a_removed_lane_travels_in_the_first_one(system: System) -> None:
    with system.new_mailer(lanes="transactional,broadcast,retired") as mailer:
        ids = mailer.enqueue(letters(3, lane="retired"))
    system.start_worker()

    system.settled()

    assert system.copies(ids) == [1, 1, 1]
    assert system.query("SELECT DISTINCT lane FROM atum.mail") == [("retired",)]
