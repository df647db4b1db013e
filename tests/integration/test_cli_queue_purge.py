"""`queue purge`: cancels what has waited for too long, and nothing else.

Weaknesses A16 (no or a wrong age purged everything, even what was being sent, and rows stayed `queued` for ever), B15 (ages
mixed local time and UTC) and C14 (rows of purged jobs were never resolved).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from atum_ops import purging
from atum_schema import database
from tests.command_line import UNKNOWN

if TYPE_CHECKING:
    from uuid import UUID

    from tests.command_line import Place


def old(place: Place, ids: list[UUID], hours: int = 48) -> list[UUID]:
    """Make mails look as if they had been accepted so long ago; give their new ids."""
    from atum_schema.ids import first_mail_id

    made = []
    floor = first_mail_id(datetime.now(UTC) - timedelta(hours=hours)).int
    for mail_id in sorted(ids):
        new = type(mail_id)(int=floor + (mail_id.int & ((1 << 76) - 1)))
        for table, column in (
            ("mail", "id"),
            ("ready", "mail_id"),
            ("content", "mail_id"),
            ("event", "mail_id"),
        ):
            with psycopg.connect(place.url, autocommit=True) as connection:
                connection.execute(
                    psycopg.sql.SQL("UPDATE atum.{} SET {} = %s WHERE {} = %s").format(
                        psycopg.sql.Identifier(table),
                        psycopg.sql.Identifier(column),
                        psycopg.sql.Identifier(column),
                    ),
                    (new, mail_id),
                )
        made.append(new)
    return made


def statuses(place: Place) -> dict[str, int]:
    return dict(place.sql("SELECT status, count(*) FROM atum.mail GROUP BY 1"))


def purge(place: Place, *arguments: object, status: int = 0) -> Any:
    answer = place.run("queue", "purge", "--format=json", *arguments)
    assert answer.status == status, answer
    return answer.json


@pytest.mark.parametrize("wrong", ["0", "0s", "-1", "-24h", "", "all", "1.5h", "24 hours", "nan", "1w"])
def test_an_age_that_cannot_be_read_is_wrong_usage_and_purges_nothing(place: Place, wrong: str) -> None:
    """Weakness A16."""
    old(place, place.enqueue(2))
    assert place.run("queue", "purge", "--yes", "--older-than", wrong).status == 2
    assert statuses(place) == {"queued": 2}


def test_no_age_is_wrong_usage_and_purges_nothing(place: Place) -> None:
    """Weakness A16."""
    old(place, place.enqueue(2))
    assert place.run("queue", "purge", "--yes").status == 2
    assert place.run("queue", "purge", "--older-than").status == 2
    assert statuses(place) == {"queued": 2}


def test_without_yes_it_only_counts(place: Place) -> None:
    old(place, place.enqueue(3))
    place.enqueue(2)
    assert purge(place, "--older-than", "24h") == {"purged": False, "by_status": {"queued": 3}}
    assert "repeat with --yes" in place.run("queue", "purge", "--older-than", "24h").out
    assert statuses(place) == {"queued": 5}


def test_old_mails_become_canceled_with_a_reason_and_young_ones_stay(place: Place) -> None:
    """Weaknesses B15 and C14: nothing stays queued that nobody will send."""
    gone = old(place, place.enqueue(3))
    place.enqueue(2)
    done = purge(place, "--older-than", "86400", "--yes", "--by", "ada", "--note", "too late")
    assert (done["canceled"], done["refused"], done["left"]) == (3, 0, 0)
    assert statuses(place) == {"canceled": 3, "queued": 2}
    assert place.sql("SELECT count(*) FROM atum.ready") == [(2,)]
    assert place.sql("SELECT count(*) FROM atum.content") == [(2,)]
    assert place.sql(
        "SELECT DISTINCT cause, detail FROM atum.event WHERE mail_id = ANY(%(ids)s) AND to_status = 'canceled'",
        ids=gone,
    ) == [("canceled", "purged by operator:ada")]
    actions = place.sql("SELECT actor, action, detail->>'reason' FROM atum.audit ORDER BY id")
    assert actions == [
        ("operator:ada", "queue.purge.began", "too late"),
        ("operator:ada", "queue.purge.ended", "too late"),
    ]


def test_what_is_being_posted_is_refused_and_counted_and_what_is_issued_is_canceled(place: Place) -> None:
    """Weakness A16: what is in flight is never taken away from under a worker."""
    place_ids = old(place, place.enqueue(4))
    first, _second = place.issue(mails=2)
    token = place.post(first)
    assert purge(place, "--older-than", "1h")["by_status"] == {"posting": 2, "queued": 2}
    done = purge(place, "--older-than", "1h", "--yes", status=1)
    assert (done["canceled"], done["refused"]) == (2, 2)
    assert place.sql("SELECT state FROM atum.batch") == [("posting",)]
    from tests.command_line import SENT

    place.record(first, token, SENT)
    assert statuses(place) == {"canceled": 2, "sent": 2}
    assert len(place_ids) == 4


def test_unknown_and_scheduled_mails_are_not_touched(place: Place) -> None:
    later = datetime.now(UTC) + timedelta(days=3)
    old(place, place.enqueue(1, send_at=later))
    unknown = old(place, place.enqueue(2))
    for batch in place.issue():
        place.end(batch, **UNKNOWN)
    assert purge(place, "--older-than", "1h", "--yes")["canceled"] == 0
    assert statuses(place) == {"scheduled": 1, "unknown": 2}
    assert len(unknown) == 2


def test_only_the_lane_that_was_named_is_purged(place: Place) -> None:
    old(place, place.enqueue(2))
    old(place, place.enqueue(3, lane="broadcast"))
    assert purge(place, "--older-than", "1h", "--lane", "broadcast", "--yes")["canceled"] == 3
    assert place.sql("SELECT lane, count(*) FROM atum.ready GROUP BY 1") == [("transactional", 2)]
    answer = place.run("queue", "purge", "--older-than", "1h", "--lane", "nowhere", "--yes")
    assert (answer.status, "no mail waits in a lane 'nowhere'" in answer.err) == (1, True)


def test_a_purge_that_was_killed_is_taken_up_where_it_was(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "_AT_ONCE", 2)
    old(place, place.enqueue(7))

    class KilledError(Exception):
        pass

    def die(number: int) -> None:
        raise KilledError

    with database.connect(place.url, name="tests") as connection:
        order = purging.begin(
            connection,
            before=datetime.now(UTC) - timedelta(hours=1),
            lane=None,
            actor="operator:x",
            reason=None,
        )
        with pytest.raises(KilledError):
            purging.work(connection, order, die)
    assert statuses(place) == {"canceled": 2, "queued": 5}
    done = purge(place, "--resume", order.id)
    assert done == {"purged": True, "operation": str(order.id), "canceled": 7, "refused": 0, "left": 0}
    assert statuses(place) == {"canceled": 7}
    again = place.run("queue", "purge", "--resume", order.id)
    assert (again.status, "ended at" in again.err) == (1, True)
