"""`dead replay` and `dead discard`: first what would become of each mail, then just that, once, resumable and audited."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from atum_ops import dead_orders
from atum_ops.dead import Letters
from atum_ops.dead_orders import Kind
from tests.command_line import DEAD, SENT, Place, without_ours
from tests.nodes import eventually
from tests.telling import apply_all, event, tell

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]


def verdicts(place: Place, *arguments: object) -> dict[str, int]:
    """Ask what a replay would come to, and see that asking changed nothing."""
    before = place.sql("SELECT id, status, cycle FROM atum.mail ORDER BY id")
    answer = place.run("dead", "replay", *arguments, "--format=json")
    assert place.sql("SELECT id, status, cycle FROM atum.mail ORDER BY id") == before
    assert place.sql("SELECT count(*) FROM atum.operation WHERE ended_at IS NULL") == [(0,)]
    found: dict[str, int] = answer.json["verdicts"]
    assert answer.status == int(any(name != "would_send" for name in found)), answer.err
    return found


def replay(place: Place, *arguments: object, order: str = "replay") -> dict[str, int]:
    """Do it; give what became of the mails."""
    answer = place.run("dead", order, *arguments, "--yes", "--format=json")
    counts: dict[str, int] = answer.json["counts"]
    done = "replayed" if order == "replay" else "discarded"
    assert answer.status == int(any(number for name, number in counts.items() if name != done)), answer.err
    return counts


def die_again(place: Place) -> None:
    """Deliver what waits, with the same answer as before."""
    for batch in place.issue():
        place.end(batch, **DEAD)


def waiting(place: Place) -> list[UUID]:
    return [mail for (mail,) in place.sql("SELECT mail_id FROM atum.ready ORDER BY mail_id")]


def statuses(place: Place, ids: Sequence[UUID]) -> list[tuple[Any, ...]]:
    return place.sql(
        "SELECT status, cycle, attempts, tries FROM atum.mail WHERE id = ANY(%(ids)s) ORDER BY id",
        ids=list(ids),
    )


def test_a_replayed_mail_waits_in_its_next_cycle_with_its_content_and_is_sent(place: Place) -> None:
    """A11: a dead mail keeps what is sent, whatever the log keeps, until it is sent or given up."""
    (mail,) = place.ended(DEAD)
    assert place.sql("SELECT count(*) FROM atum.content") == [(1,)]
    assert verdicts(place, "--all") == {"would_send": 1}
    assert replay(place, "--all") == {"replayed": 1}
    assert statuses(place, [mail]) == [("queued", 2, 0, 0)]
    assert place.sql("SELECT count(*) FROM atum.dead_letter") == [(0,)]
    for batch in place.issue():
        place.end(batch, **SENT)
    assert statuses(place, [mail]) == [("sent", 2, 1, 1)]
    assert place.sql("SELECT count(*) FROM atum.content") == [(0,)]
    assert verdicts(place, mail) == {"already_delivered": 1}


def test_a_second_replay_of_the_same_letters_sends_nothing_again(place: Place) -> None:
    """A8."""
    ids = place.ended(DEAD, 3)
    assert replay(place, *ids) == {"replayed": 3}
    assert replay(place, *ids) == {"replayed": 0, "under_way": 3}
    assert replay(place, "--all") == {"replayed": 0}
    assert waiting(place) == sorted(ids)
    assert place.sql("SELECT count(*) FROM atum.event WHERE cause = 'replayed'") == [(3,)]


def test_the_dry_run_says_of_each_mail_what_the_replay_then_does(place: Place) -> None:
    good, suppressed, gone, expired, resent, told = place.ended(DEAD, 6)
    place.run("suppressions", "add", "r1@example.net", "--stream", "outbound")
    place.sql("DELETE FROM atum.content WHERE mail_id = %(id)s", id=gone)
    place.sql("UPDATE atum.mail SET expires_at = now() - interval '1 s' WHERE id = %(id)s", id=expired)
    (child,) = place.ended(SENT)
    place.sql("UPDATE atum.mail SET resent_from = %(of)s WHERE id = %(id)s", of=resent, id=child)
    place.sql(
        "INSERT INTO atum.recipient_event (mail_id, recipient, kind, source)"
        " VALUES (%(id)s, 'r5@example.net', 'delivered', 'webhook')",
        id=told,
    )
    answer = place.run("dead", "replay", "--all", "--format=json")
    found = {UUID(one["mail_id"]): one for one in answer.json["mails"]}
    assert {mail: one["verdict"] for mail, one in found.items()} == {
        good: "would_send",
        suppressed: "suppressed",
        gone: "content_gone",
        expired: "expired",
        resent: "already_delivered",
        told: "already_delivered",
    }
    assert found[resent]["detail"] == f"it was sent again as {child}, which is sent"
    assert "@" not in answer.out
    rows = place.run("dead", "replay", "--all", "--format=csv").out.splitlines()
    assert rows[0] == "mail_id,cycle,verdict,detail"
    assert len(rows) == 7
    people = place.run("dead", "replay", "--all").out
    assert "1 of 6 would be replayed; repeat with --yes to replay them" in people
    counts = replay(place, "--all")
    assert counts == {
        "replayed": 1,
        "suppressed": 1,
        "content_gone": 1,
        "expired": 1,
        "already_delivered": 2,
    }
    assert waiting(place) == [good]


def test_a_mail_that_is_partly_suppressed_goes_to_the_others_and_the_dry_run_says_so(place: Place) -> None:
    (mail,) = place.ended(DEAD, to="a@example.net, b@example.net", bcc='"Doe, J." <C@example.net>')
    place.run("suppressions", "add", "c@example.net", "--stream", "outbound")
    (one,) = place.run("dead", "replay", mail, "--format=json").json["mails"]
    assert one["verdict"] == "would_send"
    assert one["detail"] == "1 of 3 recipients is suppressed and would be left out"
    assert replay(place, mail) == {"replayed": 1}


def test_who_bounced_or_complained_is_never_mailed_again(place: Place) -> None:
    """A9: neither as a letter nor by the id of the mail."""
    bounced, complained = place.ended(SENT, 2)
    for mail, kind in ((bounced, "HardBounce"), (complained, "SpamComplaint")):
        ((batch,),) = place.sql("SELECT batch_id FROM atum.attempt WHERE mail_id = %(id)s", id=mail)
        record = "Bounce" if kind == "HardBounce" else kind
        tell(place, event(record, mail, batch))
    apply_all(place)
    assert [row[0] for row in statuses(place, [bounced, complained])] == ["bounced", "complained"]
    assert verdicts(place, "--all") == {}
    assert replay(place, bounced, complained) == {"replayed": 0, "already_delivered": 2}
    assert waiting(place) == []


def test_an_unresolved_attempt_is_settled_before_its_mail_is_replayed(place: Place) -> None:
    (mail,) = place.enqueue()
    (batch,) = place.issue()
    place.post(batch)
    place.sql("UPDATE atum.mail SET status = 'canceled' WHERE id = %(id)s", id=mail)
    assert verdicts(place, mail) == {"under_way": 1}
    assert replay(place, mail) == {"replayed": 0, "under_way": 1}


def test_by_its_id_a_mail_of_another_end_is_replayed_while_its_content_is_there(place: Place) -> None:
    canceled, kept = place.enqueue(2)
    place.mailer.cancel(canceled)
    place.sql("UPDATE atum.mail SET status = 'canceled' WHERE id = %(id)s", id=kept)
    place.sql("DELETE FROM atum.ready")
    assert replay(place, canceled, kept, uuid4()) == {
        "replayed": 1,
        "content_gone": 1,
        "no_such_mail": 1,
    }
    assert statuses(place, [kept]) == [("queued", 2, 0, 0)]


def test_what_cannot_be_replayed_uses_up_no_limit_and_the_oldest_letter_goes_first(place: Place) -> None:
    """I3."""
    ids = place.ended(DEAD, 8)
    place.sql("DELETE FROM atum.content WHERE mail_id = ANY(%(ids)s)", ids=ids[:3])
    # Who died first is not who was enqueued first.
    for age, mail in enumerate(reversed(ids)):
        place.sql(
            "UPDATE atum.dead_letter SET dead_at = dead_at - make_interval(hours => %(age)s) WHERE mail_id = %(id)s",
            age=age,
            id=mail,
        )
    assert verdicts(place, "--all", "--limit", 2) == {"content_gone": 3, "would_send": 2}
    assert replay(place, "--all", "--limit", 2) == {"replayed": 2, "content_gone": 3}
    assert waiting(place) == sorted(ids[3:5])
    assert replay(place, *ids[::-1], "--limit", 1) == {"replayed": 1}
    assert waiting(place) == sorted([*ids[3:5], ids[7]])


@pytest.mark.parametrize(
    ("arguments", "number"),
    [
        (["--reason", "invalid"], 5),
        (["--reason", "exhausted"], 0),
        (["--code", "300"], 5),
        (["--code", "406"], 1),
        (["--lane", "transactional"], 6),
        (["--lane", "broadcast"], 0),
        (["--stream", "outbound"], 5),
        (["--stream", "invoices"], 1),
        (["--tag", "welcome"], 1),
        (["--domain", "example.org"], 1),
        (["--domain", "EXAMPLE.NET"], 5),
        (["--recipient", "R2@example.net"], 1),
        (["--search", "pm_300"], 6),
        (["--since", "1h"], 5),
        (["--until", "1h"], 1),
        (["--since", "3h", "--until", "1h", "--reason", "refused"], 1),
        (["--since", "3h", "--until", "1h", "--reason", "invalid"], 0),
        (["--reason", "invalid", "--domain", "example.net", "--stream", "outbound"], 3),
    ],
)
def test_filters_choose_letters_and_times_are_those_of_dying(
    filtered: Place, arguments: list[str], number: int
) -> None:
    listed = filtered.run("dead", "list", *arguments, "--format=json").json
    assert len(listed) == number
    assert verdicts(filtered, *arguments).get("would_send", 0) == number
    said = filtered.run("dead", "discard", *arguments, "--format=json").json
    assert said["verdicts"].get("would_discard", 0) == number


@pytest.fixture(scope="module")
def filtered(databases: Any) -> Any:
    with databases.fresh() as url:
        place = Place(url)
        place.ended(DEAD, 3)
        place.ended(DEAD, 1, stream="invoices")
        place.ended(DEAD, 1, to="somebody@example.org", tag="welcome")
        (old,) = place.ended(DEAD, 1, to="old@example.net")
        place.sql(
            "UPDATE atum.dead_letter SET dead_at = now() - interval '2 hours', reason = 'refused', code = 406"
            " WHERE mail_id = %(id)s",
            id=old,
        )
        place.sql("UPDATE atum.mail SET reason = 'refused' WHERE id = %(id)s", id=old)
        yield place
        place.close()


def test_the_list_is_newest_first_and_says_what_stands_in_the_queue(place: Place) -> None:
    ids = place.ended(DEAD, 5, tag="welcome")
    place.sql("UPDATE atum.dead_letter SET published_at = now() WHERE mail_id = %(id)s", id=ids[4])
    listed = place.run("dead", "list", "--limit", 4, "--format=json").json
    newest = place.sql(
        "SELECT mail_id::text FROM atum.dead_letter ORDER BY dead_at DESC, mail_id DESC LIMIT 4"
    )
    assert [one["mail_id"] for one in listed] == [mail for (mail,) in newest]
    assert {one["mail_id"]: one["in_queue"] for one in listed}[str(ids[4])] is True
    first = listed[0]
    shown = ("cycle", "lane", "stream", "reason", "code", "attempts", "tag")
    assert [first[name] for name in shown] == [1, "transactional", "outbound", "invalid", 300, 1, "welcome"]
    rows = place.run("dead", "list", "--format=csv").out.splitlines()
    assert rows[0] == "mail_id,cycle,dead_at,lane,stream,reason,code,attempts,tag,in_queue"
    assert len(rows) == 6
    answer = place.run("dead", "list", "--limit", 4)
    assert all(line.rstrip() == line[:120].rstrip() for line in answer.out.splitlines())
    assert "there may be more than these 4" in answer.err
    place.environment["COLUMNS"] = "100"
    lines = place.run("dead", "list", "--limit", 1).out.splitlines()
    assert max(map(len, lines)) <= 100
    assert [line for line in lines if f"│ {listed[0]['mail_id']} │" in line]


def test_a_long_list_is_walked_page_by_page(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atum_ops.dead.SCAN", 3)
    monkeypatch.setattr("atum_ops.dead_orders.SCAN", 3)
    ids = place.ended(DEAD, 10)
    # All at the same moment: their ids part the pages.
    place.sql("UPDATE atum.dead_letter SET dead_at = now()")
    listed = place.run("dead", "list", "--format=json").json
    assert [one["mail_id"] for one in listed] == [str(mail) for mail in sorted(ids, reverse=True)]
    assert verdicts(place, "--all") == {"would_send": 10}


def test_one_letter_is_shown_with_what_a_replay_would_come_to(place: Place) -> None:
    (mail,) = place.ended(DEAD)
    (sent,) = place.ended(SENT)
    shown = place.run("dead", "show", mail, "--format=json").json
    assert (shown["status"], shown["letter"]["reason"]) == ("dead", "invalid")
    assert shown["replay"] == {"verdict": "would_send", "detail": ""}
    assert f"atum-mailer mail show {mail}" in place.run("dead", "show", mail).out
    other = place.run("dead", "show", sent)
    assert "has no dead letter: it is sent, in cycle 1" in other.out
    assert "a replay: already delivered: it is sent" in other.out
    assert place.run("dead", "show", uuid4()).status == 1


def test_what_is_given_up_is_canceled_and_its_content_goes(place: Place) -> None:
    ids = place.ended(DEAD, 3)
    (sent,) = place.ended(SENT)
    assert place.run("dead", "discard", "--all").status == 0
    assert place.sql("SELECT count(*) FROM atum.content") == [(3,)]
    assert replay(place, *ids[:2], sent, order="discard") == {"discarded": 2, "not_dead": 1}
    assert [row[0] for row in statuses(place, ids)] == ["canceled", "canceled", "dead"]
    assert place.sql("SELECT mail_id FROM atum.content") == [(ids[2],)]
    assert place.sql("SELECT mail_id FROM atum.dead_letter") == [(ids[2],)]
    assert verdicts(place, ids[0]) == {"content_gone": 1}


def test_each_order_is_audited_with_who_what_why_and_how_many(place: Place) -> None:
    place.ended(DEAD, 2)
    words = ("--reason", "invalid", "--by", "jane", "--note", "the stream was archived")
    replay(place, *words)
    rows = place.sql("SELECT actor, action, detail FROM atum.audit ORDER BY id")
    assert [(actor, action) for actor, action, _ in rows] == [
        ("operator:jane", "dead.replay.began"),
        ("operator:jane", "dead.replay.ended"),
    ]
    detail = rows[1][2]
    assert detail["selection"] == {"reason": "invalid"}
    assert detail["counts"] == {"replayed": 2}
    assert detail["reason"] == "the stream was archived"
    told = place.sql("SELECT DISTINCT detail FROM atum.event WHERE cause = 'replayed'")
    assert told == [(f"ordered by operator:jane, operation {detail['operation']}",)]


def test_what_dies_again_meanwhile_is_left_to_the_next_order(place: Place) -> None:
    ids = place.ended(DEAD, 6)
    for by_id in (False, True):
        letters = dead_orders.of_mails(place.connection, ids, limit=None) if by_id else Letters()
        order = dead_orders.begin(place.connection, Kind.REPLAY, letters, actor="operator:tests", note=None)
        steps = 0
        course = dead_orders.carry_out(
            place.connection, order, actor="operator:tests", rate=2, sleep=lambda _: None
        )
        for _ in course:
            steps += 1
            die_again(place)
        assert steps == 3
        ended = place.sql("SELECT counts FROM atum.operation WHERE id = %(id)s", id=order.id)
        assert ended == [({"replayed": 6},)]
    assert {row[:2] for row in statuses(place, ids)} == {("dead", 3)}
    assert place.sql("SELECT count(*) FROM atum.event WHERE cause = 'replayed'") == [(12,)]


def test_a_rate_spreads_the_mails_over_time(place: Place) -> None:
    place.ended(DEAD, 6)
    order = dead_orders.begin(place.connection, Kind.REPLAY, Letters(), actor="operator:tests", note=None)
    pauses: list[float] = []
    for progress in dead_orders.carry_out(
        place.connection, order, actor="operator:tests", rate=2, sleep=pauses.append
    ):
        assert progress.looked == 2 * (len(pauses) + 1)
    # Nobody slept, so what is left to wait grows by a second with each two mails.
    assert [round(pause) for pause in pauses] == [1, 2, 3]


def killed_in_the_middle(place: Place, *arguments: str) -> UUID:
    """Begin an order in a process of its own, and kill it when a part is done; give the operation."""
    command = [sys.executable, "-m", "atum_ops", "dead", *arguments, "--yes"]
    environment = {**without_ours(os.environ), **place.environment}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            assert eventually(
                lambda: bool(place.sql("SELECT 1 FROM atum.operation WHERE last IS NOT NULL")), seconds=60
            )
        finally:
            process.kill()
    ((operation,),) = place.sql("SELECT id FROM atum.operation WHERE ended_at IS NULL")
    assert isinstance(operation, UUID)
    return operation


def test_an_order_that_was_killed_is_taken_up_where_it_was_and_replays_none_twice(place: Place) -> None:
    """I4: any number of letters, in parts, with how far it is kept beside them."""
    ids = place.ended(DEAD, 60)
    operation = killed_in_the_middle(place, "replay", "--all", "--rate", "5")
    ((counts,),) = place.sql("SELECT counts FROM atum.operation")
    assert 0 < counts["replayed"] < 60
    assert len(waiting(place)) == counts["replayed"]
    # What it has replayed dies again before somebody takes the order up.
    die_again(place)
    answer = place.run("dead", "replay", "--resume", operation, "--by", "joe", "--format=json")
    assert (answer.status, answer.json["counts"]) == (0, {"replayed": 60})
    assert place.sql("SELECT count(*), count(DISTINCT mail_id) FROM atum.event WHERE cause = 'replayed'") == [
        (60, 60)
    ]
    assert {row[1] for row in statuses(place, ids)} == {2}
    assert place.run("dead", "replay", "--resume", operation).status == 1
    assert place.sql("SELECT actor FROM atum.audit WHERE action = 'dead.replay.ended'") == [("operator:joe",)]


def test_an_order_is_taken_up_by_the_command_that_gave_it_alone(place: Place) -> None:
    place.ended(DEAD)
    order = dead_orders.begin(place.connection, Kind.DISCARD, Letters(), actor="operator:tests", note=None)
    answer = place.run("dead", "replay", "--resume", order.id)
    assert (answer.status, "no operation" in answer.err) == (1, True)
    assert place.run("dead", "discard", "--resume", order.id, "--format=json").json["counts"] == {
        "discarded": 1
    }


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--yes"],
        ["--all", "--reason", "invalid"],
        ["01990c36-5f6e-7c1d-9f6e-2a0b6d3c9e11", "--all"],
        ["01990c36-5f6e-7c1d-9f6e-2a0b6d3c9e11", "--code", "300"],
        ["no-id"],
        ["--all", "--resume", "01990c36-5f6e-7c1d-9f6e-2a0b6d3c9e11"],
        ["--resume", "01990c36-5f6e-7c1d-9f6e-2a0b6d3c9e11", "--limit", "3"],
        ["--all", "--rate", "0"],
        ["--all", "--limit", "0"],
        ["--all", "--note", "two\nlines"],
    ],
)
def test_an_order_that_does_not_say_what_it_means_is_refused(place: Place, arguments: list[str]) -> None:
    place.ended(DEAD)
    assert place.run("dead", "replay", *arguments).status == 2
    assert waiting(place) == []


def test_nothing_to_replay_is_said_and_is_no_failure(place: Place) -> None:
    answer = place.run("dead", "replay", "--all")
    assert (answer.status, answer.out) == (0, "no dead letter matches\n")
    assert replay(place, "--all") == {"replayed": 0}
