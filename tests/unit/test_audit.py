"""The ledger check over made-up rows: what is sound is called sound, and each damage is counted for what it is."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_ops.audit import check
from atum_ops.reading import Audited
from atum_schema.status import PROVEN, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from atum_ops.audit import Report

WAITING = ("queued", "scheduled", "retrying")
_TRAVELLING = ("issued", "claimed", "posting")
_STORED = tuple(sorted(status.value for status in Status if status is not Status.SENDING))


@st.composite
def sound_rows(draw: st.DrawFn, statuses: Sequence[str] = _STORED) -> Audited:
    """Make one mail as the system leaves it."""
    status = draw(st.sampled_from(statuses))
    batch_state, in_ready = None, False
    if status in WAITING:
        in_ready = draw(st.booleans())
        batch_state = None if in_ready else draw(st.sampled_from(_TRAVELLING))
    elif status == "unknown":
        batch_state = "unknown"
    elif status in PROVEN:
        # Proof may come while another POST is under way, or unresolved.
        batch_state = draw(st.sampled_from([None, "posting", "unknown"]))
    kept = status in {*WAITING, "unknown", "held", "dead"}
    return Audited(
        id=draw(st.uuids()),
        status=status,
        provider_message_id=draw(st.uuids().map(str)) if status in PROVEN else None,
        in_ready=in_ready,
        batch_state=batch_state,
        batches=int(batch_state is not None),
        # With ATUM_PRIVACY=full the content of ended mails stays.
        has_content=kept or draw(st.booleans()),
        has_dead_letter=status == "dead",
        last_event=status,
    )


def logs() -> st.SearchStrategy[list[Audited]]:
    return st.lists(sound_rows(), max_size=12, unique_by=lambda row: row.id)


def ledger_of(rows: list[Audited], *, unsure: bool = False) -> dict[str, int]:
    """Give what the provider has, if everything went well; with `unsure`, it took what is unknown or posting too."""
    return {
        str(row.id): 1
        for row in rows
        if row.status in PROVEN
        or (unsure and (row.status in {"unknown", "held"} or row.batch_state == "posting"))
    }


def counts(report: Report) -> dict[str, int]:
    """Give the counts that are not zero."""
    names = ("lost", "duplicates", "extra_copies", "unexplained", "foreign")
    return {name: getattr(report, name) for name in names if getattr(report, name)}


@given(logs(), st.booleans())
def test_a_sound_log_is_sound_with_and_without_a_ledger(rows: list[Audited], unsure: bool) -> None:
    for report in (check(rows, None), check(rows, ledger_of(rows, unsure=unsure))):
        assert report.sound
        assert report.findings == []
        assert report.mails == len(rows) == report.by_status.total()
        assert report.sent == sum(row.status in PROVEN for row in rows)


def row_with(*statuses: str) -> st.SearchStrategy[Audited]:
    return sound_rows(statuses)


_DEAD, _PROVEN = ("dead",), tuple(sorted(PROVEN))
_KEPT = (*WAITING, "unknown", "held", "dead")
_OTHER = tuple(status for status in _STORED if status not in {*WAITING, "unknown"})

DAMAGES: list[tuple[str, tuple[str, ...], Callable[[Audited], Audited], dict[str, int], str]] = [
    (
        "no owner",
        (*WAITING, "unknown"),
        lambda row: replace(row, in_ready=False, batches=0, batch_state=None),
        {"lost": 1},
        "has 0 owners",
    ),
    (
        "two owners",
        WAITING,
        lambda row: replace(row, in_ready=True, batches=1, batch_state="issued"),
        {"unexplained": 1},
        "has 2 owners",
    ),
    ("owned after its end", _OTHER, lambda row: replace(row, in_ready=True), {"unexplained": 1}, "still owns it"),
    ("no event", _KEPT, lambda row: replace(row, last_event=None), {"unexplained": 1}, "last event says None"),
    ("content gone", _KEPT, lambda row: replace(row, has_content=False), {"unexplained": 1}, "content is gone"),
    (
        "no dead letter",
        _DEAD,
        lambda row: replace(row, has_dead_letter=False),
        {"unexplained": 1},
        "has no dead letter",
    ),
    (
        "a dead letter of the living",
        (*WAITING, *_PROVEN),
        lambda row: replace(row, has_dead_letter=True),
        {"unexplained": 1},
        "has a dead letter",
    ),
    (
        "no proof",
        _PROVEN,
        lambda row: replace(row, provider_message_id=None),
        {"unexplained": 1},
        "carries no MessageID",
    ),
    (
        "unknown in a batch that may be sent again",
        ("unknown",),
        lambda row: replace(row, batch_state="issued"),
        {"unexplained": 1},
        "its batch is issued",
    ),
    (
        "waiting in a batch that waits for evidence",
        WAITING,
        lambda row: replace(row, in_ready=False, batches=1, batch_state="unknown"),
        {"unexplained": 1},
        "its batch is unknown",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("statuses", "damage", "expected", "words"),
    [damage[1:] for damage in DAMAGES],
    ids=[damage[0] for damage in DAMAGES],
)
@given(data=st.data())
def test_damage_is_counted_as_what_it_is_and_named(
    data: st.DataObject,
    statuses: tuple[str, ...],
    damage: Callable[[Audited], Audited],
    expected: dict[str, int],
    words: str,
) -> None:
    rows = data.draw(logs())
    victim = damage(data.draw(row_with(*statuses).filter(lambda row: row.id not in {r.id for r in rows})))
    place = data.draw(st.integers(0, len(rows)))
    report = check([*rows[:place], victim, *rows[place:]], None)
    assert not report.sound
    assert counts(report) == expected
    (finding,) = report.findings
    assert finding.startswith(f"{victim.id} is {victim.status} and ")
    assert words in finding


@given(logs(), row_with(*_PROVEN), st.integers(2, 9))
def test_copies_beyond_the_first_are_duplicates(rows: list[Audited], victim: Audited, copies: int) -> None:
    rows = [row for row in rows if row.id != victim.id] + [victim]
    report = check(rows, {**ledger_of(rows), str(victim.id): copies})
    assert counts(report) == {"duplicates": 1, "extra_copies": copies - 1}
    assert report.findings == [f"{victim.id} was accepted {copies} times"]


@given(logs(), row_with(*_PROVEN))
def test_proof_that_the_provider_does_not_know_is_a_loss(rows: list[Audited], victim: Audited) -> None:
    rows = [row for row in rows if row.id != victim.id]
    report = check([*rows, victim], ledger_of(rows))
    assert counts(report) == {"lost": 1}
    assert report.findings == [f"{victim.id} is {victim.status} and the provider does not know it"]


def unproven() -> st.SearchStrategy[Audited]:
    statuses = [status for status in _STORED if status not in PROVEN | {Status.UNKNOWN, Status.HELD}]
    return row_with(*statuses).filter(lambda row: row.batch_state != "posting")


@given(logs(), unproven())
def test_an_acceptance_that_the_log_cannot_know_of_is_unexplained(
    rows: list[Audited], victim: Audited
) -> None:
    rows = [row for row in rows if row.id != victim.id] + [victim]
    report = check(rows, {**ledger_of(rows), str(victim.id): 1})
    assert counts(report) == {"unexplained": 1}
    assert report.findings == [f"{victim.id} is {victim.status} and the provider has accepted it"]


@given(logs(), st.sets(st.uuids(), min_size=1, max_size=5))
def test_messages_of_nobody_are_foreign(rows: list[Audited], strays: set[uuid.UUID]) -> None:
    strays = strays - {row.id for row in rows} or {uuid.uuid4()}
    report = check(rows, {**ledger_of(rows), **{str(stray): 1 for stray in strays}})
    assert counts(report) == {"foreign": len(strays)}
    assert len(report.findings) == 1


@given(row_with(*_PROVEN), st.integers(51, 80))
def test_fifty_mails_are_named_and_every_one_is_counted(row: Audited, number: int) -> None:
    report = check([replace(row, id=uuid.UUID(int=place)) for place in range(number)], {})
    assert report.lost == number
    assert len(report.findings) == 50
