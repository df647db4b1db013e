"""Faults that were found by attacking the pure parts, one test each."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime

import orjson
import pytest

from atum_schema import settings
from atum_schema.encryption import Keyring, new_key
from atum_schema.errors import ContentUnreadable, SettingsError
from atum_schema.scrub import scrub
from atum_workers.classify import Answer, classify
from atum_workers.outcome import Accepted, Deferred, Outcome, Unclear
from atum_workers.retry import RetryIn, RetryPolicy, decide

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def answered(
    status: int, body: object, *, count: int = 1, headers: dict[str, str] | None = None
) -> list[Outcome]:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return classify(Answer(status=status, headers=headers or {}, body=raw), count=count, now=NOW)


@pytest.mark.parametrize("status", [200, 422, 503])
def test_an_error_code_of_thousands_of_digits_is_not_a_code(status: int) -> None:
    assert len(answered(status, b'{"ErrorCode":"' + b"1" * 5000 + b'"}')) == 1


@pytest.mark.parametrize(
    "value",
    [
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 2024 00:00:00 +99999999999999999999999",
        "Mon, 99999999999 Jan 2024 1:1:1 GMT",
    ],
)
def test_a_retry_after_with_numbers_beyond_any_date_is_nonsense(value: str) -> None:
    (outcome,) = answered(429, b"", headers={"retry-after": value})
    assert isinstance(outcome, Deferred)
    assert outcome.retry_after is None


def test_an_internal_error_of_one_item_is_unclear_and_not_a_refusal_for_good() -> None:
    item, fine = answered(
        200, [{"ErrorCode": 101, "Message": "Error ID: 1"}, {"ErrorCode": 0, "MessageID": "m"}], count=2
    )
    assert isinstance(fine, Accepted)
    assert isinstance(item, Unclear)


def test_an_internal_error_in_a_422_is_unclear() -> None:
    assert {type(o) for o in answered(422, {"ErrorCode": 101, "Message": "Error ID: 1"}, count=2)} == {
        Unclear
    }


def test_a_rate_limit_in_a_422_splits_no_batch_and_keeps_retry_after() -> None:
    for outcome in answered(
        422, {"ErrorCode": 429, "Message": "slow"}, count=3, headers={"retry-after": "60"}
    ):
        assert isinstance(outcome, Deferred)
        assert not outcome.split
        assert outcome.retry_after == 60


@pytest.mark.parametrize("code", [10, 405, 413, 422, 1480])
def test_a_refusal_of_the_whole_account_charges_no_mail_and_splits_no_batch(code: int) -> None:
    for count in (1, 3):
        for outcome in answered(422, {"ErrorCode": code, "Message": "no"}, count=count):
            assert isinstance(outcome, Deferred)
            assert not outcome.charged
            assert not outcome.split


def test_what_an_outcome_holds_can_be_stored_in_postgres() -> None:
    (outcome,) = answered(200, {"ErrorCode": 0, "MessageID": "a\x00b"})
    assert not isinstance(outcome, Accepted) or "\x00" not in outcome.message_id


def test_scrubbing_a_long_text_takes_no_time() -> None:
    started = time.process_time()
    scrub("a" * 20_000)
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    "address", ['"john doe"@example.com', "mary.o'hara@example.com", '"a@b"@example.com']
)
def test_quotes_in_an_address_hide_nothing_from_scrubbing(address: str) -> None:
    scrubbed = scrub(f"Found inactive addresses: {address}.")
    assert not [part for part in ("example.com", "john", "mary", "@") if part in scrubbed]


def test_an_outage_uses_up_no_attempts_even_when_the_limit_was_lowered_meanwhile() -> None:
    policy = RetryPolicy(attempts=5, tries=100, base=30.0, maximum=3600.0)
    outage = Deferred(reason="maintenance", detail="", charged=False)
    verdict = decide(outage, attempts=6, tries=6, policy=policy, uniform=lambda low, _: low)
    assert isinstance(verdict, RetryIn)


@pytest.mark.parametrize("stored", [b"\x01", b"\x01abc", b"\x01" + b"n" * 7])
def test_stored_content_that_was_cut_short_is_unreadable(stored: bytes) -> None:
    with pytest.raises(ContentUnreadable):
        Keyring(new_key("k")).decrypt(uuid.uuid4(), "k", stored)


@pytest.mark.parametrize("secret", ["0123456789abcdef0123456789abcdef", "c2VjcmV0c2VjcmV0c2VjcmV0"])
def test_a_key_given_without_an_id_is_not_shown(secret: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Keyring(secret)
    assert secret not in str(caught.value)


BASE = {"database_url": "postgresql://u:p@127.0.0.1/d", "content_keys": new_key("k")}


@pytest.mark.parametrize(
    ("change", "variable"),
    [
        ({"retry_max_s": 1.0, "retry_base_s": 2.0}, "ATUM_RETRY_MAX_S"),
        ({"lanes": " , "}, "ATUM_LANES"),
        ({"lanes": "a,a"}, "ATUM_LANES"),
        ({"lanes": "a,b c"}, "ATUM_LANES"),
        ({"lanes": "Ä"}, "ATUM_LANES"),
        ({"database_url": ""}, "ATUM_DATABASE_URL"),
        ({"postmark_url": "api.postmarkapp.com"}, "ATUM_POSTMARK_URL"),
        ({"account": ""}, "ATUM_ACCOUNT"),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_its_variable(
    change: dict[str, object], variable: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.load(**(BASE | change))
    assert f"{variable}: " in str(caught.value)
