"""Every documented answer of Postmark, and what it means for the mail; written by hand from its documentation."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import orjson
import pytest

from atum_workers.classify import Answer, classify
from atum_workers.outcome import Accepted, Deferred, Outcome, Rejected, Unclear

NOW: Final = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
HTML: Final = b"<html><body><h1>Bad Gateway</h1></body></html>"
MESSAGE_ID: Final = "b7bc2f4a-e38e-4336-af7d-e6c392c2f817"
OK: Final[dict[str, Any]] = {
    "To": "a@example.com",
    "SubmittedAt": "2026-11-05T16:33:54.9070259Z",
    "MessageID": MESSAGE_ID,
    "ErrorCode": 0,
    "Message": "OK",
}
DELAYED: Final[dict[str, Any]] = {
    "Message": "Message accepted, but delivery may be delayed.",
    "MessageID": MESSAGE_ID,
    "SubmittedAt": "2026-11-05T16:33:54.9070259Z",
    "To": "a@example.com",
}

# ErrorCodes of a 422 answer to a single mail, by what they ask for.
DEAD_AT_ONCE: Final = {
    "this mail will never be taken": (300, 406, 411, 701, 702, 703, 1109, 1120, 1121, 1122, 1123),
    "a fault of ours": (402, 403, 409, 410, 700),
    "a code that nobody documented": (1, 7777, 999_999),
}
# Somebody has to change the sender, the stream or the template of the mail.
WAITS_FOR_OPERATOR: Final = (400, 401, 412, 1101, 1235, 1236)
# Nothing that this account sends is taken, whatever the mail: an outage of ours.
ACCOUNT_IS_CLOSED: Final = (10, 405, 413, 422, 1480)
NOT_NOW: Final = (100, 429)


def answered(
    status: int, body: Any, *, count: int = 1, headers: dict[str, str] | None = None
) -> list[Outcome]:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return classify(Answer(status=status, headers=headers or {}, body=raw), count=count, now=NOW)


def the(outcomes: list[Outcome]) -> Outcome:
    """The one outcome that all mails of the request share."""
    assert all(outcome == outcomes[0] for outcome in outcomes)
    return outcomes[0]


def error(code: int | str, message: str = "no") -> dict[str, Any]:
    return {"ErrorCode": code, "Message": message}


def test_ok_is_an_acceptance_with_its_message_id_and_no_remark() -> None:
    assert answered(200, OK) == [Accepted(message_id=MESSAGE_ID, remark=None)]


def test_a_batch_answer_is_read_item_by_item_in_order() -> None:
    second = {**OK, "MessageID": "second"}
    refused = error(406, "You tried to send to a recipient that has been marked as inactive. ")
    first, middle, last = answered(200, [OK, refused, second], count=3)
    assert first == Accepted(message_id=MESSAGE_ID)
    assert isinstance(middle, Rejected)
    assert (middle.reason, middle.code, middle.http_status) == ("recipient_inactive", 406, 200)
    assert last == Accepted(message_id="second")


def test_a_delayed_acceptance_has_no_error_code_and_is_an_acceptance() -> None:
    assert answered(200, DELAYED) == [
        Accepted(message_id=MESSAGE_ID, remark="Message accepted, but delivery may be delayed.")
    ]


@pytest.mark.parametrize(
    "message",
    [
        "Message OK, but will not deliver to these inactive addresses: jane@example.org, bob@example.net",
        (
            "Message OK, but will not deliver to these inactive addresses: jane@example.org, bob@example.net. "
            "Inactive recipients are ones that have generated a hard bounce or a spam complaint."
        ),
    ],
)
def test_a_partial_acceptance_is_an_acceptance_whose_remark_hides_the_addresses(message: str) -> None:
    (outcome,) = answered(200, {**OK, "Message": message})
    assert isinstance(outcome, Accepted)
    assert outcome.remark is not None
    assert outcome.remark.startswith(
        "Message OK, but will not deliver to these inactive addresses: <address>"
    )
    assert "@" not in outcome.remark


def test_the_test_token_is_answered_with_an_acceptance_that_says_so() -> None:
    assert answered(200, {**OK, "Message": "Test job accepted"}) == [
        Accepted(message_id=MESSAGE_ID, remark="Test job accepted")
    ]


def test_a_success_without_to_is_an_acceptance() -> None:
    without_to = {key: value for key, value in OK.items() if key != "To"}
    assert isinstance(the(answered(200, without_to)), Accepted)


def test_an_error_code_written_as_a_string_is_read() -> None:
    assert isinstance(the(answered(200, {**OK, "ErrorCode": "0"})), Accepted)
    refused = the(answered(200, [error("300"), error("300")], count=2))
    assert isinstance(refused, Rejected)
    assert refused.code == 300


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'[{"ErrorCode":0,"MessageID":"one","Mess',
        HTML,
        orjson.dumps([OK]),
        orjson.dumps([OK, OK, OK]),
        orjson.dumps(OK),
        b'"OK"',
    ],
)
def test_a_200_that_does_not_match_the_request_is_unclear_for_every_mail(body: bytes) -> None:
    outcome = the(answered(200, body, count=2))
    assert isinstance(outcome, Unclear)
    assert outcome.reason == "answer_does_not_match"


@pytest.mark.parametrize(
    "item",
    [
        None,
        "OK",
        {},
        {"ErrorCode": 0, "Message": "OK"},
        {"ErrorCode": 0, "MessageID": ""},
        {"ErrorCode": 0, "MessageID": None},
        {"ErrorCode": None, "MessageID": "m"},
        {"ErrorCode": 300, "MessageID": "m"},
        {"ErrorCode": -1, "Message": "?"},
        {"ErrorCode": True, "Message": "?"},
        {"ErrorCode": 2**40, "Message": "?"},
    ],
)
def test_an_item_that_is_neither_clear_yes_nor_clear_no_is_unclear_alone(item: Any) -> None:
    unclear, fine = answered(200, [item, OK], count=2)
    assert isinstance(unclear, Unclear)
    assert unclear.reason == "answer_unreadable"
    assert isinstance(fine, Accepted)


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (401, error(10), "token_refused"),
        (403, HTML, "forbidden"),
        (404, HTML, "endpoint_not_found"),
        (415, HTML, "media_type_refused"),
        (429, error(429), "rate_limited"),
        (429, HTML, "rate_limited"),
        (503, error(100), "maintenance"),
    ],
)
@pytest.mark.parametrize("count", [1, 3])
def test_a_refusal_of_everybody_is_not_taken_not_charged_and_splits_no_batch(
    status: int, body: Any, reason: str, count: int
) -> None:
    outcome = the(answered(status, body, count=count))
    assert isinstance(outcome, Deferred)
    assert (outcome.reason, outcome.http_status) == (reason, status)
    assert not outcome.charged
    assert not outcome.split


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, error(101, "Error ID: 4711")),
        (500, HTML),
        (502, HTML),
        (504, HTML),
        (503, HTML),
        (503, error(101)),
        (599, b""),
        (400, HTML),
        (402, b""),
        (408, b""),
        (204, b""),
        (201, OK),
        (307, b""),
        (100, b""),
    ],
)
def test_what_does_not_exclude_acceptance_is_unclear(status: int, body: Any) -> None:
    outcome = the(answered(status, body, count=2))
    assert isinstance(outcome, Unclear)
    assert (outcome.reason, outcome.http_status) == (f"http_{status}", status)


def test_a_mail_that_is_too_large_alone_is_dead() -> None:
    (outcome,) = answered(413, HTML)
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "too_large"


def test_a_batch_that_is_too_large_is_split_at_no_charge() -> None:
    outcome = the(answered(413, HTML, count=2))
    assert isinstance(outcome, Deferred)
    assert outcome.split
    assert not outcome.charged


@pytest.mark.parametrize("code", [code for codes in DEAD_AT_ONCE.values() for code in codes])
def test_a_single_mail_that_is_refused_for_good_is_dead_with_its_code(code: int) -> None:
    (outcome,) = answered(422, error(code))
    assert isinstance(outcome, Rejected)
    assert (outcome.code, outcome.http_status) == (code, 422)


@pytest.mark.parametrize("code", WAITS_FOR_OPERATOR)
def test_what_an_operator_can_mend_does_not_kill_the_mail(code: int) -> None:
    (single,) = answered(422, error(code))
    assert isinstance(single, Deferred)
    assert single.code == code
    in_batch, fine = answered(200, [error(code), OK], count=2)
    assert isinstance(in_batch, Deferred)
    assert isinstance(fine, Accepted)


@pytest.mark.parametrize("code", [*NOT_NOW, *ACCOUNT_IS_CLOSED])
def test_what_is_not_the_fault_of_a_mail_costs_it_nothing_and_splits_no_batch(code: int) -> None:
    for outcome in (
        the(answered(422, error(code))),
        the(answered(422, error(code), count=3)),
        answered(200, [error(code), OK], count=2)[0],
    ):
        assert isinstance(outcome, Deferred)
        assert outcome.code == code
        assert not outcome.charged
        assert not outcome.split


@pytest.mark.parametrize("count", [1, 3])
def test_an_internal_error_says_nothing_about_acceptance_wherever_its_code_appears(count: int) -> None:
    assert isinstance(the(answered(422, error(101), count=count)), Unclear)
    item, fine = answered(200, [error(101, "Error ID: 4711"), OK], count=2)
    assert isinstance(item, Unclear)
    assert isinstance(fine, Accepted)


def test_a_number_too_long_to_be_a_code_is_none() -> None:
    endless = b'{"ErrorCode":"' + b"1" * 5000 + b'"}'
    for status in (200, 422, 503):
        assert isinstance(the(answered(status, endless)), Unclear)


@pytest.mark.parametrize("message_id", ["a\x00b", "m" * 5000, "mé", " \n"])
def test_a_message_id_that_the_log_cannot_hold_is_no_clear_acceptance(message_id: str) -> None:
    assert isinstance(the(answered(200, {**OK, "MessageID": message_id})), Unclear)


@pytest.mark.parametrize("code", [*DEAD_AT_ONCE["this mail will never be taken"], 402, 403, 410, 7777])
def test_a_batch_that_is_refused_as_a_whole_kills_no_mail_it_is_halved_at_no_charge(code: int) -> None:
    outcome = the(answered(422, error(code), count=3))
    assert isinstance(outcome, Deferred)
    assert outcome.split
    assert not outcome.charged
    assert outcome.code == code


@pytest.mark.parametrize("body", [b"", HTML, b"[]", b"{}", {"Message": "no code"}])
def test_a_422_without_a_code_is_unclear(body: Any) -> None:
    assert isinstance(the(answered(422, body)), Unclear)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (300, "invalid_mail"),
        (406, "recipient_inactive"),
        (411, "attachment_type_forbidden"),
        (1123, "template_and_body"),
        (7777, "unknown_error_code"),
    ],
)
def test_a_refusal_has_a_stable_word_and_the_providers_own(code: int, reason: str) -> None:
    (outcome,) = answered(422, error(code, "Invalid 'To' address: 'jane@example.org'."))
    assert outcome == Rejected(
        reason=reason, detail="Invalid 'To' address: '<address>'.", http_status=422, code=code
    )


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("17", 17.0),
        (" 17 ", 17.0),
        ("86401", 86_400.0),
        ("9" * 400, 86_400.0),
        ("Wed, 25 Nov 2026 12:00:30 GMT", 30.0),
        ("Wed, 25 Nov 2026 11:00:00 GMT", 0.0),
        ("Wed, 25 Nov 2099 12:00:00 GMT", 86_400.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999999999999", None),
        ("Mon, 99999999999 Jan 2024 1:1:1 GMT", None),
        ("١٧", None),  # noqa: RUF001  digits, and no ASCII ones
        ("Wed, 25 Nov 2026 12:00:30 -0000", None),
    ],
)
@pytest.mark.parametrize("status", [422, 429, 503])
def test_retry_after_is_read_as_seconds_or_as_a_date_and_nonsense_is_ignored(
    status: int, value: str, seconds: float | None
) -> None:
    outcome = the(answered(status, error(100), headers={"retry-after": value}, count=2))
    assert isinstance(outcome, Deferred)
    assert outcome.retry_after == seconds
