"""Encrypting anew in the background: everything, once, whoever else is at it, and gone on with after a crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import pytest

from atum_ops import key_rotation
from atum_schema import database, maintenance
from atum_schema.document_content import decode_content
from atum_schema.encryption import HEAD, Keyring, new_key
from atum_schema.ids import first_mail_id
from atum_workers import reencrypt_store as store
from atum_workers.maintain import Maintenance
from atum_workers.reencrypt import Reencryption
from atum_workers.reencrypt_walk import Progress, loaded
from tests.command_line import SENT, without_ours
from tests.logged import said
from tests.system import ROOT
from tests.telling import apply_all, event, inbox_states, tell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg_pool import ConnectionPool

    from tests.command_line import Place


NEW: Final = new_key("k2")


@pytest.fixture
def pool(place: Place) -> Iterator[ConnectionPool[Any]]:
    with database.pool(place.url, name="tests", size=4) as one:
        yield one


def old_key(place: Place) -> str:
    return place.environment["ATUM_CONTENT_KEYS"]


def both(place: Place) -> Keyring:
    return Keyring(f"{NEW},{old_key(place)}")


def task(place: Place) -> UUID:
    ((found,),) = place.sql("SELECT id FROM atum.maintenance WHERE name = 'reencrypt'")
    assert isinstance(found, UUID)
    return found


def rotating(pool: ConnectionPool[Any], keyring: Keyring, **fields: Any) -> Reencryption:
    return Reencryption(**{"pool": pool, "keyring": keyring, "sleep": lambda _: None, **fields})


def turn(place: Place, work: Reencryption) -> None:
    """Do the task once, as a worker does."""
    place.sql("UPDATE atum.maintenance SET due_at = now() WHERE name = 'reencrypt'")
    Maintenance(
        pool=work.pool, tasks=dict.fromkeys(maintenance.Task, work.run), stopping=lambda: False
    ).maintain(task(place))
    assert place.sql("SELECT failure FROM atum.maintenance WHERE name = 'reencrypt'") == [(None,)]


def progress(place: Place) -> Progress:
    ((found,),) = place.sql("SELECT progress FROM atum.maintenance WHERE name = 'reencrypt'")
    return loaded(found)


def under(place: Place) -> dict[str, int]:
    rows = place.sql(
        "SELECT key_id, count(*) FROM (SELECT key_id FROM atum.content UNION ALL SELECT key_id FROM atum.webhook_inbox) t"
        " GROUP BY 1"
    )
    return dict(rows)


def texts(place: Place, keyring: Keyring) -> list[str]:
    rows = place.sql("SELECT mail_id, key_id, body FROM atum.content ORDER BY mail_id")
    return [str(decode_content(keyring.decrypt(*row))["text"]) for row in rows]


def test_everything_comes_under_the_active_key_and_says_what_it_said(
    place: Place, pool: ConnectionPool[Any]
) -> None:
    ids = [place.enqueue(1, text=f"text {n}")[0] for n in range(7)]
    assert tell(place, event("Delivery", ids[0], UUID(int=5)), event("Bounce", ids[1], UUID(int=5))) == 2
    assert under(place) == {"test": 9}
    turn(place, rotating(pool, Keyring(f"{NEW},{old_key(place)}"), page=3))
    assert under(place) == {"k2": 9}
    # The old key is not needed any more.
    assert texts(place, Keyring(NEW)) == [f"text {n}" for n in range(7)]
    place.environment["ATUM_CONTENT_KEYS"] = NEW
    apply_all(place)
    assert "unreadable" not in {state for state, _ in inbox_states(place)}
    ended = progress(place).ended
    assert ended is not None
    assert (ended.active, ended.changed, ended.keys, ended.unreadable) == ("k2", 9, {"k2": 9}, {})


def test_a_walk_begins_by_itself_when_the_active_key_is_another_one_and_else_only_when_it_is_asked_for(
    place: Place, pool: ConnectionPool[Any]
) -> None:
    turn(place, rotating(pool, Keyring(old_key(place))))
    first = progress(place).ended
    place.enqueue(1)
    turn(place, rotating(pool, Keyring(old_key(place))))
    assert progress(place).ended == first
    keyring = both(place)
    turn(place, rotating(pool, keyring))
    assert under(place) == {"k2": 1}
    place.enqueue(1)
    turn(place, rotating(pool, keyring))
    assert under(place) == {"k2": 1, "test": 1}
    order = key_rotation.order(place.connection, "k2", actor="operator:jane", reason="because")
    turn(place, rotating(pool, keyring))
    assert under(place) == {"k2": 2}
    done = key_rotation.state(place.connection, order.id)
    assert done.ended_at is not None
    assert done.counts == {"looked_at": 2, "reencrypted": 1, "unreadable": 0, "late": 0}
    actions = place.sql("SELECT actor, action FROM atum.audit ORDER BY id")
    assert actions == [("operator:jane", "keys.rotate.began"), ("system:reencrypt", "keys.rotate.ended")]


def test_a_worker_that_was_not_given_the_new_key_does_not_take_everything_back(
    place: Place, pool: ConnectionPool[Any], caplog: pytest.LogCaptureFixture
) -> None:
    keyring, old = both(place), Keyring(old_key(place))
    place.enqueue(3)
    turn(place, rotating(pool, old))
    turn(place, rotating(pool, keyring))
    for _ in range(2):
        turn(place, rotating(pool, old))
    assert under(place) == {"k2": 3}
    assert '"before":"test","now":"k2"' in said(caplog)
    # A person may go back.
    key_rotation.order(place.connection, "test", actor="operator:jane", reason=None)
    turn(place, rotating(pool, Keyring(f"{old_key(place)},{NEW}")))
    assert under(place) == {"test": 3}
    turn(place, rotating(pool, keyring))
    assert under(place) == {"test": 3}


def test_a_mail_that_is_dropped_or_changed_meanwhile_stays_so(
    place: Place, pool: ConnectionPool[Any]
) -> None:
    dropped, changed, held, other = place.enqueue(4)
    keyring = both(place)
    shelf = store.SHELVES[0]
    sealed = store.fetch(place.connection, shelf, [dropped, changed, held, other], active="k2")
    anew = [(row, keyring.encrypt(row.id, b"stale")) for row in sealed]
    place.sql("DELETE FROM atum.content WHERE mail_id = %(id)s", id=dropped)
    newer = Keyring(old_key(place)).encrypt(changed, b"newer")
    place.sql("UPDATE atum.content SET body = %(body)s WHERE mail_id = %(id)s", body=newer, id=changed)
    with database.connect(place.url, name="other") as somebody, somebody.transaction():
        somebody.execute("SELECT FROM atum.content WHERE mail_id = %(id)s FOR UPDATE", {"id": held})
        # It waits for nobody.
        assert store.replace(place.connection, shelf, anew, active="k2", head=HEAD) == 1
    rows = {row[0]: row[1:] for row in place.sql("SELECT mail_id, key_id, body FROM atum.content")}
    assert rows.keys() == {changed, held, other}
    assert rows[changed] == ("test", newer)
    assert (rows[held][0], rows[other][0]) == ("test", "k2")
    turn(place, rotating(pool, Keyring(f"{NEW},{old_key(place)}")))
    assert under(place) == {"k2": 3}


def test_what_is_stored_behind_its_back_is_found_by_the_next_pass(
    place: Place, pool: ConnectionPool[Any]
) -> None:
    place.enqueue(6)
    early = first_mail_id(datetime(2020, 1, 1, tzinfo=UTC))

    def sleep(seconds: float) -> None:
        """Commit a mail with an id from before, as a long transaction does."""
        del seconds
        if "test" in under(place) and not place.sql(
            "SELECT true FROM atum.content WHERE mail_id = %(id)s", id=early
        ):
            body = Keyring(old_key(place)).encrypt(early, b"late")
            place.sql("INSERT INTO atum.content VALUES (%(id)s, 'test', %(body)s)", id=early, body=body)

    keyring = both(place)
    turn(place, rotating(pool, keyring, page=2, sleep=sleep))
    assert under(place) == {"k2": 7}
    ended = progress(place).ended
    assert ended is not None
    assert (ended.changed, ended.keys) == (7, {"k2": 7})


def test_it_ends_although_a_part_goes_on_to_store_under_the_old_key_and_is_done_again_later(
    place: Place, pool: ConnectionPool[Any], caplog: pytest.LogCaptureFixture
) -> None:
    place.enqueue(4)
    keyring = both(place)

    def sleep(seconds: float) -> None:
        del seconds
        place.enqueue(1)

    turn(place, rotating(pool, keyring, page=2, sleep=sleep))
    ended = progress(place).ended
    assert ended is not None
    assert ended.late > 0
    assert "a part has not been given the new ATUM_CONTENT_KEYS yet" in caplog.text
    place.enqueue(1)
    turn(place, rotating(pool, keyring))
    assert under(place)["test"] >= 1
    place.sql(
        "UPDATE atum.maintenance SET progress = jsonb_set(progress, '{ended,ended_at}', to_jsonb(now() - interval '1 hour'))"
        " WHERE name = 'reencrypt'"
    )
    turn(place, rotating(pool, keyring))
    assert under(place).keys() == {"k2"}
    again = progress(place).ended
    assert again is not None
    assert again.late == 0


def test_what_cannot_be_read_is_counted_and_said_and_stops_nothing(
    place: Place, pool: ConnectionPool[Any], caplog: pytest.LogCaptureFixture
) -> None:
    ids = place.enqueue(5)
    place.sql("UPDATE atum.content SET key_id = 'lost' WHERE mail_id = ANY(%(ids)s)", ids=ids[:2])
    place.sql("UPDATE atum.content SET body = body || 'x' WHERE mail_id = %(id)s", id=ids[2])
    stored = "SELECT mail_id, key_id, body FROM atum.content WHERE key_id <> 'k2' ORDER BY mail_id"
    before = place.sql(stored)[:3]
    turn(place, rotating(pool, both(place), page=2))
    assert under(place) == {"lost": 2, "test": 1, "k2": 2}
    assert place.sql(stored) == before
    ended = progress(place).ended
    assert ended is not None
    assert ended.unreadable == {"lost": 2, "test": 1}
    assert '"counts":{"lost":2,"test":1}' in said(caplog)


def test_a_large_mail_is_done_alone(place: Place, pool: ConnectionPool[Any]) -> None:
    place.enqueue(3, text=os.urandom(30_000).hex())
    sizes: list[int] = []
    work = rotating(
        pool, both(place), chunk_bytes=50_000, sleep=lambda _: sizes.append(under(place).get("k2", 0))
    )
    turn(place, work)
    assert sizes[:3] == [1, 2, 3]


def test_a_run_gives_the_thread_back_and_the_next_one_goes_on(
    place: Place, pool: ConnectionPool[Any]
) -> None:
    place.enqueue(9)
    keyring = both(place)
    seen: list[int] = []
    while progress(place).ended is None:
        turn(place, rotating(pool, keyring, page=2, run_s=0.0))
        seen.append(under(place).get("k2", 0))
        assert len(seen) < 30
    assert seen[:5] == [2, 4, 6, 8, 9]


def test_killed_in_the_middle_it_is_gone_on_with_where_it_was(
    place: Place, pool: ConnectionPool[Any]
) -> None:
    place.enqueue(12)
    environment = {
        **without_ours(os.environ),
        **place.environment,
        "ATUM_CONTENT_KEYS": f"{NEW},{old_key(place)}",
    }
    killed = subprocess.run(
        [sys.executable, "-m", "tests.killed_rotation", "3"],
        cwd=ROOT,
        env=environment,
        check=False,
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL
    assert under(place) == {"k2": 6, "test": 6}
    walk = progress(place).walk
    assert walk is not None
    assert walk.changed == 6
    # Nobody may go on before its lease is over.
    work = rotating(pool, Keyring(environment["ATUM_CONTENT_KEYS"]))
    turn(place, work)
    assert under(place) == {"k2": 6, "test": 6}
    place.sql("UPDATE atum.maintenance SET lease_until = now() WHERE name = 'reencrypt'")
    turn(place, work)
    assert under(place) == {"k2": 12}
    ended = progress(place).ended
    assert ended is not None
    assert (ended.changed, ended.began_at) == (12, walk.began_at)


def test_mail_is_delivered_meanwhile_and_content_that_is_gone_stays_gone(
    place: Place, pool: ConnectionPool[Any]
) -> None:
    place.enqueue(60)
    work = rotating(pool, both(place), page=3)
    walking = threading.Thread(target=turn, args=(place, work))
    walking.start()
    while batches := place.issue(mails=5):
        for batch in batches:
            place.end(batch, **SENT)
    walking.join()
    turn(place, work)
    assert place.sql("SELECT status, count(*) FROM atum.mail GROUP BY 1") == [("sent", 60)]
    assert under(place) == {}
