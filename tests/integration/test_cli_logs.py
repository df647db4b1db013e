"""`logs export`: the whole log for other programs, whatever its size, and nothing that a spreadsheet calculates."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from atum_ops.mails.exporting import COLUMNS
from atum_schema import moves
from atum_schema.moves import Move
from atum_schema.status import Cause
from tests.command_line import DEAD, RETRYING, SENT, Answer, Place, without_ours
from tests.filling import fill

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

# A process that says on stderr, as its last line, how much memory it had at most, in KiB. What getrusage tells would
# include the process that started it.
MEASURED = """
import re, sys
from atum_ops.cli import main
try:
    main(sys.argv[1:])
finally:
    sys.stdout.flush()
    print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1], file=sys.stderr)
"""


def export(place: Place, *arguments: str) -> Answer:
    return place.run("logs", "export", *arguments)


def read(answer: Answer) -> list[dict[str, str]]:
    assert answer.status == 0, answer.err
    return list(csv.DictReader(io.StringIO(answer.out)))


def ids(answer: Answer) -> list[str]:
    return [row["id"] for row in read(answer)]


def test_the_columns_are_those_that_are_documented(place: Place) -> None:
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "operating-mail.md").read_text()
    table = page.partition("| column | is |\n|---|---|\n")[2].partition("\n\n")[0]
    named = [name.strip(" `") for line in table.splitlines() for name in line.split("|")[1].split(",")]
    assert named == list(COLUMNS)
    assert export(place).out == ",".join(COLUMNS) + "\n"


def test_every_recipient_is_in_it_in_full(place: Place) -> None:
    """C15, A6: all of them, with their names, as they were stored."""
    many = ", ".join(f"Person {place} <p{place}@example.org>" for place in range(40))
    (mail_id,) = place.enqueue(
        to=many, cc="Jürgen Höß <jh@example.org>", bcc="audit@example.org", subject="Grüße"
    )
    for form, rows in forms(place).items():
        (row,) = rows
        assert (row["id"], row["to"], row["cc"], row["bcc"]) == (
            str(mail_id),
            many,
            "Jürgen Höß <jh@example.org>",
            "audit@example.org",
        ), form
        assert row["subject"] == "Grüße"


def forms(place: Place, *arguments: str) -> dict[str, list[dict[str, Any]]]:
    lines = export(place, "--format=jsonl", *arguments).out.splitlines()
    return {
        "csv": [dict(row) for row in read(export(place, *arguments))],
        "json": orjson.loads(export(place, "--format=json", *arguments).out),
        "jsonl": [orjson.loads(line) for line in lines],
    }


def test_the_three_forms_tell_the_same_newest_first(place: Place) -> None:
    made = place.ended(DEAD, 2) + place.enqueue(6)
    found = forms(place)
    for form, rows in found.items():
        assert [row["id"] for row in rows] == [str(mail) for mail in reversed(made)], form
        assert [row["status"] for row in rows] == [*["queued"] * 6, "dead", "dead"], form
        assert list(rows[0]) == list(COLUMNS)
    assert found["json"] == found["jsonl"]


def test_an_empty_export_is_still_what_it_says(place: Place) -> None:
    assert forms(place) == {"csv": [], "json": [], "jsonl": []}


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t=", " =", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_no_cell_is_a_formula(place: Place, begin: str) -> None:
    """C18."""
    danger = f'{begin}HYPERLINK("http://evil.example","x")'
    place.enqueue(subject=danger.replace("\t", ""), tag=danger.replace("\t", ""))
    place.sql("UPDATE atum.mail SET reason = %(danger)s, detail = %(danger)s", danger=danger)
    for row in csv.reader(io.StringIO(export(place).out)):
        for cell in row:
            assert cell.lstrip(" ")[:1] not in {*"=+-@\t\r\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"}


def test_failed_means_dead_bounced_and_expired(place: Place) -> None:
    (dead,), (bounced,), (expired,), _ = (
        place.ended(DEAD), place.ended(SENT), place.enqueue(), place.ended(RETRYING)
    )  # fmt: skip
    with place.connection.transaction():
        place.connection.execute("DELETE FROM atum.ready WHERE mail_id = %s", [expired])
        moves.apply(
            place.connection, [Move(bounced, "sent", Cause.BOUNCED), Move(expired, "queued", Cause.EXPIRED)]
        )
    found = export(place, "--status", "failed")
    assert {row["id"]: row["status"] for row in read(found)} == {
        str(dead): "dead", str(bounced): "bounced", str(expired): "expired"
    }  # fmt: skip
    assert ids(export(place, "--status", "failed", "--status", "retrying", "--limit", "1")) != []


def test_search_matches_recipients_subjects_and_codes(place: Place) -> None:
    (dead,) = place.ended(DEAD, to="Ünal <unal@example.org>")
    (retrying,) = place.ended(RETRYING, subject="Rechnung für März", bcc="jane@example.org")
    for words, wanted in {
        "ÜNAL": [dead],
        "jane@": [retrying],
        "märz": [retrying],
        "http_429": [retrying],
        "http_4": [retrying],
        "pm_300": [dead],
        "pm_": [dead],
        "nobody": [],
    }.items():
        assert ids(export(place, "--search", words)) == [str(mail) for mail in wanted], words
    (row,) = read(export(place, "--search", "pm_300"))
    assert (row["http_status"], row["error_code"], row["reason"]) == ("200", "300", "invalid")


def test_the_content_is_in_none_of_them(place: Place) -> None:
    place.enqueue(text="the-words-of-the-body")
    for form in ("csv", "json", "jsonl"):
        assert "the-words" not in export(place, f"--format={form}").out


def test_since_and_limit_narrow_it(place: Place) -> None:
    made = place.enqueue(5)
    assert ids(export(place, "--limit", "2")) == [str(made[4]), str(made[3])]
    assert ids(export(place, "--until", "1h")) == []
    assert len(ids(export(place, "--since", "1h"))) == 5


def test_a_file_is_complete_and_for_its_owner_only(place: Place, tmp_path: Path) -> None:
    place.enqueue(3)
    path = tmp_path / "mails.csv"
    answer = export(place, "--output", str(path))
    assert (answer.status, answer.out) == (0, "")
    assert answer.err.endswith(f"3 mails in {path}\n")
    assert path.read_text() == export(place).out
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_exists_is_replaced_only_by_force(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "mails.csv"
    path.write_text("precious")
    answer = export(place, "--output", str(path))
    assert answer.status == 1
    assert "exists already; to replace it: --force" in answer.err
    assert path.read_text() == "precious"
    assert export(place, "--output", str(path), "--force").status == 0
    assert path.read_text().startswith("id,")


def test_what_fails_leaves_no_file(place: Place, tmp_path: Path) -> None:
    place.environment["ATUM_DATABASE_URL"] = "postgresql://nobody@127.0.0.1:1/none"
    answer = export(place, "--output", str(tmp_path / "mails.csv"))
    assert answer.status == 3
    assert list(tmp_path.iterdir()) == []
    nowhere = export(place, "--output", str(tmp_path / "no" / "mails.csv"))
    assert nowhere.status == 1
    assert "cannot be written: No such file or directory" in nowhere.err


def environment(place: Place) -> dict[str, str]:
    return {**without_ours(os.environ), **place.environment}


def test_memory_does_not_depend_on_how_many_there_are(place: Place, tmp_path: Path) -> None:
    """C16: pages along the ids, never the whole log, never an offset."""
    fill(place.url, 20_000)
    small = peak(place, tmp_path / "small", 20_000)
    fill(place.url, 180_000)
    large = peak(place, tmp_path / "large", 200_000)
    assert large < small * 1.1, (small, large)


def peak(place: Place, path: Path, number: int) -> int:
    """Export so many mails; give the most memory that it took, in KiB."""
    with path.open("wb") as file:
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, "logs", "export", "--format=jsonl"],
            env=environment(place),
            stdout=file,
            stderr=subprocess.PIPE,
            check=True,
            timeout=300,
        )
    with path.open("rb") as file:
        assert sum(1 for _ in file) == number
    path.unlink()
    return int(done.stderr.split()[-1])


def test_a_reader_that_stops_reading_is_no_error_to_talk_about(place: Place) -> None:
    fill(place.url, 20_000)
    process = subprocess.Popen(
        [sys.executable, "-m", "atum_ops", "logs", "export"],
        env=environment(place),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith(b"id,")
    process.stdout.close()
    assert process.wait(60) == 141
    assert process.stderr.read() == b""
    process.stderr.close()


def test_mails_that_come_while_it_runs_are_left_out_and_none_is_missed(place: Place) -> None:
    from atum_ops.mails import exporting
    from atum_ops.selection import Selection

    fill(place.url, 5000)
    seen: list[UUID] = []
    for mails, _ in exporting.pages(place.connection, Selection()):
        seen += [mail.id for mail in mails]
        place.enqueue(3)
    assert len(seen) == len(set(seen)) == 5000
    assert seen == sorted(seen, reverse=True)
