"""`atum-mailer suppressions`: look, add, lift, and what was done."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import pytest

from atum_ops.csv_cells import cell
from tests.integration.test_suppression_noting import NOW, note, state, word

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command_line import Place


def shown(place: Place, *arguments: object) -> list[str]:
    documents: list[dict[str, Any]] = place.run("suppressions", "list", *arguments, "--format=json").json
    return [one["address"] for one in documents]


def test_one_address_is_suppressed_at_once(place: Place) -> None:
    answer = place.run(
        "suppressions", "add", "Jane@Example.com", "--stream", "outbound", "--note", "by phone", "--by", "kim"
    )
    assert (answer.status, answer.err) == (0, "")
    assert answer.out == "suppressed in outbound: 1; the provider will be told\n"
    assert state(place) == (True, "manual", "add")
    assert place.sql("SELECT actor, action, detail FROM atum.audit") == [
        (
            "operator:kim",
            "suppression.add",
            {"stream": "outbound", "address": "jane@example.com", "note": "by phone"},
        )
    ]


def test_many_are_only_counted_until_somebody_says_yes(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "left.txt"
    file.write_text("# who left\n" + "".join(f"r{number}@example.com\n\n" for number in range(1500)))
    arguments = ("suppressions", "add", "--file", file, "--stream", "broadcast")
    answer = place.run(*arguments)
    assert (answer.status, answer.out) == (
        0,
        "1,500 addresses would be suppressed in broadcast; repeat with --yes to do it\n",
    )
    assert place.sql("SELECT count(*) FROM atum.suppression") == [(0,)]
    assert place.run(*arguments, "--yes").out.startswith("suppressed in broadcast: 1,500;")
    assert place.sql("SELECT count(*) FROM atum.suppression WHERE suppressed") == [(1500,)]
    assert len(shown(place, "--limit", "2000")) == 1500


def test_a_bad_line_is_named_and_nothing_is_done(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "left.txt"
    file.write_text("jane@example.com\nnobody\n")
    answer = place.run("suppressions", "add", "--file", file, "--stream", "broadcast", "--yes")
    assert answer.status == 1
    assert answer.err.startswith("atum-mailer: line 2: the address ")
    assert answer.err.endswith("nothing was done\n")
    assert place.sql("SELECT count(*) FROM atum.suppression") == [(0,)]


def test_what_can_be_lifted_is_and_the_rest_is_named(place: Place) -> None:
    note(place, [word(NOW), word(NOW, address="joe@example.com", reason="complaint")])
    answer = place.run(
        "suppressions",
        "remove",
        "jane@example.com",
        "joe@example.com",
        "kim@example.com",
        "--stream",
        "outbound",
        "--yes",
    )
    assert answer.status == 1
    assert answer.out == "to be lifted in outbound: 1, once the provider has agreed\n"
    assert answer.err.splitlines() == [
        "joe@example.com has complained in outbound: that is never lifted",
        "kim@example.com is not suppressed in outbound",
    ]
    assert state(place) == (True, "hard_bounce", "remove")
    assert state(place, "joe@example.com") == (True, "complaint", None)


def test_adding_who_has_complained_changes_nothing_and_says_so(place: Place) -> None:
    note(place, [word(NOW, reason="complaint")])
    answer = place.run("suppressions", "add", "jane@example.com", "--stream", "outbound")
    assert answer.status == 0
    assert answer.out.endswith("suppressed for good, by a complaint: 1\n")


def test_the_list_is_filtered(place: Place) -> None:
    note(
        place,
        [
            word(NOW),
            word(NOW, address="joe@example.com", reason="complaint"),
            word(NOW, address="kim@example.com", suppressed=False),
            word(NOW)._replace(stream="broadcast"),
        ],
    )
    assert shown(place) == ["jane@example.com", "jane@example.com", "joe@example.com"]
    assert shown(place, "--stream", "outbound") == ["jane@example.com", "joe@example.com"]
    assert shown(place, "--reason", "complaint") == ["joe@example.com"]
    assert shown(place, "--lifted", "--stream", "outbound")[-1] == "kim@example.com"
    assert shown(place, "--address", "JANE@example.com") == ["jane@example.com"] * 2
    answer = place.run("suppressions", "list", "--limit", "1")
    assert "jane@example.com" in answer.out
    assert answer.err == "there may be more than these 1: ask with --limit\n"


def test_a_spreadsheet_takes_no_cell_for_a_formula(place: Place) -> None:
    evil = "=cmd|'/c_calc'!a0@example.com"
    note(place, [word(NOW, address=evil), word(NOW)])
    answer = place.run("suppressions", "list", "--format=csv")
    rows = list(csv.DictReader(io.StringIO(answer.out)))
    assert [row["address"] for row in rows] == [f"'{evil}", "jane@example.com"]
    assert rows[0]["stream"] == "outbound"


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", " =1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff201"])  # fmt: skip
def test_whatever_may_begin_a_formula_is_made_text(text: str) -> None:
    assert cell(text) == f"'{text}"


def test_what_is_harmless_is_written_as_it_is() -> None:
    assert [cell(value) for value in ("jane@example.com", None, True, 5)] == [
        "jane@example.com",
        "",
        "True",
        "5",
    ]


def test_one_address_is_shown_in_every_stream(place: Place) -> None:
    note(place, [word(NOW), word(NOW, suppressed=False)._replace(stream="broadcast")])
    documents = place.run("suppressions", "show", "Jane@example.com", "--format=json").json
    assert [(one["stream"], one["suppressed"]) for one in documents] == [
        ("broadcast", False),
        ("outbound", True),
    ]
    nobody = place.run("suppressions", "show", "kim@example.com")
    assert (nobody.status, nobody.err) == (1, "atum-mailer: nobody ever suppressed that address\n")


def test_the_history_tells_what_people_did(place: Place) -> None:
    for stream in ("outbound", "broadcast"):
        place.run("suppressions", "add", "jane@example.com", "--stream", stream, "--by", "kim")
    place.run(
        "suppressions", "remove", "jane@example.com", "--stream", "outbound", "--by", "joe", "--note", "back"
    )
    arguments = ("suppressions", "history", "Jane@example.com", "--format=json")
    everywhere = place.run(*arguments).json
    assert [(one["actor"], one["action"]) for one in everywhere] == [
        ("operator:kim", "suppression.add"),
        ("operator:kim", "suppression.add"),
        ("operator:joe", "suppression.remove"),
    ]
    assert len(place.run(*arguments, "--stream", "outbound").json) == 2
    assert "note: back" in place.run("suppressions", "history", "jane@example.com").out
    assert place.run("suppressions", "history", "jane@example.com", "--format=csv").out.startswith(
        "at,actor,"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "--stream", "outbound"),
        ("add", "jane@example.com"),
        ("add", "jane@example.com", "--stream", "no.stream"),
        ("add", "jane@example.com", "--stream", "outbound", "--note", "two\nlines"),
        ("add", "jane@example.com", "--stream", "outbound", "--by", " "),
        ("list", "--reason", "spite"),
        ("show",),
    ],
)
def test_wrong_usage_is_status_2(place: Place, arguments: tuple[str, ...]) -> None:
    assert place.run("suppressions", *arguments).status == 2


def test_an_order_that_cannot_wait_for_a_mark_any_longer_says_so(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atum_ops.suppressing._PATIENCE", 1)
    place.enqueue(1)
    place.issue()
    with place.connection.transaction():
        place.connection.execute("UPDATE atum.batch SET publishes = 0")
        answer = place.run("suppressions", "add", "jane@example.com", "--stream", "outbound")
    assert answer.status == 1
    assert "locks the batches" in answer.err
    assert place.sql("SELECT count(*) FROM atum.suppression") == [(0,)]
