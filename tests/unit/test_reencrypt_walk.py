"""A walk over everything that is encrypted: kept between runs as it was, and begun only where it should."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Final

import orjson
from hypothesis import given
from hypothesis import strategies as st

from atum_workers import reencrypt_walk as walking
from atum_workers.reencrypt_store import Seen
from atum_workers.reencrypt_walk import Progress, Walk

NOW: Final = datetime(2026, 11, 28, tzinfo=UTC)
KEYS: Final = st.sampled_from(["k1", "k2", "k3"])
COUNTS: Final = st.dictionaries(KEYS, st.integers(1, 9)).map(Counter)
WALKS: Final = st.builds(
    Walk,
    active=KEYS,
    began_at=st.just(NOW),
    pass_began_at=st.just(NOW + timedelta(seconds=1)),
    changed=st.integers(0, 9),
    passes=st.integers(1, 9),
    shelf=st.integers(0, 1),
    after=st.uuids(),
    keys=COUNTS,
    stale=st.integers(0, 9),
    late=st.integers(0, 9),
    unreadable=COUNTS,
)
ROWS: Final = st.lists(st.builds(Seen, id=st.uuids(), key_id=KEYS, size=st.integers(1, 100)))


@given(walk=WALKS, later=WALKS, retired=st.lists(KEYS, unique=True))
def test_what_is_kept_between_runs_comes_back_as_it_was(walk: Walk, later: Walk, retired: list[str]) -> None:
    progress = Progress(active=walk.active, retired=retired, walk=walk)
    walking.ended(progress, NOW)
    progress.walk = later
    assert walking.loaded(orjson.loads(orjson.dumps(walking.dumped(progress)))) == progress
    assert walking.loaded({}) == Progress()


@given(rows=ROWS, active=KEYS, most=st.integers(1, 300))
def test_every_row_is_taken_once_in_order_and_no_more_bytes_at_once_than_allowed(
    rows: list[Seen], active: str, most: int
) -> None:
    left, taken = list(rows), list[Seen]()
    while left:
        group = walking.first(left, active=active, readable={"k1", "k2"}, most_bytes=most)
        assert group
        sizes = [row.size for row in group if row.key_id not in {active, "k3"}]
        assert sum(sizes) <= most or len(sizes) == 1
        taken += group
        left = left[len(group) :]
    assert taken == rows


@given(orders=st.lists(KEYS))
def test_whoever_was_left_behind_begins_nothing_unless_a_person_asks(orders: list[str]) -> None:
    progress, before = Progress(), set[str]()
    for active in orders:
        last = progress.active
        begins = walking.should_begin(progress, active, asked=False, now=NOW)
        assert begins == (active not in before)
        assert walking.should_begin(progress, active, asked=True, now=NOW)
        if begins:
            walking.begun(progress, active, NOW)
            before.add(active)
            assert last is None or last in progress.retired
            assert active not in progress.retired
            walking.ended(progress, NOW)


def test_a_walk_during_which_rows_came_under_another_key_is_done_again_after_an_hour() -> None:
    for late, after_s, again in [(0, 7200, False), (3, 3599, False), (3, 3600, True)]:
        progress = Progress(active="k2", walk=Walk(active="k2", began_at=NOW, pass_began_at=NOW, late=late))
        walking.ended(progress, NOW)
        later = NOW + timedelta(seconds=after_s)
        assert walking.should_begin(progress, "k2", asked=False, now=later) == again
