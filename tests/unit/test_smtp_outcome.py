"""What a reply, a broken connection or a passed deadline means at each stage of an SMTP transaction: a table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_schema.flow import Failed, Good, Halt, Slow
from atum_workers import smtp_outcome
from atum_workers.flow_report import signal
from atum_workers.outcome import Accepted, Deferred, Rejected, Unclear
from atum_workers.smtp_outcome import (
    CERTIFICATE,
    CREDENTIALS,
    NO_STARTTLS,
    Reply,
    Stage,
    answered,
    broke,
    ended,
)

BEFORE_THE_END = [stage for stage in Stage if stage is not Stage.END]
OPENING = [Stage.CONNECT, Stage.GREETING, Stage.EHLO, Stage.STARTTLS, Stage.AUTH]
OF_THE_MAIL = [Stage.MAIL, Stage.RCPT, Stage.DATA]


@pytest.mark.parametrize("stage", OPENING)
@pytest.mark.parametrize("code", [421, 450, 454, 500, 554])
def test_a_server_that_does_not_let_us_in_costs_no_attempt(stage: Stage, code: int) -> None:
    outcome = answered(stage, Reply(code, "no"))
    assert isinstance(outcome, Deferred)
    assert not outcome.charged
    assert (outcome.code, outcome.http_status) == (None, None)
    assert outcome.reason == (CREDENTIALS if stage is Stage.AUTH and code >= 500 else "not_sent")


@pytest.mark.parametrize("stage", OF_THE_MAIL)
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (421, Deferred(reason="smtp_421", detail="", charged=False)),
        (450, Deferred(reason="smtp_450", detail="", charged=True)),
        (452, Deferred(reason="smtp_452", detail="", charged=True)),
        (550, Rejected(reason="smtp_550", detail="")),
        (552, Rejected(reason="smtp_552", detail="")),
        (530, Deferred(reason=CREDENTIALS, detail="", charged=False)),
        (535, Deferred(reason=CREDENTIALS, detail="", charged=False)),
    ],
)
def test_a_refusal_of_the_mail_is_the_mails_own_and_certainly_not_sent(
    stage: Stage, code: int, expected: Deferred | Rejected
) -> None:
    outcome = answered(stage, Reply(code, "because"))
    assert isinstance(outcome, type(expected))
    assert outcome.reason == expected.reason
    assert outcome.detail == f"SMTP: {stage.value}: {code} because"
    if isinstance(outcome, Deferred) and isinstance(expected, Deferred):
        assert outcome.charged == expected.charged


def test_an_answer_out_of_place_before_the_end_means_not_sent() -> None:
    assert isinstance(answered(Stage.DATA, Reply(250, "ok")), Deferred)
    assert isinstance(answered(Stage.MAIL, Reply(354, "go on")), Deferred)


@pytest.mark.parametrize(
    ("stage", "code"), [(Stage.MAIL, 250), (Stage.RCPT, 251), (Stage.DATA, 354), (Stage.AUTH, 235)]
)
def test_what_goes_on_has_no_outcome_yet(stage: Stage, code: int) -> None:
    assert answered(stage, Reply(code, "go on")) is None


@pytest.mark.parametrize(
    ("code", "kind", "charged"),
    [
        (250, Accepted, None),
        (251, Accepted, None),
        (354, Unclear, None),
        (421, Deferred, False),
        (451, Deferred, True),
        (550, Rejected, None),
        (554, Rejected, None),
        (530, Rejected, None),
    ],
)
def test_the_end_of_the_message_has_a_clear_answer_or_none(
    code: int, kind: type, charged: bool | None
) -> None:
    outcome = ended(Reply(code, "so"), message_id="m@example.com")
    assert type(outcome) is kind
    assert getattr(outcome, "charged", None) == charged


def test_an_accepted_mail_carries_our_message_id_and_no_http_status() -> None:
    outcome = ended(Reply(250, "2.0.0 queued as 4D2F1 for <kim@example.net>"), message_id="m@example.com")
    assert outcome == Accepted(
        "m@example.com", "SMTP: 250 2.0.0 queued as 4D2F1 for <<address>>", http_status=None, code=None
    )


# A5: what was certainly not sent and what nobody knows are told apart by one byte, the final dot.
@pytest.mark.parametrize("stage", BEFORE_THE_END)
@pytest.mark.parametrize("slow", [False, True])
def test_a_connection_that_breaks_before_the_final_dot_has_sent_nothing(stage: Stage, slow: bool) -> None:
    outcome = broke(stage, "ConnectionResetError", slow=slow)
    assert isinstance(outcome, Deferred)
    assert (outcome.reason, outcome.charged, outcome.slow) == ("not_sent", False, slow)


def test_a_connection_that_breaks_after_the_final_dot_leaves_the_mail_unknown() -> None:
    outcome = broke(Stage.END, "TimeoutError", slow=True)
    assert isinstance(outcome, Unclear)
    assert (outcome.reason, outcome.slow) == ("no_answer", True)


@given(st.sampled_from(BEFORE_THE_END), st.integers(200, 599), st.text(max_size=500))
def test_nothing_before_the_end_is_ever_accepted_or_unclear(stage: Stage, code: int, text: str) -> None:
    outcome = answered(stage, Reply(code, text))
    assert outcome is None or isinstance(outcome, Deferred | Rejected)


@given(st.integers(200, 599), st.text(max_size=500))
def test_the_words_of_a_server_are_bounded_and_printable(code: int, text: str) -> None:
    outcome = ended(Reply(code, text), message_id="m@example.com")
    words = outcome.remark if isinstance(outcome, Accepted) else outcome.detail
    assert words is not None
    assert words.isprintable()
    assert len(words) < 400


def test_addresses_are_taken_out_of_the_words_of_a_server() -> None:
    outcome = answered(Stage.RCPT, Reply(550, "5.1.1 <kim@example.net>: no such user"))
    assert isinstance(outcome, Rejected)
    assert "kim" not in outcome.detail


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (smtp_outcome.untrusted("expired"), Halt(CERTIFICATE)),
        (smtp_outcome.without_starttls(), Halt(NO_STARTTLS)),
        (smtp_outcome.without_auth(), Halt(CREDENTIALS)),
        (answered(Stage.AUTH, Reply(535, "no")), Halt(CREDENTIALS)),
        (answered(Stage.GREETING, Reply(554, "no")), Failed()),
        (broke(Stage.CONNECT, "ConnectionRefusedError", slow=False), Failed()),
        (broke(Stage.CONNECT, "TimeoutError", slow=True), Slow("timeout")),
        (answered(Stage.RCPT, Reply(550, "no")), Good(0)),
        (answered(Stage.RCPT, Reply(450, "later")), Good(0)),
    ],
)
def test_the_window_of_the_smtp_relay_is_told_what_each_outcome_says_of_the_server(
    outcome: Deferred | Rejected, expected: object
) -> None:
    assert signal([outcome]) == expected
