"""`mail why` tells, for every status, where a mail is, on what evidence, and what happens next."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from atum_ops.mails.deciding import Done, Nothing, Order, Refused, Target, decide
from atum_ops.mails.explaining import explain
from atum_ops.mails.facts import Attempt, Child, Facts
from atum_ops.windows import WindowState
from atum_producers.story_store import MailView
from atum_schema.status import Status

NOW = datetime(2026, 11, 28, 12, 0, 0, tzinfo=UTC)
ID = uuid.UUID("01932c5e-7d1a-7000-8000-5f3c1b2a4d6e")
OTHER = uuid.UUID("01932c5e-7d1a-7000-8000-5f3c1b2a4d6f")


def mail(status: str, **fields: Any) -> dict[str, Any]:
    names = (
        "reason",
        "detail",
        "account",
        "resent_from",
        "send_at",
        "expires_at",
        "due_at",
        "finished_at",
        "provider_message_id",
    )
    return {
        "id": ID, "client": "shop", "lane": "transactional", "stream": "outbound", "status": status,
        "accepted_at": NOW - timedelta(hours=3), **dict.fromkeys(names), **fields,
    }  # fmt: skip


def event(cause: str, minutes: float, detail: str | None = None) -> dict[str, Any]:
    return {"at": NOW - timedelta(minutes=minutes), "cause": cause, "detail": detail}


def facts(row: dict[str, Any], batch: dict[str, Any] | None = None, **more: Any) -> Facts:
    view = MailView(
        mail=row, events=more.pop("events", []), recipients=more.pop("recipients", []), batch=batch
    )
    return Facts(view=view, now=NOW, **{"windows": [window()], **more})


def window(**fields: Any) -> WindowState:
    nothing = dict.fromkeys(WindowState.__dataclass_fields__)
    known = {
        "lane": "transactional",
        "account": "default",
        "state": "open",
        "since": NOW - timedelta(minutes=5),
    }
    return WindowState(**{**nothing, **known, **fields})


def attempt(outcome: str, **fields: Any) -> Attempt:
    known = {"batch": OTHER, "outcome": outcome, "charged": True, "posting_at": NOW - timedelta(minutes=10)}
    return Attempt(**{**dict.fromkeys(Attempt._fields), **known, **fields})


SOON = NOW + timedelta(minutes=10)
TABLE: dict[str, tuple[Facts, list[str], list[str], list[str]]] = {
    # status: facts, words of where, words of what comes next, commands
    "scheduled": (
        facts(mail("scheduled", send_at=SOON, expires_at=NOW + timedelta(hours=5))),
        ["2026-11-28 12:10:00 (in 10 minutes)"],
        ["It is due in 10 minutes", "Not sent by 2026-11-28 17:00:00 (in 5 hours), it expires."],
        ["mail cancel", "mail hold"],
    ),
    "queued": (
        facts(mail("queued"), ready_at=NOW - timedelta(seconds=30)),
        ["It is due since 2026-11-28 11:59:30 (30 seconds ago)"],
        ["The lane is open"],
        ["mail cancel", "mail hold"],
    ),
    "sending": (
        facts(
            mail("queued"),
            {"state": "posting", "posting_at": NOW, "claimed_by": "host/7", "lease_until": SOON},
        ),
        ["being posted to the provider since 2026-11-28 12:00:00, by host/7"],
        ["If none comes by 2026-11-28 12:10:00, it is unknown"],
        [],
    ),
    "retrying": (
        facts(mail("retrying", reason="rate_limited"), ready_at=SOON, attempts=[attempt("deferred", http_status=429, account="default")]),
        ["The provider did not take it for now (rate_limited)."],
        ["The next attempt is due 2026-11-28 12:10:00 (in 10 minutes)."],
        ["mail retry", "mail cancel", "mail hold"],
    ),
    "unknown": (
        facts(
            mail("unknown", reason="read_timeout"),
            {"state": "unknown"},
            search_at=SOON, searches=2, on_unknown="hold", attempts=[attempt("unknown")],
        ),
        ["nobody knows yet whether the provider took it (read_timeout)"],
        ["searched for it in 10 minutes", "2 searches that count have not found it", "is held for a person"],
        [],
    ),
    "held": (
        facts(mail("held", reason="not_found"), held_since=NOW - timedelta(minutes=1), attempts=[attempt("unknown")]),
        ["since 2026-11-28 11:59:00", "searches of the provider did not find it"],
        ["Nothing happens by itself", "may make a second copy"],
        ["mail release", "mail cancel"],
    ),
    "sent": (
        facts(mail("sent", finished_at=NOW, provider_message_id="abc"), attempts=[attempt("accepted", http_status=200, code=0, message_id="abc")]),
        ["The provider accepted it at 2026-11-28 12:00:00 (MessageID abc)."],
        ["the provider's webhook tells"],
        [],
    ),
    "delivered": (facts(mail("delivered")), ["The recipient's server took it."], ["it has arrived"], []),
    "bounced": (facts(mail("bounced")), ["refused it for good"], ["suppression"], ["mail resend"]),
    "complained": (facts(mail("complained")), ["called it spam"], ["never sent again"], []),
    "dead": (
        facts(mail("dead", reason="invalid", detail="bad From"), attempts=[attempt("rejected", http_status=422, code=300)]),
        ["the provider refused it for good (invalid): bad From"],
        ["can be replayed"],
        ["dead replay", "mail resend"],
    ),
    "suppressed": (facts(mail("suppressed")), ["must not be mailed in the stream outbound"], ["gone"], ["suppressions list"]),
    "canceled": (facts(mail("canceled", finished_at=NOW, detail="by operator jane")), ["before it was posted (by operator jane)"], ["gone"], []),
    "expired": (facts(mail("expired", expires_at=NOW)), ["it was to be sent by 2026-11-28 12:00:00"], ["gone"], []),
}  # fmt: skip


def test_the_table_has_every_status() -> None:
    assert set(TABLE) == {status.value for status in Status}


@pytest.mark.parametrize("status", TABLE)
def test_it_says_where_what_comes_next_and_what_can_be_done(status: str) -> None:
    given, where, following, commands = TABLE[status]
    told = explain(given)
    assert told.status == status
    assert [words for words in where if words not in " ".join(told.where)] == []
    assert [words for words in following if words not in " ".join(told.next)] == []
    assert [
        command.partition("atum-mailer ")[2].rsplit(" ", 1)[0].split(" --")[0].removesuffix(f" {ID}")
        for command in told.commands
    ] == commands
    assert all(line.endswith((".", "…")) for line in told.where)
    assert told.evidence[0] == "2026-11-28 09:00:00: accepted from shop, for the lane transactional."


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (attempt("deferred", http_status=429, charged=False), "HTTP 429: not now, which costs the mail no attempt."),
        (attempt("rejected", http_status=422, code=300, detail="bad From"), "HTTP 422, ErrorCode 300: refused for good: bad From."),
        (attempt("accepted", http_status=200, code=0, message_id="abc", account="smtp"), "posted to smtp: HTTP 200, MessageID abc: accepted."),
        (attempt("unknown"), "no answer: nobody knows whether it was taken."),
    ],
)  # fmt: skip
def test_each_post_is_told_with_its_answer(one: Attempt, words: str) -> None:
    """C7: from the rows of attempts, at their own times, never from the mail's last state."""
    told = explain(facts(mail("sent"), attempts=[one]))
    assert told.evidence[1].startswith("2026-11-28 11:50:00: posted")
    assert told.evidence[1].endswith(words)


def test_the_evidence_is_in_order_of_time() -> None:
    """C7."""
    recipient = {
        "address": "jane@example.org",
        "facts": [
            {"told_at": None, "noted_at": NOW, "kind": "soft_bounced", "detail": "full", "source": "webhook"}
        ],
    }
    told = explain(
        facts(
            mail("sent"),
            events=[
                event("searched", 8, "1 of 3"),
                event("found", 5),
                event("hurried", 12),
                event("accepted", 20),
            ],
            attempts=[attempt("unknown")],
            recipients=[recipient],
        )
    )
    assert [line.partition(": ")[2] for line in told.evidence[1:]] == [
        "made due at once by a person.",
        "posted: no answer: nobody knows whether it was taken.",
        "searched for at the provider: 1 of 3.",
        "the provider is proven to have it.",
        "jane@example.org soft bounced: full (by webhook).",
    ]


def test_a_lane_that_does_not_send_is_told_with_its_remedy() -> None:
    closed = window(state="paused", reason="token_refused", remedy="set a valid ATUM_POSTMARK_TOKEN")
    told = explain(facts(mail("queued"), windows=[closed]))
    assert "paused since 2026-11-28 11:55:00 (token_refused): set a valid ATUM_POSTMARK_TOKEN." in " ".join(
        told.next
    )
    assert "The lane is open" not in " ".join(told.next)


def test_a_lane_that_nobody_serves_is_told() -> None:
    told = explain(facts(mail("queued", account="smtp"), windows=[]))
    assert "No relay has served the lane transactional with the account smtp yet" in " ".join(told.next)


def test_a_scheduled_mail_whose_time_has_come_is_queued() -> None:
    assert explain(facts(mail("scheduled", send_at=NOW - timedelta(seconds=1)))).status == "queued"


def test_what_it_was_made_of_and_what_was_made_of_it_is_told() -> None:
    told = explain(facts(mail("dead", resent_from=OTHER), children=[Child(OTHER, "sent")]))
    assert f"It is {OTHER}, sent again." in told.where
    assert f"It was sent again as {OTHER}, which is sent." in told.where


def test_a_recipient_that_will_be_left_out_is_named() -> None:
    told = explain(facts(mail("queued"), suppressed=["bob@example.org"]))
    assert "bob@example.org is suppressed in the stream outbound, and will be left out." in told.next


STORED = sorted(set(Status) - {Status.SENDING})


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("status", STORED)
@pytest.mark.parametrize("posting", [False, True])
def test_every_order_on_every_status_has_an_answer_in_words_or_a_move(
    order: Order, status: Status, posting: bool
) -> None:
    target = Target(id=ID, status=status.value, posting=posting, waits_s=0.0, unresolved=0, crashes=0)
    answer = decide(order, target, by="jane")
    if isinstance(answer, Done):
        assert not posting
        assert answer.move.was == status
        assert (answer.move.status == status) is (order is Order.RETRY)
    else:
        assert isinstance(answer, Nothing | Refused)
        assert len(answer.words) > 10


def test_a_mail_that_killed_workers_stays_alone_when_it_is_released() -> None:
    answer = decide(
        Order.RELEASE,
        Target(id=ID, status="held", posting=False, waits_s=60.0, unresolved=0, crashes=2),
        by="jane",
    )
    assert isinstance(answer, Done)
    assert (answer.move.at_most, answer.move.due_s) == (1, 60.0)
