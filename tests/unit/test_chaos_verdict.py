"""The verdict over made-up runs: each damage is counted for what it is, and only evidence excuses a second copy."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from atum_ops.chaos.bound import Limits
from atum_ops.chaos.verdict import Verdict, judge
from atum_ops.reading import Audited
from atum_ops.simulator.records import LedgerRecord

MAIL = UUID(int=7)
FIRST, SECOND = str(UUID(int=101)), str(UUID(int=102))
LIMITS = Limits(request_timeout_s=2.0, index_lag_s=2.0)
ROW = Audited(
    id=MAIL,
    status="sent",
    provider_message_id="message-1",
    in_ready=False,
    batch_state=None,
    batches=0,
    has_content=False,
    has_dead_letter=False,
    last_event="sent",
)


def record(at: float, *, batch: str = FIRST, mail: UUID = MAIL, order: str = "o-1") -> LedgerRecord:
    return LedgerRecord(
        seq=1,
        accepted_at=at,
        message_id="message-1",
        request=1,
        stream="outbound",
        sender="shop@example.com",
        to=("r@example.net",),
        cc=(),
        bcc=(),
        subject="",
        tag="",
        metadata={"atum-mail": str(mail), "atum-batch": batch, "order": order},
    )


def event(at: float, cause: str, *, batch: str | None = None, posted: float | None = None) -> dict[str, Any]:
    counted = "not found, where a later mail was found (search 3 of 3)" if cause == "searched" else None
    return {
        "at": datetime.fromtimestamp(at, UTC),
        "cause": cause,
        "batch_id": None if batch is None else UUID(batch),
        "detail": counted,
        "posting_at": None if posted is None else datetime.fromtimestamp(posted, UTC),
    }


def resent(*, search: float = 20.0, resend: str = "resend_allowed") -> list[dict[str, Any]]:
    """Tell a story: posted at 10, unknown at 12, searched, sent again, posted at 30."""
    return [
        event(9, "accepted"),
        event(12, "outcome_unknown", batch=FIRST, posted=10),
        event(search, "searched", batch=FIRST, posted=10),
        event(21, resend, batch=FIRST, posted=10),
        event(31, "provider_accepted", batch=SECOND, posted=30),
    ]


def verdict(
    *,
    rows: list[Audited] | None = None,
    ledger: list[LedgerRecord] | None = None,
    story: list[dict[str, Any]] | None = None,
    acknowledged: dict[UUID, str] | None = None,
    limits: Limits = LIMITS,
) -> Verdict:
    return judge(
        acknowledged={MAIL: "o-1"} if acknowledged is None else acknowledged,
        rows=[ROW] if rows is None else rows,
        ledger=[record(10)] if ledger is None else ledger,
        story=lambda _: story or [],
        limits=limits,
    )


def counts(result: Verdict) -> tuple[int, int, int, int]:
    return result.lost, result.duplicates, result.undetectable_duplicates, result.unexplained


def test_a_mail_that_was_accepted_once_and_is_sent_is_sound() -> None:
    result = verdict()
    assert result.sound
    assert (result.acknowledged, result.sent, result.findings) == (1, 1, [])


def test_a_mail_that_was_stored_and_never_acknowledged_is_sound() -> None:
    assert verdict(acknowledged={}).sound


def test_an_acknowledged_mail_that_the_log_does_not_have_is_lost() -> None:
    missing = uuid4()
    result = verdict(acknowledged={MAIL: "o-1", missing: "o-2"})
    assert counts(result) == (1, 0, 0, 0)
    assert result.offenders == [missing]


def test_a_mail_that_is_sent_and_that_the_provider_does_not_have_is_lost() -> None:
    assert counts(verdict(ledger=[])) == (1, 0, 0, 0)


def test_a_mail_that_nobody_owns_is_lost() -> None:
    waiting = replace(ROW, status="queued", last_event="queued", has_content=True, provider_message_id=None)
    result = verdict(rows=[waiting], ledger=[])
    assert counts(result) == (1, 0, 0, 0)
    assert result.offenders == [MAIL]


def test_a_mail_that_is_dead_and_that_the_provider_has_is_unexplained() -> None:
    dead = replace(ROW, status="dead", last_event="dead", has_content=True, has_dead_letter=True)
    assert counts(verdict(rows=[replace(dead, provider_message_id=None)])) == (0, 0, 0, 1)


def test_a_mail_of_the_provider_that_the_log_does_not_know_is_unexplained() -> None:
    assert counts(verdict(ledger=[record(10), record(10, mail=uuid4(), order="o-2")])) == (0, 0, 0, 1)


def test_an_end_without_its_event_is_unexplained() -> None:
    assert counts(verdict(rows=[replace(ROW, last_event="queued")])) == (0, 0, 0, 1)


def test_a_message_id_of_another_mail_is_unexplained() -> None:
    assert counts(verdict(rows=[replace(ROW, provider_message_id="message-2")])) == (0, 0, 0, 1)


def test_an_order_that_was_sent_as_two_mails_is_a_duplicate() -> None:
    other = uuid4()
    result = verdict(rows=[ROW, replace(ROW, id=other)], ledger=[record(10), record(11, mail=other)])
    assert counts(result) == (0, 1, 0, 0)


def test_a_second_copy_without_a_settling_is_a_duplicate() -> None:
    story = [
        event(12, "outcome_unknown", batch=FIRST, posted=10),
        event(31, "provider_accepted", batch=SECOND, posted=30),
    ]
    result = verdict(ledger=[record(10.5), record(30.5, batch=SECOND)], story=story)
    assert counts(result) == (0, 1, 0, 0)
    assert result.offenders == [MAIL]


def test_a_second_copy_that_the_search_should_have_prevented_is_a_duplicate() -> None:
    assert counts(verdict(ledger=[record(10.5), record(30.5, batch=SECOND)], story=resent())) == (0, 1, 0, 0)


def test_a_second_copy_in_the_same_batch_is_a_duplicate_whatever_was_settled() -> None:
    assert counts(verdict(ledger=[record(19.5), record(30.5)], story=resent())) == (0, 1, 0, 0)


def test_a_search_that_did_not_count_excuses_nothing() -> None:
    story = [{**one, "detail": "the search failed"} for one in resent()]
    assert counts(verdict(ledger=[record(19.5), record(30.5, batch=SECOND)], story=story)) == (0, 1, 0, 0)


@pytest.mark.parametrize(
    ("case", "first", "search", "resend", "limits"),
    [
        ("(a)", 11.5, 13.0, "resend_allowed", LIMITS),
        ("(b)", 19.5, 20.0, "resend_allowed", replace(LIMITS, freezes=((11.0, 19.4),))),
        ("(c)", 19.5, 20.0, "resend_allowed", replace(LIMITS, freezes=((11.0, 13.0),))),
        ("(c)", 40.0, 20.0, "resend_allowed", LIMITS),
        ("(e)", 10.5, 20.0, "released", LIMITS),
        ("(e)", 10.5, 20.0, "replayed", LIMITS),
    ],
)
def test_a_second_copy_is_inside_the_bound_when_the_evidence_shows_the_case(
    case: str, first: float, search: float, resend: str, limits: Limits
) -> None:
    result = verdict(
        ledger=[record(first), record(30.5, batch=SECOND)],
        story=resent(search=search, resend=resend),
        limits=limits if case != "(a)" else replace(limits, index_lag_s=2.0),
    )
    assert counts(result) == (0, 0, 1, 0)
    assert result.sound
    assert f"{MAIL}: {case} " in result.evidence[0]


def test_one_copy_outside_the_bound_spoils_the_others() -> None:
    ledger = [record(19.5), record(30.5, batch=SECOND), record(31.0, batch=SECOND)]
    assert counts(verdict(ledger=ledger, story=resent())) == (0, 1, 0, 0)
