"""Directories in memory go when their process goes, however that ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import memory

KILLED = """
import os, signal, sys
from tests import memory
memory.MEMORY, memory.ROOM = memory.Path(sys.argv[1]), 0
with memory.directory_in_memory() as directory:
    (directory / "data").write_text("much")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(memory, "MEMORY", tmp_path)
    monkeypatch.setattr(memory, "ROOM", 0)
    monkeypatch.setattr(memory, "YOUNG_SECONDS", -1)
    return tmp_path


def test_a_directory_is_there_while_it_is_needed(place: Path) -> None:
    with memory.directory_in_memory() as directory:
        (directory / "data").write_text("much")
        assert [*place.iterdir()] == [directory]
    assert [*place.iterdir()] == []


def test_what_a_killed_process_left_is_removed_and_what_is_held_is_not(place: Path) -> None:
    root = Path(memory.__file__).parents[1]
    subprocess.run([sys.executable, "-c", KILLED, str(place)], cwd=root, check=False)
    (left,) = place.iterdir()
    (place / "of-somebody-else").mkdir()
    with memory.directory_in_memory() as first, memory.directory_in_memory() as second:
        assert not left.exists()
        assert sorted(place.iterdir()) == sorted([first, second, place / "of-somebody-else"])


def test_what_is_being_made_is_not_taken_for_deserted(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "YOUNG_SECONDS", 60)
    made = place / f"{memory.PREFIX}made"
    made.mkdir()
    memory.remove_deserted(place)
    assert made.exists()


def test_where_there_is_little_room_it_is_made_where_temporary_files_are(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "ROOM", 1 << 60)
    with memory.directory_in_memory() as directory:
        assert directory.is_dir()
        assert directory.parent != place


def test_a_system_without_such_a_place_has_no_room(place: Path) -> None:
    assert not memory.has_room(place / "missing")
    assert memory.has_room(place)
