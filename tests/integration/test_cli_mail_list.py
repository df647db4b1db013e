"""`mail list`: finding mails, at a cost that does not depend on how many there are; `mail why` on real mails."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atum_ops.mails import log_store
from tests.command_line import DEAD, RETRYING, SENT, UNKNOWN, Answer, Place
from tests.filling import fill

if TYPE_CHECKING:
    from uuid import UUID

    import pytest


def listed(place: Place, *arguments: object) -> Answer:
    answer = place.run("mail", "list", "--format=json", *arguments)
    assert answer.status == 0, answer.err
    return answer


def ids(place: Place, *arguments: object) -> list[str]:
    return [mail["id"] for mail in listed(place, *arguments).json]


def test_mails_are_listed_newest_first_with_all_their_recipients(place: Place) -> None:
    """C15."""
    many = ", ".join(f"p{number}@example.org" for number in range(30))
    first, second = place.enqueue(to=many, bcc="audit@example.org") + place.enqueue(subject="Zweite")
    found = listed(place).json
    assert [mail["id"] for mail in found] == [str(second), str(first)]
    assert (found[1]["to"], found[1]["bcc"]) == (many, "audit@example.org")


FILTERS: list[tuple[tuple[str, ...], list[str]]] = [
    (("--status", "dead"), ["dead"]),
    (("--status", "failed"), ["dead"]),
    (("--status", "held"), ["held"]),
    (("--status", "held", "--status", "dead"), ["held", "dead"]),
    (("--status", "sending"), ["sending"]),
    (("--status", "unknown", "--status", "sent"), ["sent", "unknown"]),
    (("--recipient", "DEAD@example.org"), ["dead"]),
    (("--recipient", "ead@example.org"), []),
    (("--domain", "example.net"), ["sending"]),
    (("--tag", "t-held"), ["held"]),
    (("--reason", "invalid"), ["dead"]),
    (("--search", "HELD"), ["held"]),
    (("--search", "http_200"), ["sent", "dead"]),
    (("--search", "pm_300"), ["dead"]),
    (("--client", "nobody"), []),
    (("--lane", "broadcast"), []),
    (("--status", "dead", "--tag", "t-held"), []),
]


def test_filters_find_what_they_say(place: Place) -> None:
    made: dict[str, UUID] = {}
    for name, outcome in (("unknown", UNKNOWN), ("dead", DEAD), ("sent", SENT), ("held", None)):
        fields: dict[str, Any] = {"to": f"{name}@example.org", "tag": f"t-{name}", "subject": f"About {name}"}
        made[name] = (place.enqueue(**fields) if outcome is None else place.ended(outcome, **fields))[0]
    assert place.run("mail", "hold", made["held"]).status == 0
    (made["sending"],) = place.enqueue()
    place.issue()
    for arguments, wanted in FILTERS:
        assert ids(place, *arguments) == [str(made[name]) for name in wanted], arguments


def test_pages_follow_each_other_to_the_end(place: Place) -> None:
    """C16: along the ids, never by an offset."""
    made = [str(mail) for mail in reversed(place.enqueue(7))]
    seen: list[str] = []
    before: tuple[str, ...] = ()
    for _ in range(4):
        answer = listed(place, "--limit", "3", *before)
        page = [mail["id"] for mail in answer.json]
        seen += page
        place.enqueue(1)
        if not answer.err:
            break
        assert answer.err.endswith(f"--before {page[-1]}\n")
        before = ("--before", page[-1])
    assert seen == made
    assert before == ("--before", made[5])


def test_a_page_looks_at_so_many_mails_and_says_how_far_it_came(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    (old,) = place.enqueue(subject="needle")
    place.enqueue(20)
    monkeypatch.setattr(log_store.page, "__kwdefaults__", {"before": None, "scan": 10})
    answer = listed(place, "--search", "needle")
    assert answer.json == []
    assert "go on with: --before" in answer.err
    before = answer.err.rsplit(" ", 1)[1].strip()
    answer = listed(place, "--search", "needle", "--before", before)
    assert answer.json == []
    before = answer.err.rsplit(" ", 1)[1].strip()
    assert ids(place, "--search", "needle", "--before", before) == [str(old)]


def test_dead_and_held_mails_are_found_behind_any_number_of_others(place: Place) -> None:
    (dead,), (held,) = place.ended(DEAD), place.enqueue()
    place.run("mail", "hold", held)
    place.enqueue(30)
    for status, mail in (("dead", dead), ("held", held)):
        page = log_store.page(place.connection, _selection(status), limit=5, scan=5)
        assert [found.id for found in page.mails] == [mail]
        assert page.before is None


def _selection(status: str) -> Any:
    from atum_ops.selection import Selection

    return Selection(statuses=(status,))


def test_the_table_keeps_ids_whole_and_fits_its_width(place: Place) -> None:
    (mail_id,) = place.enqueue(
        to=", ".join(f"person-{n}@example.org" for n in range(9)), subject="word " * 30
    )
    place.environment["COLUMNS"] = "120"
    out = place.run("mail", "list").out
    assert str(mail_id) in out
    assert max(map(len, out.splitlines())) <= 120


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_part_of_a_text_finds_it_in_any_case_and_as_it_is_written(
    place: Place, data: st.DataObject
) -> None:
    """C15: whatever the script, and whatever the characters mean in a pattern."""
    text = data.draw(
        st.text(st.sampled_from(r"aZ9 .*+?()[]{}\^$|-_%'&~#äÖßéЖжİΣσ漢"), min_size=1, max_size=12)
    )
    start = data.draw(st.integers(0, len(text) - 1))
    part = text[start : data.draw(st.integers(start + 1, len(text)))]
    # What has no single other case is looked for as it is.
    other = "".join(
        c.swapcase() if len(c.swapcase()) == len(c.swapcase().swapcase()) == 1 else c for c in part
    )
    for words in {part, other}:
        assert found(place, text, words), (text, words)
    assert not found(place, text, part + "☃")


def found(place: Place, text: str, words: str) -> bool:
    from atum_ops.selection import Selection

    values = {"text": text, "search": Selection(search=words).values()["search"]}
    row = place.connection.execute("SELECT lower(%(text)s) ~ %(search)s", values).fetchone()
    return row is not None and bool(row[0])


def test_a_status_that_there_is_not_is_named(place: Place) -> None:
    answer = place.run("mail", "list", "--status", "gone")
    assert answer.status == 1
    assert "status 'gone': must be one of" in answer.err


def test_a_long_log_is_listed_as_fast_as_a_short_one(place: Place) -> None:
    """C16: what is read does not grow with the log."""
    fill(place.url, 30_000)
    plan = place.connection.execute(
        b"EXPLAIN (ANALYZE, FORMAT JSON) " + log_store.REACH.encode().replace(b"%(before)s", b"'ffffffff-ffff-ffff-ffff-ffffffffffff'")
        .replace(b"%(first)s", b"'00000000-0000-0000-0000-000000000000'")
        .replace(b"%(last)s", b"'ffffffff-ffff-ffff-ffff-ffffffffffff'").replace(b"%(scan)s", b"1000")
    ).fetchone()  # fmt: skip
    assert plan is not None
    assert plan[0][0]["Plan"]["Actual Rows"] == 1
    assert _most_rows(plan[0][0]["Plan"]) <= 1000


def _most_rows(node: dict[str, Any]) -> float:
    return max([float(node["Actual Rows"]), *map(_most_rows, node.get("Plans", ()))])


# mail why


def why(place: Place, mail_id: UUID) -> Any:
    answer = place.run("mail", "why", mail_id, "--format=json")
    assert answer.status == 0, answer.err
    return answer.json


def test_a_mail_with_a_past_is_explained_by_its_own_rows(place: Place) -> None:
    """C7."""
    (mail_id,) = place.ended(RETRYING)
    assert place.run("mail", "retry", mail_id, "--by", "jane").status == 0
    (batch,) = place.issue()
    place.end(batch, **{**UNKNOWN, "was": "retrying"})
    told = why(place, mail_id)
    assert told["status"] == "unknown"
    assert [line.partition(": ")[2].partition(":")[0] for line in told["evidence"]] == [
        "accepted from tests, for the lane transactional.",
        "posted to default",
        "made due at once by a person",
        "posted to default",
    ]
    assert "HTTP 429: not now" in told["evidence"][1]
    assert "no answer: nobody knows whether it was taken" in told["evidence"][3]
    assert "The provider is searched for it" in told["next"][0]
    text = place.run("mail", "why", mail_id).out
    assert text.startswith(f"Mail {mail_id} is unknown.\n")
    for line in (*told["where"], *told["evidence"]):
        assert f"  {line}\n" in text


def test_what_is_over_is_not_told_as_if_it_were_still_so(place: Place) -> None:
    """C6: a mail that was sent at last has no due time, no old reason and no retry to come."""
    (mail_id,) = place.ended(RETRYING)
    place.run("mail", "retry", mail_id)
    (batch,) = place.issue()
    place.end(batch, **{**SENT, "was": "retrying"})
    told = why(place, mail_id)
    assert "rate_limited" not in " ".join(told["where"] + told["next"])
    assert "due" not in " ".join(told["where"] + told["next"])
    assert told["commands"] == []


def test_a_mail_in_a_closed_lane_is_told_what_mends_it(place: Place) -> None:
    from atum_schema import flow_store

    (mail_id,) = place.enqueue()
    flow_store.ensure(place.connection, lane="transactional", account="default", ceiling=8, rate=None)
    assert place.run("queue", "pause", "transactional", "--reason", "wrong prices", "--by", "ann").status == 0
    told = " ".join(why(place, mail_id)["next"])
    assert "The lane transactional is paused since" in told
    assert "paused by ann; to end it: atum-mailer queue resume transactional" in told


def test_a_mail_held_back_says_by_whom_and_what_can_be_done(place: Place) -> None:
    (mail_id,) = place.enqueue()
    place.run("mail", "hold", mail_id, "--by", "jane")
    told = why(place, mail_id)
    assert "held back by a person since" in told["where"][0]
    assert "by operator jane" in told["where"][0]
    assert told["commands"] == [f"atum-mailer mail release {mail_id}", f"atum-mailer mail cancel {mail_id}"]


def test_a_scheduled_mail_is_told_its_time(place: Place) -> None:
    later = datetime.now(UTC) + timedelta(hours=5)
    (mail_id,) = place.enqueue(send_at=later)
    told = why(place, mail_id)
    assert told["status"] == "scheduled"
    assert f"{later:%Y-%m-%d %H:%M:%S}" in told["where"][0]


def test_an_id_that_nobody_has_is_one_line_and_status_one(place: Place) -> None:
    answer = place.run("mail", "why", "01932c5e-7d1a-7000-8000-5f3c1b2a4d6e")
    assert (answer.status, answer.out) == (1, "")
    assert answer.err == "atum-mailer: no mail has the id 01932c5e-7d1a-7000-8000-5f3c1b2a4d6e\n"


def test_the_story_has_no_word_of_the_body(place: Place) -> None:
    (mail_id,) = place.enqueue(text="the-words-of-the-body")
    assert "the-words" not in place.run("mail", "why", mail_id).out
    assert orjson.dumps(why(place, mail_id))
