"""Which months may go, and where content is looked at: laws."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from atum_schema import retention
from atum_schema.ids import first_mail_id
from atum_schema.retention import EVERYTHING, NOTHING, PARENTS, TAKEN, Month
from atum_schema.status import ENDED, PROVEN, Status

MOMENTS = st.integers(946_684_800_000, 4_102_444_800_000).map(
    lambda milliseconds: datetime.fromtimestamp(milliseconds / 1000, UTC)
)
MONTHS = MOMENTS.map(Month.of)
DAYS = st.integers(1, 3650)


@given(now=MOMENTS, kept=st.sets(MONTHS), days=DAYS)
def test_a_month_goes_only_when_all_of_it_is_old_enough_and_never_a_young_one(
    now: datetime, kept: set[Month], days: int
) -> None:
    due = retention.due(kept, now=now, days=days)
    assert due == sorted(due)
    for month in kept:
        old = month.ends + timedelta(days=days) <= now and month <= Month.of(now).plus(-2)
        assert (month in due) == old


@given(now=MOMENTS, kept=st.sets(MONTHS), days=DAYS, more=DAYS)
def test_who_keeps_longer_drops_no_more(now: datetime, kept: set[Month], days: int, more: int) -> None:
    assert set(retention.due(kept, now=now, days=days + more)) <= set(retention.due(kept, now=now, days=days))


@given(month=MONTHS, steps=st.integers(-600, 600))
def test_months_count_as_the_calendar_does(month: Month, steps: int) -> None:
    assert month.plus(steps).plus(-steps) == month
    assert (month.plus(steps) > month) == (steps > 0)
    assert month.plus(1).begins == month.ends
    assert 28 <= (month.ends - month.begins).days <= 31


@given(moment=MOMENTS, low=st.integers(0, 2**80 - 1))
def test_every_id_is_within_its_own_month_and_no_other(moment: datetime, low: int) -> None:
    month = Month.of(moment)
    mail_id = UUID(int=first_mail_id(moment).int | low)
    for step in (-1, 0, 1):
        after, before = retention.bounds(month.plus(step))
        assert (after < mail_id < before) == (step == 0)


@given(kept=st.lists(MONTHS, unique=True))
def test_months_are_read_from_the_names_of_partitions(kept: list[Month]) -> None:
    names = [month.partition(parent) for month in kept for parent in PARENTS]
    assert retention.months([*names, "mail_default", "event_default", "mail_2026_13", "mail"]) == sorted(kept)


@given(now=MOMENTS, gone=st.sets(st.sampled_from(PARENTS)))
def test_what_is_missing_ahead_is_named(now: datetime, gone: set[str]) -> None:
    months = [Month.of(now).plus(step) for step in range(3)]
    names = {month.partition(parent) for month in months for parent in PARENTS}
    assert retention.missing(names, now=now) == []
    left = names - {months[1].partition(parent) for parent in gone}
    assert set(retention.missing(left, now=now)) == names - left


@given(now=MOMENTS, days=DAYS, oldest=st.none() | MONTHS)
def test_all_content_that_may_be_old_is_looked_at(now: datetime, days: int, oldest: Month | None) -> None:
    everything = retention.contents(now=now, content_days=days, drops_content=True, oldest=oldest)
    assert everything == (((NOTHING, EVERYTHING),), None)
    ranges, ended_before = retention.contents(now=now, content_days=days, drops_content=False, oldest=oldest)
    assert ended_before == now - timedelta(days=days)
    # What ended that long ago was accepted before; what no month has any more, too; and clocks that are ahead are wrong.
    for moment in (ended_before, oldest.begins if oldest else ended_before, now + timedelta(days=2)):
        mail_id = UUID(int=first_mail_id(moment - timedelta(milliseconds=1)).int | 1)
        assert any(after < mail_id < before for after, before in ranges)


def test_retention_takes_what_has_ended_and_nothing_that_can_be_posted_again() -> None:
    assert set(TAKEN) == {status.value for status in ENDED} - {Status.DEAD.value}
    assert {status.value for status in PROVEN} <= set(TAKEN)
