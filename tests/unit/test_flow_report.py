"""What the outcomes of a request say about the provider."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_schema.flow import Failed, Good, Halt, Signal, Slow
from atum_workers.classify import Answer, classify
from atum_workers.flow_report import signal
from atum_workers.outcome import Deferred, Outcome, Unclear

OK = {"ErrorCode": 0, "Message": "OK", "MessageID": "0a129aee-e1cd-480d-b08d-4f48548ff48d"}


def refused(code: int) -> dict[str, object]:
    return {"ErrorCode": code, "Message": "no"}


def said(status: int, document: object, count: int, **headers: str) -> Signal:
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    answer = Answer(status=status, headers=headers, body=body)
    return signal(classify(answer, count=count, now=datetime.now(UTC)))


@pytest.mark.parametrize(
    ("status", "document", "count", "expected"),
    [
        (200, [OK, OK], 2, Good(2)),
        (200, [OK, refused(300)], 2, Good(1)),
        (200, [refused(406), refused(300)], 2, Good(0)),
        (422, refused(300), 1, Good(0)),
        (422, refused(402), 5, Good(0)),
        (413, b"<html>", 5, Good(0)),
        (413, b"<html>", 1, Good(0)),
        (422, refused(1101), 1, Good(0)),
        (429, refused(429), 2, Slow("rate_limited")),
        (200, [OK, refused(429)], 2, Slow("rate_limited")),
        (500, refused(101), 2, Failed()),
        (502, b"<html>", 2, Failed()),
        (503, refused(100), 2, Failed()),
        (503, b"<html>", 2, Failed()),
        (200, b"{", 2, Failed()),
        (422, b"", 2, Failed()),
        (401, refused(10), 2, Halt("token_refused")),
        (403, b"<html>", 2, Halt("forbidden")),
        (404, b"", 1, Halt("endpoint_not_found")),
        (415, b"", 1, Halt("media_type_refused")),
        (422, refused(405), 1, Halt("not_allowed_to_send")),
        (422, refused(413), 5, Halt("account_not_approved")),
        (422, refused(422), 5, Halt("server_or_account_invalid")),
        (422, refused(1480), 5, Halt("address_of_caller_not_allowed")),
        (200, [refused(405), refused(300)], 2, Halt("not_allowed_to_send")),
        (200, [refused(405), OK], 2, Good(1)),
        (422, refused(1235), 1, Halt("stream_unknown", sure=False)),
        (200, [refused(400), refused(400)], 2, Halt("sender_not_found", sure=False)),
        (200, [refused(400), refused(300)], 2, Good(0)),
        (200, [refused(400), OK], 2, Good(1)),
        (422, refused(400), 2, Good(0)),
    ],
)
def test_an_answer_says_about_the_provider(
    status: int, document: object, count: int, expected: Signal
) -> None:
    assert said(status, document, count) == expected


def test_retry_after_is_passed_on() -> None:
    assert said(429, refused(429), 2, **{"retry-after": "7"}) == Slow("rate_limited", 7)
    assert said(503, refused(100), 2, **{"retry-after": "7"}) == Failed(7)


def test_no_answer_is_slow_when_time_ran_out_and_else_a_failure() -> None:
    assert signal([Unclear(reason="no_answer", detail="", slow=True)] * 3) == Slow("timeout")
    assert signal([Unclear(reason="no_answer", detail="")] * 3) == Failed()
    frozen = Deferred(reason="not_sent", detail="", charged=False, slow=True)
    assert signal([frozen]) == Slow("timeout")
    assert signal([Deferred(reason="not_sent", detail="", charged=False)]) == Failed()


answers = st.builds(
    Answer,
    status=st.sampled_from([200, 400, 401, 403, 404, 413, 415, 422, 429, 500, 502, 503, 504])
    | st.integers(100, 599),
    headers=st.dictionaries(st.just("retry-after"), st.text(max_size=9)),
    body=st.binary(max_size=20)
    | st.builds(
        orjson.dumps,
        st.lists(st.just(OK) | st.builds(refused, st.integers(0, 2000)), max_size=4)
        | st.builds(refused, st.integers(0, 2000)),
    ),
)


@given(answers, st.integers(1, 4))
def test_every_answer_says_something_and_acceptance_never_counts_against_the_provider(
    answer: Answer, count: int
) -> None:
    outcomes: list[Outcome] = classify(answer, count=count, now=datetime.now(UTC))
    found = signal(outcomes)
    if found == Failed() or isinstance(found, Halt):
        assert not any(type(one).__name__ == "Accepted" for one in outcomes)
