"""Filters of mails: what can be said, what is refused, and that they come back as they were written down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_ops.durations import Moment
from atum_ops.selection import Selection
from atum_schema.errors import AtumError
from atum_schema.status import Status

WORDS = st.none() | st.text(min_size=1, max_size=8)
MOMENTS = st.none() | st.timedeltas(min_value=timedelta(), max_value=timedelta(days=36_500)).map(
    lambda since: datetime(2000, 1, 1, tzinfo=UTC) + since
)
SELECTIONS = st.builds(
    Selection,
    statuses=st.none() | st.lists(st.sampled_from([*sorted(Status), "failed"]), min_size=1).map(tuple),
    lane=WORDS,
    stream=WORDS,
    tag=WORDS,
    client=WORDS,
    reason=WORDS,
    recipient=WORDS,
    since=MOMENTS,
    until=MOMENTS,
)


@given(SELECTIONS)
def test_a_selection_comes_back_from_json_as_it_was(selection: Selection) -> None:
    assert Selection.of(orjson.loads(orjson.dumps(selection.document()))) == selection


def test_failed_means_dead_bounced_and_expired() -> None:
    assert Selection(statuses=("failed",)).values()["statuses"] == ["bounced", "dead", "expired"]


def test_a_status_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(AtumError, match=r"status 'failled': must be one of .*dead.*failed"):
        Selection(statuses=("failled",))


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("http_422", {"http_low": 422, "http_high": 422}),
        ("http_4", {"http_low": 400, "http_high": 499}),
        ("http_42", {"http_low": 420, "http_high": 429}),
        ("http_", {"http_low": 400, "http_high": 999}),
        ("pm_406", {"code_low": 406, "code_high": 406}),
        ("pm_", {"code_low": 1, "code_high": 2**31 - 1}),
        ("HTTP_422", {"search": "http_422"}),
        ("Jane@Example.org", {"search": r"jane@example\.org"}),
    ],
)
def test_a_search_is_for_words_or_for_a_code(search: str, expected: dict[str, Any]) -> None:
    names = ("search", "http_low", "http_high", "code_low", "code_high")
    values = Selection(search=search).values()
    assert {name: values[name] for name in names if values[name] is not None} == expected


@pytest.mark.parametrize("search", ["http_4222", "pm_999999999999"])
def test_a_code_that_there_cannot_be_is_refused(search: str) -> None:
    if search == "pm_999999999999":
        # Too many digits for a code: it is a word like any other.
        assert Selection(search=search).values()["search"] == search
        return
    with pytest.raises(AtumError, match="at most 3 digits"):
        Selection(search=search)


def test_one_cannot_ask_for_an_address_and_a_domain() -> None:
    with pytest.raises(AtumError, match="give one of them"):
        Selection(recipient="a@example.org", domain="example.org")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T12:00", datetime(2026, 11, 1, 12, tzinfo=UTC)),
        ("2026-11-01T12:00Z", datetime(2026, 11, 1, 12, tzinfo=UTC)),
        ("2026-11-01T12:00+02:00", datetime(2026, 11, 1, 10, tzinfo=UTC)),
    ],
)
def test_a_moment_is_a_date_or_a_time_in_utc_unless_it_says_otherwise(text: str, expected: datetime) -> None:
    assert Moment().convert(text, None, None) == expected


@given(st.integers(min_value=0, max_value=10_000))
def test_a_moment_may_be_a_duration_ago(minutes: int) -> None:
    moment = Moment().convert(f"{minutes}m", None, None)
    assert timedelta() <= datetime.now(UTC) - timedelta(minutes=minutes) - moment < timedelta(minutes=1)


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "-5m", "999999999d", ""])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no moment"):
        Moment().convert(text, None, None)
