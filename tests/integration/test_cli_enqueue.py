"""`enqueue`: what a file needs to become a mail, and what is said when it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atum_schema.document import encode
from tests.command_line import Place, documents
from tests.system import letters

if TYPE_CHECKING:
    from pathlib import Path

EML = b"From: Shop <shop@example.com>\r\nTo: jane@example.org\r\nSubject: Invoice 7\r\n\r\nThank you.\r\n"


def subjects(place: Place) -> list[str]:
    return sorted(subject for (subject,) in place.sql("SELECT subject FROM atum.mail"))


def test_a_single_file_answers_with_the_id_alone_on_stdout(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "invoice.eml"
    file.write_bytes(EML)
    answer = place.run("enqueue", file)
    assert answer.status == 0
    assert place.sql("SELECT id::text, subject, client FROM atum.mail") == [
        (answer.out.strip(), "Invoice 7", "cli")
    ]
    assert answer.err.strip() == "1 mails accepted, 0 refused"


def test_messages_documents_and_lines_are_found_in_folders_at_any_depth(place: Place, tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "invoice.EML").write_bytes(EML)
    (deep / "one.json").write_bytes(encode(letters(1, subject="document")[0]))
    (tmp_path / "two.jsonl").write_bytes(b"\n" + documents(letters(2, subject="line")) + b"\n  \n")
    (tmp_path / "three.ndjson").write_bytes(documents(letters(1, subject="nd line")))
    (tmp_path / "notes.txt").write_bytes(b"not a mail")
    answer = place.run("enqueue", tmp_path)
    assert answer.status == 0, answer.err
    assert subjects(place) == ["Invoice 7", "document", "line", "line", "nd line"]


def test_what_is_bad_is_named_with_its_reason_and_the_rest_goes_on(place: Place, tmp_path: Path) -> None:
    good, unknown_lane = letters(1, subject="good")[0], letters(1, lane="nowhere")[0]
    (tmp_path / "a.eml").write_bytes(b"Subject: nobody sent this\r\n\r\nHi\r\n")
    (tmp_path / "b.json").write_bytes(encode(good)[:-1] + b',"txt":"x"}')
    (tmp_path / "c.jsonl").write_bytes(documents([good]) + b"nonsense\n" + documents([unknown_lane, good]))
    (tmp_path / "d.txt").write_bytes(b"")
    answer = place.run("enqueue", tmp_path, tmp_path / "d.txt", "--format=json")
    assert answer.status == 1
    assert [one["source"] for one in answer.json["accepted"]] == [
        f"{tmp_path}/c.jsonl:1",
        f"{tmp_path}/c.jsonl:4",
    ]
    reasons = {one["source"].removeprefix(f"{tmp_path}/"): one["reason"] for one in answer.json["refused"]}
    assert reasons.keys() == {"a.eml", "b.json", "c.jsonl:2", "c.jsonl:3", "d.txt"}
    assert reasons["a.eml"].startswith("sender: ")
    assert reasons["b.json"] == "txt: is not a field of a mail"
    assert reasons["c.jsonl:2"].startswith("document: is not JSON")
    assert reasons["c.jsonl:3"] == "lane: is 'nowhere', must be one of transactional, broadcast"
    assert reasons["d.txt"] == "has the suffix '.txt', must be one of .eml, .json, .jsonl, .ndjson"
    assert subjects(place) == ["good", "good"]
    ids = {str(each) for (each,) in place.sql("SELECT id FROM atum.mail")}
    assert {one["id"] for one in answer.json["accepted"]} == ids


def test_for_people_each_refusal_is_a_line_on_stderr(place: Place, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(documents(letters(2)) + b"{}\n")
    answer = place.run("enqueue", tmp_path)
    assert answer.status == 1
    assert answer.out == ""
    assert answer.err.split("\n")[-3:] == [
        f"refused {tmp_path}/a.jsonl:3: version: is missing",
        "2 mails accepted, 1 refused",
        "",
    ]


def test_one_bad_mail_among_hundreds_is_found_and_only_it_is_left_out(place: Place, tmp_path: Path) -> None:
    mails = letters(300)
    mails[123] = letters(1, lane="nowhere")[0]
    mails[260] = letters(1, lane="elsewhere")[0]
    (tmp_path / "many.jsonl").write_bytes(documents(mails))
    answer = place.run("enqueue", tmp_path, "--format=json")
    assert answer.status == 1
    assert [one["source"] for one in answer.json["refused"]] == [
        f"{tmp_path}/many.jsonl:124",
        f"{tmp_path}/many.jsonl:261",
    ]
    accepted = {one["source"]: one["id"] for one in answer.json["accepted"]}
    stored = dict(place.sql("SELECT id::text, to_line FROM atum.mail"))
    assert len(stored) == len(accepted) == 298
    # Ids belong to the files that they are printed beside.
    for number in (1, 123, 125, 300):
        assert stored[accepted[f"{tmp_path}/many.jsonl:{number}"]] == f"r{number - 1}@example.net"


def test_a_dry_run_reads_everything_and_stores_nothing(place: Place, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(documents(letters(3)) + b"{}\n")
    answer = place.run("enqueue", "--dry-run", tmp_path)
    assert answer.status == 1
    assert "3 mails would be accepted, 1 refused" in answer.err
    as_json = place.run("enqueue", "--dry-run", tmp_path, "--format=json").json
    assert as_json["dry_run"] is True
    assert [set(one) for one in as_json["accepted"]] == [{"source"}] * 3
    assert place.sql("SELECT count(*) FROM atum.mail") == [(0,)]


def test_a_dry_run_needs_neither_a_database_nor_keys(tmp_path: Path) -> None:
    from tests.command_line import run

    (tmp_path / "a.jsonl").write_bytes(documents(letters(1)))
    assert run("enqueue", "--dry-run", tmp_path).status == 0


def test_one_key_in_two_files_with_the_same_content_is_one_mail(place: Place, tmp_path: Path) -> None:
    mail = letters(1, idempotency_key="order-7")[0]
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_bytes(encode(mail))
    answer = place.run("enqueue", tmp_path, "--format=json")
    assert answer.status == 0, answer.json
    assert len({one["id"] for one in answer.json["accepted"]}) == 1
    assert len(answer.json["accepted"]) == 2
    assert place.sql("SELECT count(*) FROM atum.mail") == [(1,)]


def test_one_key_in_two_files_with_other_content_refuses_the_second(place: Place, tmp_path: Path) -> None:
    for name in ("a", "b"):
        mail = letters(1, subject=name, idempotency_key="order-7")[0]
        (tmp_path / f"{name}.json").write_bytes(encode(mail))
    answer = place.run("enqueue", tmp_path, "--format=json")
    assert answer.status == 1
    assert [one["source"] for one in answer.json["refused"]] == [f"{tmp_path}/b.json"]
    assert (
        "'order-7' of client 'cli' was used before with different content"
        in (answer.json["refused"][0]["reason"])
    )
    assert subjects(place) == ["a"]


def test_running_again_with_keys_stores_nothing_again(place: Place, tmp_path: Path) -> None:
    mails = [letters(1, idempotency_key=f"order-{number}")[0] for number in range(5)]
    (tmp_path / "a.jsonl").write_bytes(documents(mails))
    first, second = (place.run("enqueue", tmp_path, "--format=json").json for _ in range(2))
    assert first == second
    assert place.sql("SELECT count(*) FROM atum.mail") == [(5,)]


def test_the_client_is_the_scope_of_keys_and_is_in_the_log(place: Place, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(encode(letters(1, idempotency_key="order-7")[0]))
    for client in ("shop", "forum"):
        assert place.run("enqueue", tmp_path, "--client", client).status == 0
    assert sorted(place.sql("SELECT client FROM atum.mail")) == [("forum",), ("shop",)]


def test_a_file_that_is_not_there_is_wrong_usage(place: Place, tmp_path: Path) -> None:
    answer = place.run("enqueue", tmp_path / "nowhere.eml")
    assert answer.status == 2
    assert "nowhere.eml' does not exist" in answer.err
