from __future__ import annotations

import os
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_ops.simulator.index import Index
from atum_ops.simulator.ledger import Entry, Envelope, Ledger
from atum_ops.simulator.search import parse_query
from atum_ops.simulator.texts import Refusal

if TYPE_CHECKING:
    from pathlib import Path


def entry(mail: str | None = None, **change: Any) -> Entry:
    metadata = {"atum-mail": mail} if mail is not None else {}
    envelope = Envelope("outbound", "a@example.com", ["b@example.org"], [], [], "Hi", "", metadata, {})
    return Entry(f"id-{mail}", envelope._replace(**change))


def filled(sizes: list[int], path: Path | None = None) -> Ledger:
    ledger = Ledger(path)
    for request, size in enumerate(sizes, 1):
        ledger.append([entry(f"{request}-{n}") for n in range(size)], request=request)
    return ledger


def records(ledger: Ledger, after: int = 0, limit: int | None = None) -> list[dict[str, object]]:
    return [
        orjson.loads(line) for block in ledger.blocks(after=after, limit=limit) for line in block.splitlines()
    ]


sizes = st.lists(st.integers(0, 6), max_size=8)


@given(sizes, st.integers(0, 50), st.none() | st.integers(0, 50))
def test_any_part_of_the_ledger_is_a_slice_of_the_whole(
    counts: list[int], after: int, limit: int | None
) -> None:
    ledger = filled(counts)
    whole = records(ledger)
    assert [one["seq"] for one in whole] == list(range(1, sum(counts) + 1))
    assert records(ledger, after, limit) == whole[after:][:limit]


@given(sizes)
def test_times_never_fall_and_divide_the_ledger(counts: list[int]) -> None:
    ledger = filled(counts)
    whole = records(ledger)
    times = [float(str(one["accepted_at"])) for one in whole]
    assert all(earlier <= later for earlier, later in pairwise(times))
    for at in times:
        assert ledger.accepted_by(at) == sum(other <= at for other in times)
        assert ledger.accepted_before(at) == sum(other < at for other in times)


def test_a_clock_that_is_set_back_does_not_disorder_the_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger()
    for now in (1000.0, 900.0, 1100.0):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        ledger.append([entry(str(now))], request=1)
    assert [one["accepted_at"] for one in records(ledger)] == [1000.0, 1000.0, 1100.0]
    assert ledger.accepted_by(1000.0) == 2


def test_a_restart_finds_the_same_records_and_counts(tmp_path: Path) -> None:
    first = filled([3, 1, 700], tmp_path / "ledger")
    first.append([entry("1-0"), entry(None)], request=4)
    again = Ledger(tmp_path / "ledger")
    assert records(again) == records(first)
    assert [again.record(seq)["seq"] for seq in (1, 4, 5, 500, 706)] == [1, 4, 5, 500, 706]
    assert (again.distinct, again.repeated, again.unlabelled) == (704, {"1-0": 2}, 1)
    assert again.last_request == 4
    again.append([entry("new")], request=5)
    assert records(again, after=706)[0]["seq"] == 707
    first.close()
    again.close()


def test_a_last_line_cut_short_is_removed_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    filled([2], path).close()
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"seq":3,"acc')
    ledger = Ledger(path)
    assert ledger.accepted == 2
    assert path.read_bytes() == whole
    ledger.close()


def test_repeated_ids_are_counted_as_often_as_they_came() -> None:
    ledger = Ledger()
    for mail in ("a", "b", "a", "a", None):
        ledger.append([entry(mail)], request=1)
    assert (ledger.accepted, ledger.distinct, ledger.repeated, ledger.unlabelled) == (5, 2, {"a": 3}, 1)


def test_nothing_is_recorded_when_the_file_cannot_be_written(tmp_path: Path) -> None:
    ledger = filled([1], tmp_path / "ledger")
    assert ledger._fd is not None
    read_only = os.open(tmp_path / "ledger", os.O_RDONLY)
    os.dup2(read_only, ledger._fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        ledger.append([entry("lost")], request=2)
    assert (ledger.accepted, ledger.distinct) == (1, 1)
    os.close(read_only)
    ledger.close()


def test_clearing_empties_file_and_counts(tmp_path: Path) -> None:
    ledger = filled([2, 2], tmp_path / "ledger")
    ledger.clear()
    assert (tmp_path / "ledger").read_bytes() == b""
    assert (ledger.accepted, ledger.distinct, records(ledger)) == (0, 0, [])
    ledger.append([entry("a")], request=9)
    assert records(ledger)[0]["seq"] == 1
    ledger.close()


tags = st.sampled_from(["", "x", "y"])
streams = st.sampled_from(["outbound", "broadcast"])
mails = st.tuples(streams, tags, st.sampled_from(["1", "2"]))


@given(
    st.lists(st.lists(mails, min_size=1, max_size=4), max_size=6),
    st.fixed_dictionaries({}, optional={"tag": tags.filter(bool), "order": st.sampled_from(["1", "2"])}),
    streams,
    st.integers(0, 5),
    st.integers(1, 5),
    st.tuples(st.integers(1, 20), st.integers(0, 20)),
)
def test_the_index_finds_what_reading_everything_finds(
    batches: list[list[tuple[str, str, str]]],
    wanted: dict[str, str],
    stream: str,
    offset: int,
    count: int,
    span: tuple[int, int],
) -> None:
    ledger = Ledger()
    index = Index(ledger)
    for batch in batches:
        entries = [entry(stream=where, tag=tag, metadata={"Order": order}) for where, tag, order in batch]
        ledger.append(entries, request=1)
    while index.behind:
        index.advance(3)
    terms = [("stream", stream)]
    terms += [("tag", wanted["tag"])] if "tag" in wanted else []
    terms += [("metadata_order", wanted["order"])] if "order" in wanted else []
    page = index.search(terms, first=span[0], last=span[1], offset=offset, count=count)
    expected = [
        one
        for one in reversed(records(ledger))
        if one["stream"] == stream
        and span[0] <= int(str(one["seq"])) <= span[1]
        and wanted.get("tag") in (None, one["tag"])
        and ("order" not in wanted or one["metadata"] == {"Order": wanted["order"]})
    ]
    assert page.total == len(expected)
    assert page.records == expected[offset : offset + count]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "count=0&offset=0",
        "count=501",
        "count=500&offset=9501",
        "count=x",
        "count=1&offset=-1",
        "count=1&fromdate=soon",
    ],
)
def test_a_query_outside_the_limits_is_refused(query: str) -> None:
    refusal = parse_query(query)
    assert isinstance(refusal, Refusal)
    assert refusal.code == 700


def test_dates_are_read_in_eastern_time_and_todate_includes_its_day() -> None:
    query = parse_query("COUNT=500&offset=9500&fromdate=2026-11-05&todate=2026-11-05T12:00:00Z")
    day = parse_query("count=1&todate=2026-11-05")
    assert not isinstance(query, Refusal)
    assert not isinstance(day, Refusal)
    assert query.since == 1793854800.0
    assert query.before == 1793880000.0
    assert day.before == 1793854800.0 + 24 * 3600
