"""`keys status` and `keys rotate`: which keys are in use, and bringing everything under the first one."""

from __future__ import annotations

import csv
import io
import threading
from typing import TYPE_CHECKING, Any, Final

import pytest

from atum_ops import key_use
from atum_schema import database
from atum_schema.encryption import Keyring, new_key
from atum_schema.maintenance import Task
from atum_workers.maintain import Maintenance
from atum_workers.reencrypt import Reencryption
from tests.command_line import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg_pool import ConnectionPool

    from tests.command_line import Answer, Place

NEW: Final = new_key("k2")


@pytest.fixture
def pool(place: Place) -> Iterator[ConnectionPool[Any]]:
    with database.pool(place.url, name="tests", size=4) as one:
        yield one


@pytest.fixture
def old(place: Place) -> str:
    """The first key; from now on, commands have a new one before it."""
    key = place.environment["ATUM_CONTENT_KEYS"]
    place.environment["ATUM_CONTENT_KEYS"] = f"{NEW},{key}"
    return key


def status(place: Place, *arguments: str) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """Give the exit status, the answer, and its keys by their names."""
    answer = place.run("keys", "status", "--format=json", *arguments)
    return answer.status, answer.json, {each["key"]: each for each in answer.json["keys"]}


def here(place: Place) -> Answer:
    return place.run(
        "keys", "rotate", "--here", "--yes", "--by", "jane", "--note", "k1 is known", "--format=json"
    )


def test_status_shows_the_keys_and_where_they_are_in_use(place: Place, old: str) -> None:
    place.enqueue(3)
    code, found, keys = status(place)
    assert (code, found["active"], found["looked_at"], found["complete"]) == (0, "k2", 3, True)
    assert (keys["k2"]["in_keyring"], keys["k2"]["content"], keys["k2"]["removable"]) == ("active", 0, "no")
    assert (keys["test"]["in_keyring"], keys["test"]["content"], keys["test"]["removable"]) == (
        "yes",
        3,
        "no",
    )
    assert found["last_walk"] is None
    rows = list(csv.DictReader(io.StringIO(place.run("keys", "status", "--format=csv").out)))
    assert [(row["key"], row["content"]) for row in rows] == [("k2", "0"), ("test", "3")]
    assert old


def test_rotating_without_yes_only_says_how_much_there_is(place: Place, old: str) -> None:
    place.enqueue(3)
    answer = place.run("keys", "rotate", "--format=json")
    assert answer.json == {"active": "k2", "under_others": 3, "looked_at": 3, "complete": True}
    assert "3 mails and events are under another key than k2" in place.run("keys", "rotate", "--here").out
    assert status(place)[2]["test"]["content"] == 3
    assert place.sql("SELECT count(*) FROM atum.operation") == [(0,)]
    assert old


def test_rotating_here_needs_no_worker_and_then_the_old_key_may_be_removed(place: Place, old: str) -> None:
    place.enqueue(3)
    answer = here(place)
    assert answer.status == 0
    assert {name: answer.json[name] for name in ("active", "reencrypted", "looked_at", "unreadable")} == {
        "active": "k2",
        "reencrypted": 3,
        "looked_at": 3,
        "unreadable": 0,
    }
    code, found, keys = status(place)
    assert (code, keys["test"]["removable"], keys["k2"]["content"]) == (0, "yes", 3)
    assert (found["last_walk"]["active"], found["last_walk"]["keys"]) == ("k2", {"k2": 3})
    place.environment["ATUM_CONTENT_KEYS"] = NEW
    assert status(place)[0] == 0
    audit = place.sql("SELECT actor, action, detail ->> 'reason' FROM atum.audit ORDER BY id")
    assert audit == [
        ("operator:jane", "keys.rotate.began", "k1 is known"),
        ("system:reencrypt", "keys.rotate.ended", "k1 is known"),
    ]
    assert old


def test_rotating_follows_the_workers_that_do_it(place: Place, old: str, pool: ConnectionPool[Any]) -> None:
    place.enqueue(3)
    work = Reencryption(pool=pool, keyring=Keyring(f"{NEW},{old}"))
    stop = threading.Event()

    def worker() -> None:
        maintenance = Maintenance(pool=pool, tasks=dict.fromkeys(Task, work.run), stopping=stop.is_set)
        while not stop.wait(0.05):
            for (task,) in place.sql(
                "SELECT id FROM atum.maintenance WHERE name = 'reencrypt' AND due_at <= clock_timestamp()"
            ):
                maintenance.maintain(task)

    thread = threading.Thread(target=worker)
    thread.start()
    try:
        answers = [place.run("keys", "rotate", "--yes", "--format=json") for _ in range(2)]
    finally:
        stop.set()
        thread.join()
    assert [(each.status, each.json["reencrypted"]) for each in answers] == [(0, 3), (0, 0)]
    assert status(place)[2]["test"]["removable"] == "yes"


def test_an_order_that_is_under_way_is_taken_up_and_not_given_twice(place: Place, old: str) -> None:
    from atum_ops import key_rotation

    place.enqueue(1)
    first = key_rotation.order(place.connection, "k2", actor="operator:joe", reason=None)
    answer = here(place)
    assert answer.json["operation"] == str(first.id)
    assert place.sql("SELECT count(*) FROM atum.operation") == [(1,)]
    assert old


def test_an_old_key_that_was_removed_too_early_is_said_loudly(place: Place, old: str) -> None:
    place.enqueue(3)
    place.environment["ATUM_CONTENT_KEYS"] = NEW
    code, _, keys = status(place)
    assert (code, keys["test"]["in_keyring"], keys["test"]["content"]) == (1, "no", 3)
    assert (
        "key test is not in ATUM_CONTENT_KEYS, and 3 mails and events are under it"
        in place.run("keys", "status").err
    )
    answer = here(place)
    assert (answer.status, answer.json["unreadable"]) == (1, 3)
    assert "3 cannot be read and stay as they are" in answer.err
    # Put back, it is all there.
    place.environment["ATUM_CONTENT_KEYS"] = f"{NEW},{old}"
    assert here(place).status == 0
    assert status(place)[2]["k2"]["content"] == 3


def test_another_key_under_the_same_name_is_said_loudly(place: Place, old: str) -> None:
    place.enqueue(3)
    place.environment["ATUM_CONTENT_KEYS"] = f"{NEW},{new_key('test')}"
    assert here(place).status == 1
    code, _, keys = status(place)
    assert (code, keys["test"]["unreadable"], keys["test"]["removable"]) == (1, 3, "no")
    assert "cannot be read" in place.run("keys", "status").err
    assert old


def test_a_look_is_bounded_and_all_looks_at_all(
    place: Place, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.enqueue(9)
    assert here(place).status == 0
    use = key_use.look(place.connection, limit=2)
    assert (use.total, use.complete) == (4, False)
    assert (
        key_use.status(Keyring(f"{NEW},{old}"), use, key_use.progress(place.connection)).keys[1].removable
        == "yes"
    )
    place.sql("UPDATE atum.maintenance SET progress = '{}' WHERE name = 'reencrypt'")
    assert (
        key_use.status(Keyring(f"{NEW},{old}"), use, key_use.progress(place.connection)).keys[1].removable
        == "unknown"
    )
    counted = list(key_use.count(place.connection, page=2))
    assert [(each.total, each.complete) for each in counted][-2:] == [(9, False), (9, True)]
    assert len(counted) > 5
    code, found, keys = status(place, "--all")
    assert (code, found["complete"], found["looked_at"], keys["test"]["removable"]) == (0, True, 9, "yes")


def test_keys_are_never_printed(place: Place, old: str) -> None:
    place.enqueue(1)
    secrets = [old.partition(":")[2], NEW.partition(":")[2]]
    for arguments in (["status"], ["status", "--format=json"], ["rotate"], ["rotate", "--here", "--yes"]):
        answer = place.run("keys", *arguments)
        assert not [secret for secret in secrets if secret in answer.out + answer.err]


def test_without_keys_or_a_database_it_says_what_is_missing(place: Place) -> None:
    del place.environment["ATUM_CONTENT_KEYS"]
    for command in ("status", "rotate"):
        answer = place.run("keys", command)
        assert (answer.status, "ATUM_CONTENT_KEYS" in answer.err) == (1, True)
        nobody = {"ATUM_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "ATUM_CONTENT_KEYS": NEW}
        assert run("keys", command, **nobody).status == 3
