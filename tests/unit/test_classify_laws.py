"""Whatever comes back, every mail has an outcome, and nothing is believed that was not said."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from hypothesis import given
from hypothesis import strategies as st

from atum_schema.scrub import scrub
from atum_workers.classify import Answer, classify
from atum_workers.outcome import Accepted, Deferred, Outcome, Rejected, Unclear

NOW: Final = datetime(2026, 11, 25, tzinfo=UTC)
CODES: Final = [0, 10, 100, 101, 300, 401, 402, 406, 410, 412, 413, 429, 1235, 7777, -1, 2**31, 2**64]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
RESULT = st.fixed_dictionaries(
    {},
    optional={
        "ErrorCode": st.sampled_from([code for code in CODES if code < 2**64]) | st.text(max_size=5) | JSON,
        "MessageID": st.uuids().map(str) | JSON,
        "Message": st.text() | JSON,
        "To": st.emails(),
    },
)
BODY = st.binary() | JSON.map(orjson.dumps) | RESULT.map(orjson.dumps)
BODY |= st.lists(RESULT | JSON, max_size=5).map(orjson.dumps)
STATUS = st.sampled_from([200, 401, 403, 404, 413, 415, 422, 429, 500, 502, 503, 504]) | st.integers(100, 999)
# What a header may hold (RFC 9110 §5.5); dates beyond those that exist have tests of their own.
RETRY_AFTER = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=40)
NO_HEADERS: dict[str, str] = {}
HEADERS = st.just(NO_HEADERS) | st.fixed_dictionaries({"retry-after": RETRY_AFTER})
# The characters that Postmark allows in a mailbox; an apostrophe at its start is taken for a quote.
LOCAL = st.text("abcxyz019.!#$%&'*+-/=^_{}|~`", min_size=1, max_size=20).filter(lambda text: text[0] != "'")
DOMAIN = st.from_regex(r"[a-z0-9\-]{1,10}(\.[a-z0-9\-]{1,10}){0,3}", fullmatch=True)


def answered(status: int, body: bytes, count: int, headers: dict[str, str] | None = None) -> list[Outcome]:
    return classify(Answer(status=status, headers=headers or {}, body=body), count=count, now=NOW)


@given(status=STATUS, body=BODY, count=st.integers(1, 5), headers=HEADERS)
def test_every_answer_gives_every_mail_an_outcome(
    status: int, body: bytes, count: int, headers: dict[str, str]
) -> None:
    outcomes = answered(status, body, count, headers)
    assert len(outcomes) == count
    assert {type(outcome) for outcome in outcomes} <= {Accepted, Rejected, Deferred, Unclear}


@given(status=STATUS, body=BODY, count=st.integers(1, 5))
def test_nothing_is_accepted_without_a_200_and_a_message_id_at_its_own_place(
    status: int, body: bytes, count: int
) -> None:
    for place, outcome in enumerate(answered(status, body, count)):
        if isinstance(outcome, Accepted):
            assert status == 200
            document: Any = orjson.loads(body)
            result = document if count == 1 and isinstance(document, dict) else document[place]
            assert result["MessageID"] == outcome.message_id != ""
            assert outcome.message_id.isprintable()
            assert result.get("ErrorCode", 0) in {0, "0", "00", "000", "0000", "00000"}


@given(status=STATUS, body=BODY, count=st.integers(2, 5))
def test_a_whole_batch_never_dies_of_one_answer_to_all(status: int, body: bytes, count: int) -> None:
    if status != 200:
        assert not any(isinstance(outcome, Rejected) for outcome in answered(status, body, count))


@given(status=st.integers(500, 999), body=BODY, count=st.integers(1, 5))
def test_a_fault_of_the_provider_is_never_a_clear_answer_except_maintenance(
    status: int, body: bytes, count: int
) -> None:
    for outcome in answered(status, body, count):
        if isinstance(outcome, Deferred):
            assert (status, outcome.code, outcome.reason) == (503, 100, "maintenance")
        else:
            assert isinstance(outcome, Unclear)


@given(status=STATUS, body=BODY, count=st.integers(1, 5), headers=HEADERS)
def test_codes_fit_the_log_and_waits_fit_a_day(
    status: int, body: bytes, count: int, headers: dict[str, str]
) -> None:
    for outcome in answered(status, body, count, headers):
        if not isinstance(outcome, Accepted):
            assert outcome.code is None or 0 <= outcome.code < 2**31
        if isinstance(outcome, Deferred):
            assert outcome.retry_after is None or 0 <= outcome.retry_after <= 86_400


@given(status=STATUS, message=st.text())
def test_what_is_shown_of_the_providers_text_is_one_short_printable_line(status: int, message: str) -> None:
    body = orjson.dumps({"ErrorCode": 300, "Message": message, "MessageID": None})
    for outcome in answered(status, body, 1):
        shown = outcome.remark or "" if isinstance(outcome, Accepted) else outcome.detail
        assert shown.isprintable()
        assert len(shown) <= 300


@given(before=st.text(max_size=20), local=LOCAL, domain=DOMAIN, after=st.text(max_size=20))
def test_no_address_survives_scrubbing(before: str, local: str, domain: str, after: str) -> None:
    scrubbed = scrub(f"{before} <{local}@{domain}> {after}")
    assert f"{local}@{domain}" not in scrubbed
    assert f"@{domain}" not in scrubbed
    assert "<address>" in scrubbed


@given(local=st.text(st.characters(codec="ascii", exclude_characters='"\\'), max_size=20), domain=DOMAIN)
def test_a_quoted_mailbox_is_hidden_whole(local: str, domain: str) -> None:
    assert scrub(f'Invalid address: "{local}"@{domain}') == "Invalid address: <address>"


def test_scrubbing_takes_no_time_whatever_the_length() -> None:
    started = time.process_time()
    assert len(scrub("a" * 10_000_000)) == 300
    assert time.process_time() - started < 2


@given(addresses=st.lists(st.tuples(LOCAL, DOMAIN).map("@".join), min_size=1, max_size=10))
def test_a_list_of_addresses_is_hidden_one_by_one(addresses: list[str]) -> None:
    scrubbed = scrub(f"Found inactive addresses: {', '.join(addresses)}. Sorry.")
    assert scrubbed.count("<address>") == len(addresses)
    assert "@" not in scrubbed
