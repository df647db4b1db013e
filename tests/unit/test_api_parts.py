"""The pure parts of the API: keys, the token bucket, drafts and their keys, bounds of a page."""

from __future__ import annotations

import hmac
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from atum_producers.api import drafts as drafts_module
from atum_producers.api import keys
from atum_producers.api.bucket import Bucket
from atum_producers.api.drafts import drafts, rows
from atum_producers.api.problems import Kind, Problem
from atum_producers.api.reading import bounds, filters
from atum_producers.story_store import _address_pattern
from atum_schema.acceptance import LanePolicy, Row
from atum_schema.encryption import Keyring, new_key
from atum_schema.ids import first_mail_id, new_mail_id
from tests.api import letter

LANES = LanePolicy(names=("transactional", "broadcast"))
KEYRING = Keyring(new_key("test"))


def made(document: Any, key: str | None = None) -> list[Row]:
    return rows(drafts(document), lanes=LANES, keyring=KEYRING, key=key)


def test_a_key_matches_its_own_digest_and_no_other() -> None:
    one, other = keys.new_key(), keys.new_key()
    assert keys.key_id(one.text) == one.id
    assert keys.matches(one.text, one.digest)
    assert not keys.matches(one.text, other.digest)
    assert not keys.matches(one.text[:-1] + ("A" if one.text[-1] != "A" else "B"), one.digest)


@pytest.mark.parametrize(
    "text", ["", "x", "atum_", "atum_0123456789abcdef_", "atum_0123456789abcdef_" + "é" * 43]
)
def test_what_is_no_key_has_no_id_and_matches_nothing(text: str) -> None:
    assert keys.key_id(text) is None
    assert not keys.matches(text, None)
    assert not keys.matches(text, bytes(32))


def test_a_key_is_compared_in_constant_time_even_if_nobody_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    real = hmac.compare_digest

    def compare(left: bytes, right: bytes) -> bool:
        compared.append(len(left))
        return real(left, right)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    keys.matches(keys.new_key().text, None)
    assert compared == [32]


def test_a_key_is_not_in_its_own_repr() -> None:
    key = keys.new_key()
    assert key.text not in repr(key)
    assert key.text.split("_", 2)[2] not in repr(key)


@given(
    rate=st.floats(0.1, 1000),
    requests=st.lists(st.tuples(st.floats(0, 3), st.integers(1, 500)), min_size=1, max_size=50),
)
def test_over_any_time_no_more_is_taken_than_the_rate_allows_but_for_one_debt(
    rate: float, requests: list[tuple[float, int]]
) -> None:
    now, taken, largest = 0.0, 0, 0
    bucket = Bucket(rate, now=now)
    for pause, units in requests:
        now += pause
        if bucket.wait_s(now=now) == 0.0:
            bucket.take(units)
            taken += units
            largest = max(largest, units)
    assert taken <= max(rate, 1.0) + rate * now + largest + 1e-6


@given(rate=st.floats(0.01, 1000), units=st.integers(1, 500))
def test_whoever_waits_as_long_as_it_is_told_gets_in(rate: float, units: int) -> None:
    bucket = Bucket(rate, now=0.0)
    bucket.wait_s(now=0.0)
    bucket.take(units)
    wait_s = bucket.wait_s(now=0.0)
    assert bucket.wait_s(now=wait_s * 1.0001 + 1e-6) == 0.0


def test_a_single_mail_is_stored_under_the_key_as_from_any_other_way_in() -> None:
    (by_header,) = made(letter(), key="order-1")
    (by_field,) = made(letter(idempotency_key="order-1"))
    assert (by_header.key, by_header.fingerprint) == (by_field.key, by_field.fingerprint)


def test_the_keys_of_an_array_are_its_own_and_can_be_nobody_elses() -> None:
    found = made([letter(), letter(), letter()], key="k")
    assert [row.key for row in found] == ["k", "k\n1", "k\n2"]
    with pytest.raises(Problem, match="idempotency_key"):
        made(letter(idempotency_key="k\n1"))


@pytest.mark.parametrize(
    "other",
    [
        [letter()],
        [letter(), letter(), letter()],
        [letter(), letter(subject="x")],
        [letter(lane="broadcast"), letter()],
    ],
)
def test_another_array_under_the_same_key_differs_already_in_its_first_mail(other: list[Any]) -> None:
    assert made([letter(), letter()], key="k")[0].fingerprint != made(other, key="k")[0].fingerprint


def test_at_most_twenty_mails_are_named_when_all_are_bad() -> None:
    with pytest.raises(Problem) as caught:
        drafts([letter(to="x")] * 100)
    assert caught.value.kind is Kind.MAIL_REJECTED
    assert len(caught.value.extra["errors"]) == drafts_module.MOST_ERRORS


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_the_first_id_of_a_moment_lies_between_those_before_and_after(moment: datetime) -> None:
    times = [moment - timedelta(milliseconds=2), moment, moment + timedelta(milliseconds=2)]
    ids = [first_mail_id(one) for one in times]
    assert all(earlier <= later for earlier, later in pairwise(ids))
    assert ids[1] < ids[2]


def test_ids_that_are_made_now_lie_within_now() -> None:
    before = datetime.now(UTC)
    made = new_mail_id()
    after = datetime.now(UTC)
    assert first_mail_id(before - timedelta(seconds=1)) < made < first_mail_id(after + timedelta(seconds=1))


def test_a_plus_in_a_time_survives_the_query() -> None:
    assert bounds(QueryParams("since=2026-11-05T10:00:00+02:00")) == bounds(
        QueryParams("since=2026-11-05T08:00:00Z")
    )


def test_metadata_is_asked_for_by_its_key() -> None:
    assert filters(QueryParams("metadata.order=7&metadata.shop=a")).metadata == {"order": "7", "shop": "a"}


@pytest.mark.parametrize(
    ("address", "line", "found"),
    [
        ("a@example.org", "a@example.org", True),
        ("a@example.org", "jane <a@example.org>", True),
        ("a@example.org", "b@example.org, a@example.org", True),
        ("a@example.org", "a@example.org, b@example.org", True),
        ("a@example.org", "xa@example.org", False),
        ("a@example.org", "a@example.org.example", False),
        ("a.b@example.org", "axb@example.org", False),
        (".*", "a@example.org", False),
    ],
)
def test_an_address_is_found_in_a_line_as_a_whole(address: str, line: str, found: bool) -> None:
    pattern = _address_pattern(address)
    assert pattern is not None
    assert (re.search(pattern, line) is not None) is found


def test_every_kind_of_problem_has_an_anchor_of_its_own() -> None:
    assert len({kind.anchor for kind in Kind}) == len(Kind)
