"""What a producer writes down: one short line at a time, straight to the file, so that SIGKILL loses none of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from types import TracebackType

_INTENDED: Final = "intended"
_ACKNOWLEDGED: Final = "acknowledged"
_FAILED: Final = "failed"
_UNCERTAIN: Final = "uncertain"

#: Metadata key that carries the order number: what an application wants sent once, whatever it enqueues.
ORDER_KEY: Final = "order"


@dataclass(slots=True, kw_only=True)
class Notes:
    """What producers wrote down, read back."""

    #: Mail ids that `enqueue` returned, with their order numbers.
    acknowledged: dict[UUID, str] = field(default_factory=dict)
    #: Order numbers with a key that were tried and not acknowledged yet: to be repeated.
    open: dict[str, None] = field(default_factory=dict)
    failed: int = 0
    uncertain: int = 0
    #: Orders acknowledged twice under different mail ids.
    split: list[str] = field(default_factory=list)


class Book:
    """Context manager around one append-only file of notes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def intend(self, orders: Iterable[str]) -> None:
        """Note orders that a successor repeats under the same keys unless they are acknowledged."""
        self._write([f"{_INTENDED} {order}\n" for order in orders])

    def acknowledge(self, ids: Sequence[UUID], orders: Sequence[str]) -> None:
        """Note what `enqueue` has returned."""
        self._write([f"{_ACKNOWLEDGED} {order} {one}\n" for one, order in zip(ids, orders, strict=True)])

    def fail(self, mails: int) -> None:
        """Note that so many mails were refused, with nothing stored."""
        self._write([f"{_FAILED} {mails}\n"])

    def doubt(self, mails: int) -> None:
        """Note that so many mails may be stored or not."""
        self._write([f"{_UNCERTAIN} {mails}\n"])

    def _write(self, lines: list[str]) -> None:
        # One call: what the kernel has taken survives us.
        os.write(self._file, "".join(lines).encode())


def read(paths: Iterable[Path]) -> Notes:
    """Read what was noted; a last line that is not whole was never acknowledged to anybody."""
    notes = Notes()
    ids: dict[str, UUID] = {}
    for path in paths:
        for line in path.read_text().splitlines(keepends=True) if path.exists() else ():
            if line.endswith("\n"):
                _note(notes, ids, line.split())
    return notes


def _note(notes: Notes, ids: dict[str, UUID], words: list[str]) -> None:
    match words:
        case [kind, order] if kind == _INTENDED:
            notes.open.setdefault(order)
        case [kind, order, text] if kind == _ACKNOWLEDGED:
            mail_id = UUID(text)
            if ids.setdefault(order, mail_id) != mail_id:
                notes.split.append(order)
            notes.acknowledged[mail_id] = order
            notes.open.pop(order, None)
        case [kind, mails] if kind == _FAILED:
            notes.failed += int(mails)
        case [kind, mails] if kind == _UNCERTAIN:
            notes.uncertain += int(mails)
        case _:
            raise ValueError(f"not a note of a producer: {' '.join(words)}")
