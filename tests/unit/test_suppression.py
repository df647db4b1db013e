"""The state of an address depends on the words that were given about it, and on nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from atum_schema.addresses import folded
from atum_schema.suppression import REASONS, Word, latest

DAY = datetime(2026, 11, 5, tzinfo=UTC)
WORDS = st.builds(
    Word,
    stream=st.sampled_from(["outbound", "broadcast"]),
    address=st.sampled_from(["jane@example.com", "Jane@Example.COM", "joe@example.com"]),
    suppressed=st.booleans(),
    reason=st.sampled_from(REASONS),
    origin=st.sampled_from(["recipient", "customer", "admin"]),
    source=st.sampled_from(["webhook", "sync", "catch_up"]),
    changed_at=st.integers(0, 3).map(lambda days: DAY + timedelta(days=days)),
)


def word(days: int, *, suppressed: bool = True, reason: str = "hard_bounce") -> Word:
    return Word(
        "outbound", "jane@example.com", suppressed, reason, "recipient", "webhook", DAY + timedelta(days=days)
    )


@given(st.lists(WORDS, max_size=8).flatmap(lambda words: st.tuples(st.just(words), st.permutations(words))))
def test_the_order_of_words_changes_nothing(given_: tuple[list[Word], list[Word]]) -> None:
    words, otherwise = given_
    assert latest(words) == latest(otherwise)


@given(st.lists(WORDS, max_size=8), st.integers(0, 8))
def test_words_may_be_repeated_and_come_in_any_groups(words: list[Word], cut: int) -> None:
    assert latest([*latest(words[:cut]), *words[cut:], *words]) == latest(words)


@given(st.lists(WORDS, min_size=1, max_size=8))
def test_a_complaint_beats_everything(words: list[Word]) -> None:
    complained = {
        (each.stream, folded(each.address))
        for each in words
        if each.suppressed and each.reason == "complaint"
    }
    for each in latest(words):
        is_complaint = each.suppressed and each.reason == "complaint"
        assert is_complaint is ((each.stream, each.address) in complained)


def test_the_latest_word_counts() -> None:
    assert latest([word(2, suppressed=False), word(1)]) == [word(2, suppressed=False)]
    assert latest([word(1, suppressed=False), word(2)]) == [word(2)]


def test_of_two_words_at_the_same_time_the_one_that_suppresses_counts() -> None:
    assert latest([word(1, suppressed=False, reason="manual"), word(1)]) == [word(1)]


def test_who_lifts_a_complaint_lifts_none() -> None:
    (counting,) = latest([word(1, suppressed=False, reason="complaint")])
    assert (counting.suppressed, counting.reason) == (False, "manual")
