"""Ports that are picked before they are used: by several processes at once, each another one."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Final

from atum_ops.stack import ports

if TYPE_CHECKING:
    import pytest

PICK: Final = "from atum_ops.stack.ports import free_port; print(free_port(), flush=True); input()"


class Alike:
    """Draws the same numbers as everybody else."""

    def __init__(self) -> None:
        self._next = 20_000

    def randrange(self, low: int, high: int) -> int:
        self._next += 1
        assert low <= self._next < high
        return self._next


def test_a_port_that_was_just_picked_is_not_picked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_CHANCE", Alike())
    first = ports.free_port()
    monkeypatch.setattr(ports, "_CHANCE", Alike())
    assert ports.free_port() > first


def test_a_port_that_another_process_has_just_picked_is_not_picked_until_that_process_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = [sys.executable, "-c", PICK]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        theirs = int(other.stdout.readline())
        drawn = iter([theirs, theirs + 1, theirs, theirs + 2])
        monkeypatch.setattr(ports._CHANCE, "randrange", lambda *_: next(drawn))
        assert ports.free_port() != theirs
        other.communicate(b"\n")
    drawn = iter([theirs])
    assert ports.free_port() == theirs
