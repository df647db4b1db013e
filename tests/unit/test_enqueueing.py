"""Handing files over: whatever is refused, the rest goes on, in order, and only the guilty are refused."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING, cast

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from atum_ops.enqueueing import Outcome, enqueue_files
from atum_schema.errors import EnqueueFailed, IdempotencyConflict, MailRejected
from tests.command_line import documents
from tests.system import letters

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from uuid import UUID

    import pytest

    from atum_producers import Mailer
    from atum_schema.mail import Mail


class Store:
    """Stands for the mailer: takes a list whole or not at all, as the real one does."""

    def __init__(self, *, away_after: int | None = None) -> None:
        self.subjects: list[str] = []
        self.calls: list[int] = []
        self._away_after = away_after

    def enqueue(self, mails: Sequence[Mail], *, keys: Sequence[str] = ()) -> list[UUID]:
        assert not keys
        self.calls.append(len(mails))
        if self._away_after is not None and len(self.calls) > self._away_after:
            raise EnqueueFailed("away")
        for place, mail in enumerate(mails):
            if mail.subject.startswith("bad"):
                raise MailRejected("lane", "is no lane", index=place)
            if mail.subject.startswith("conflict"):
                raise IdempotencyConflict("cli", mail.subject)
        self.subjects += [mail.subject for mail in mails]
        return [uuid.uuid5(uuid.NAMESPACE_OID, mail.subject) for mail in mails]


def hand_over(paths: Sequence[Path], store: Store | None) -> Outcome:
    return enqueue_files(paths, cast("Mailer | None", store), Console(quiet=True))


def write(path: Path, subjects: Sequence[str]) -> Path:
    path.write_bytes(documents([letters(1, subject=subject)[0] for subject in subjects]))
    return path


KINDS = st.sampled_from(["good"] * 8 + ["bad", "conflict"])


@given(kinds=st.lists(KINDS, max_size=40))
def test_exactly_the_guilty_are_refused_and_the_rest_is_stored_once_in_order(
    kinds: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    subjects = [f"{kind} {number}" for number, kind in enumerate(kinds)]
    file = write(tmp_path_factory.mktemp("mails") / "a.jsonl", subjects)
    store = Store()
    outcome = hand_over([file], store)
    good = [subject for subject in subjects if subject.startswith("good")]
    guilty = [place for place, subject in enumerate(subjects, 1) if not subject.startswith("good")]
    assert store.subjects == good
    assert [one["source"] for one in outcome.refused] == [f"{file}:{place}" for place in guilty]
    assert [one["id"] for one in outcome.accepted] == [
        str(uuid.uuid5(uuid.NAMESPACE_OID, subject)) for subject in good
    ]
    # One guilty mail in n costs a binary search, not n calls.
    assert len(store.calls) <= 1 + len(guilty) * 2 * max(1, len(kinds)).bit_length()


def test_files_share_lists_and_a_list_is_never_longer_than_250(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / f"{number}.jsonl", [f"good {number}.{place}" for place in range(200)])
    store = Store()
    assert len(hand_over([tmp_path], store).accepted) == 600
    assert store.calls == [250, 250, 100]


def test_without_a_mailer_mails_are_read_and_nothing_else(tmp_path: Path) -> None:
    outcome = hand_over([write(tmp_path / "a.jsonl", ["good", "bad"])], None)
    assert outcome.accepted == [{"source": f"{tmp_path}/a.jsonl:1"}, {"source": f"{tmp_path}/a.jsonl:2"}]
    assert outcome.refused == []


def test_a_store_that_is_away_is_not_the_fault_of_a_mail(tmp_path: Path) -> None:
    store = Store(away_after=1)
    file = write(tmp_path / "a.jsonl", [f"good {place}" for place in range(600)])
    outcome = hand_over([file], store)
    # What was stored before is told; the rest is named with the reason, and no list is tried mail by mail.
    assert len(outcome.accepted) == 250
    assert [one["reason"] for one in outcome.refused] == ["away"] * 350
    assert store.calls == [250, 250, 100]


def test_a_file_that_cannot_be_read_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "a.eml").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe.eml")
    write(tmp_path / "b.jsonl", ["good"])
    outcome = hand_over([tmp_path / "a.eml", tmp_path], Store())
    assert outcome.refused == [
        {"source": f"{tmp_path}/a.eml", "reason": "cannot be read: No such file or directory"}
    ]
    assert len(outcome.accepted) == 1


def test_nothing_to_do_calls_nobody(tmp_path: Path) -> None:
    store = Store()
    assert hand_over([tmp_path], store) == Outcome()
    assert store.calls == []
