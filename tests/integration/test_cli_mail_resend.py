"""`mail resend`: a mail once more as a new one, and what stands against it."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from atum_schema import moves, suppression_orders
from atum_schema.document_content import decode_content
from atum_schema.encryption import Keyring
from atum_schema.mail import Attachment
from atum_schema.moves import Move
from atum_schema.status import Cause
from tests.command_line import DEAD, RETRYING, SENT, UNKNOWN, Answer, Place

if TYPE_CHECKING:
    from uuid import UUID

LETTER: dict[str, Any] = {
    "to": "Jane Doe <jane@example.org>",
    "cc": "Bob <bob@example.org>",
    "bcc": "audit@example.org",
    "subject": "Invoice 7",
    "html": "<p>Hi</p>",
    "attachments": [Attachment(name="a.txt", content=b"seven")],
    "metadata": {"order": "7"},
    "headers": {"X-Order": "7"},
    "tag": "invoice",
    "reply_to": "desk@example.com",
    "lane": "broadcast",
}


def dead(place: Place, **fields: Any) -> UUID:
    ids = place.enqueue(**{**LETTER, **fields})
    (batch,) = place.issue(lane=fields.get("lane", LETTER["lane"]))
    place.end(batch, **DEAD)
    return ids[0]


def resend(place: Place, mail_id: UUID, *arguments: str) -> Answer:
    return place.run("mail", "resend", mail_id, *arguments)


def made(answer: Answer) -> UUID:
    assert answer.status == 0, answer.err
    return uuid.UUID(answer.out.strip())


def row(place: Place, mail_id: UUID, *names: str) -> tuple[Any, ...]:
    (found,) = place.sql("SELECT to_jsonb(m) FROM atum.mail m WHERE id = %(id)s", id=mail_id)
    return tuple(found[0][name] for name in names)


def content(place: Place, mail_id: UUID) -> dict[str, Any]:
    ((key_id, body),) = place.sql("SELECT key_id, body FROM atum.content WHERE mail_id = %(id)s", id=mail_id)
    return decode_content(Keyring(place.environment["ATUM_CONTENT_KEYS"]).decrypt(mail_id, key_id, body))


def mails(place: Place) -> int:
    ((number,),) = place.sql("SELECT count(*) FROM atum.mail")
    return int(number)


def test_the_new_mail_is_the_old_one_once_more_and_is_linked_to_it(place: Place) -> None:
    """A7: cc and bcc stay. A6: the recipients are those that were stored, names and all."""
    old = dead(place)
    new = made(resend(place, old, "--by", "jane", "--note", "asked for"))
    assert content(place, new) == content(place, old)
    assert row(place, new, "to_line", "cc_line", "bcc_line") == (
        "Jane Doe <jane@example.org>",
        "Bob <bob@example.org>",
        "audit@example.org",
    )
    assert row(place, new, "resent_from", "account", "client", "lane", "status", "tag") == (
        str(old), None, "tests", "broadcast", "queued", "invoice",
    )  # fmt: skip
    assert row(place, old, "status", "cycle", "resent_from") == ("dead", 1, None)
    assert place.run("mail", "show", new, "--format=json").json["mail"]["resent_from"] == str(old)
    assert f"It is {old}, sent again." in place.run("mail", "why", new).out
    assert f"It was sent again as {new}, which is queued." in place.run("mail", "why", old).out
    last = place.run("mail", "show", old, "--format=json").json["events"][-1]
    assert (last["cause"], last["from_status"], last["to_status"]) == ("resent", "dead", "dead")
    assert last["detail"] == f"as {new}"
    assert place.sql("SELECT actor, action, detail FROM atum.audit") == [
        (
            "operator:jane",
            "mail.resent",
            {"mail": str(old), "as": str(new), "changed": [], "again": False, "note": "asked for"},
        )
    ]
    (batch,) = place.issue(lane="broadcast")
    place.end(batch, **SENT)
    assert row(place, new, "status") == ("sent",)
    assert place.run("verify").status == 0


def test_what_is_given_is_changed_and_everything_else_stays(place: Place) -> None:
    """A6, A7."""
    old = dead(place)
    answer = resend(
        place, old, "--to", '"Doe, Jane" <jane@Example.net>', "--to", "joe@example.net", "--subject", "Invoice 8",
        "--stream", "invoices", "--allow-recipient-change",
    )  # fmt: skip
    new = made(answer)
    assert row(place, new, "to_line", "cc_line", "bcc_line", "subject", "stream", "lane") == (
        '"Doe, Jane" <jane@example.net>, joe@example.net',
        "Bob <bob@example.org>",
        "audit@example.org",
        "Invoice 8",
        "invoices",
        "broadcast",
    )
    stored = content(place, new)
    assert stored["to"] == ['"Doe, Jane" <jane@example.net>', "joe@example.net"]
    assert (stored["cc"], stored["bcc"]) == (["Bob <bob@example.org>"], ["audit@example.org"])
    kept = {"attachments", "headers", "html", "text", "metadata", "reply_to", "tag", "from"}
    assert {key: stored[key] for key in kept} == {key: content(place, old)[key] for key in kept}


def test_cc_and_bcc_are_left_out_only_by_who_says_so(place: Place) -> None:
    old = dead(place)
    new = made(resend(place, old, "--cc", "", "--bcc", "", "--allow-recipient-change"))
    assert row(place, new, "cc_line", "bcc_line") == (None, None)


@pytest.mark.parametrize(
    "change",
    [
        ("--to", "john@example.org"),
        ("--cc", "john@example.org"),
        ("--bcc", ""),
        ("--to", "jane@example.org."),
    ],
)
def test_other_recipients_need_a_word_of_their_own(place: Place, change: tuple[str, str]) -> None:
    old = dead(place)
    answer = resend(place, old, *change)
    assert answer.status == 1
    assert "--allow-recipient-change" in answer.err or "to[0]" in answer.err
    assert mails(place) == 1


def test_the_same_recipients_in_another_case_are_the_same(place: Place) -> None:
    made(resend(place, dead(place), "--to", "JANE@EXAMPLE.ORG"))


def test_a_recipient_that_is_none_refuses_the_whole_order(place: Place) -> None:
    """A13: nobody is dropped without a word."""
    old = dead(place)
    answer = resend(place, old, "--to", "jane@example.org, joe@", "--allow-recipient-change")
    assert answer.status == 1
    assert "to[1]" in answer.err
    assert mails(place) == 1


def test_a_mail_bound_to_an_account_waits_for_that_one(place: Place) -> None:
    """A1: what goes by another way is a mail with its own outcome in the log."""
    place.environment["ATUM_SMTP_URL"] = "smtp+plain://127.0.0.1:25"
    new = made(resend(place, dead(place), "--provider", "smtp"))
    assert row(place, new, "account") == ("smtp",)
    assert place.sql("SELECT account FROM atum.ready") == [("smtp",)]
    told = place.run("mail", "why", new)
    assert "smtp" in told.out


def test_an_account_that_nobody_has_set_up_is_refused(place: Place) -> None:
    old = dead(place)
    answer = resend(place, old, "--provider", "pigeon")
    assert answer.status == 1
    assert "'pigeon': must be an account of the settings: default" in answer.err
    assert "'smtp': must be" in resend(place, old, "--provider", "smtp").err
    assert mails(place) == 1


def test_the_same_order_twice_is_one_new_mail(place: Place) -> None:
    """A8."""
    old = dead(place)
    first = made(resend(place, old))
    second = resend(place, old)
    assert made(second) == first
    assert "was sent again before" in second.err
    assert mails(place) == 2
    assert len(place.sql("SELECT 1 FROM atum.audit")) == 1
    events = place.run("mail", "show", old, "--format=json").json["events"]
    assert [event["cause"] for event in events].count("resent") == 1


def test_another_order_while_the_first_new_mail_lives_is_refused(place: Place) -> None:
    """A8."""
    old = dead(place)
    first = made(resend(place, old))
    answer = resend(place, old, "--subject", "Invoice 8")
    assert answer.status == 1
    assert (
        f"was sent again already, as {first}, which is queued; if a second copy is wanted: --again"
        in answer.err
    )
    second = made(resend(place, old, "--subject", "Invoice 8", "--again"))
    third = made(resend(place, old, "--subject", "Invoice 8", "--again"))
    assert len({first, second, third}) == 3
    assert mails(place) == 4


def test_when_the_new_mail_has_failed_another_one_may_follow(place: Place) -> None:
    old = dead(place)
    first = made(resend(place, old))
    assert place.run("mail", "cancel", first).status == 0
    second = made(resend(place, old))
    assert second != first
    assert row(place, second, "status", "resent_from") == ("queued", str(old))


def test_ten_at_once_make_one_new_mail(place: Place) -> None:
    """A8: two people who press the button at the same time."""
    from atum_ops.mails import ordering, resend_store
    from atum_ops.mails.resending import Overrides
    from atum_schema import database

    old = dead(place)
    order = resend_store.Order(mail_id=old, overrides=Overrides(), by="jane")
    keyring = Keyring(place.environment["ATUM_CONTENT_KEYS"])
    made_by_all: list[UUID | None] = []

    def one() -> None:
        with database.connect(place.url, name="tests") as connection:
            resent = ordering.in_transaction(
                connection,
                lambda: resend_store.resend(
                    connection, order, keyring=keyring, lanes=["transactional", "broadcast"], dry_run=False
                ),
            )
        made_by_all.append(resent.id)

    threads = [threading.Thread(target=one) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(made_by_all) == 10
    assert len(set(made_by_all)) == 1
    assert mails(place) == 2


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (None, "it is still under way: queued"),
        (RETRYING, "to hurry it: atum-mailer mail retry"),
        (UNKNOWN, "the provider may have it"),
    ],
)
def test_a_mail_that_may_still_arrive_is_sent_again_only_by_who_wants_a_second_copy(
    place: Place, outcome: Any, words: str
) -> None:
    (old,) = place.enqueue() if outcome is None else place.ended(outcome)
    answer = resend(place, old)
    assert answer.status == 1
    assert words in answer.err
    assert "if a second copy is wanted: --again" in answer.err
    assert mails(place) == 1
    made(resend(place, old, "--again"))


def test_a_held_mail_is_released_and_not_sent_again(place: Place) -> None:
    (old,) = place.enqueue()
    assert place.run("mail", "hold", old).status == 0
    answer = resend(place, old)
    assert answer.status == 1
    assert f"to let it go: atum-mailer mail release {old}" in answer.err


def test_content_that_is_gone_names_the_privacy_mode(place: Place) -> None:
    (old,) = place.ended(SENT)
    for arguments in ((), ("--again",)):
        answer = resend(place, old, *arguments)
        assert answer.status == 1
        assert "privacy mode 'metadata'" in answer.err
        assert "ATUM_PRIVACY=full would have kept it" in answer.err
    assert mails(place) == 1


def test_an_accepted_mail_whose_content_was_kept_is_sent_again_by_who_wants_a_second_copy(
    place: Place,
) -> None:
    from atum_workers import store

    (old,) = place.enqueue()
    (batch,) = place.issue()
    token = place.post(batch)
    result = store.Result(**{**dict.fromkeys(store.Result._fields), "mail_id": old, "was": "queued", **SENT})
    keeping = store.Recording(drop_content=False, patience_s=60.0, settle_s=30.0)
    assert store.record(place.connection, batch=batch, token=token, results=[result], recording=keeping)
    answer = resend(place, old)
    assert answer.status == 1
    assert "the provider has accepted it already; if a second copy is wanted: --again" in answer.err
    made(resend(place, old, "--again"))


def test_a_mail_that_somebody_complained_of_is_never_sent_again(place: Place) -> None:
    old = dead(place)
    with place.connection.transaction():
        moves.apply(place.connection, [Move(old, "dead", Cause.COMPLAINED)])
    answer = resend(place, old, "--again")
    assert answer.status == 1
    assert "called it spam; it is never sent again" in answer.err
    assert mails(place) == 1


def test_suppressed_recipients_are_refused_with_the_command_that_shows_them(place: Place) -> None:
    old = dead(place)
    with place.connection.transaction():
        suppression_orders.suppress(
            place.connection,
            "outbound",
            ["bob@example.org"],
            actor="operator:t",
            source="operator",
            note=None,
        )
    answer = resend(place, old)
    assert answer.status == 1
    assert "bob@example.org is suppressed in the stream outbound" in answer.err
    assert "atum-mailer suppressions list --stream outbound --address bob@example.org" in answer.err
    assert mails(place) == 1
    made(resend(place, old, "--cc", "", "--allow-recipient-change"))


def test_a_dry_run_shows_both_and_stores_nothing(place: Place) -> None:
    old = dead(place)
    answer = resend(place, old, "--subject", "Invoice 8", "--dry-run", "--format=json")
    assert answer.status == 0
    assert answer.json["id"] is None
    assert answer.json["fields"]["subject"] == {"old": "Invoice 7", "new": "Invoice 8"}
    assert answer.json["fields"]["bcc"] == {"old": "audit@example.org", "new": "audit@example.org"}
    assert "Invoice 8" in resend(place, old, "--subject", "Invoice 8", "--dry-run").out
    assert mails(place) == 1
    assert place.sql("SELECT 1 FROM atum.audit") == []
    assert place.sql("SELECT 1 FROM atum.idempotency") == []


def test_the_own_time_of_the_old_mail_is_over_and_its_expiry_stays(place: Place) -> None:
    until = datetime.now(UTC) + timedelta(hours=3)
    old = dead(place, expires_at=until)
    new = made(resend(place, old))
    ((send_at, expires_at),) = place.sql(
        "SELECT send_at, expires_at FROM atum.mail WHERE id = %(id)s", id=new
    )
    assert (send_at, expires_at) == (None, until)


def test_an_id_that_nobody_has_is_one_line_and_status_one(place: Place) -> None:
    nobody = uuid.uuid4()
    answer = resend(place, nobody)
    assert (answer.status, answer.err) == (1, f"atum-mailer: no mail has the id {nobody}\n")


def test_neither_words_nor_audit_have_the_body(place: Place) -> None:
    old = dead(place, text="the-words-of-the-body")
    answers = [resend(place, old, "--dry-run"), resend(place, old), resend(place, old, "--format=json")]
    assert all("the-words" not in answer.out + answer.err for answer in answers)
    assert "example.org" not in str(place.sql("SELECT detail FROM atum.audit"))
