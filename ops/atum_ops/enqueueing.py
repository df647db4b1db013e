"""Reading mails from files and handing them over, one bad file at a time."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rich.progress import Progress

from atum_schema.document import decode
from atum_schema.errors import EnqueueFailed, EnqueueUncertain, IdempotencyConflict, MailRejected
from atum_schema.mail import Mail

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from uuid import UUID

    from rich.console import Console

    from atum_producers import Mailer

_SUFFIXES: Final = {".eml", ".json", ".jsonl", ".ndjson"}
_LINES: Final = {".jsonl", ".ndjson"}
_AT_ONCE: Final = 250
# A commit whose outcome is unknown is repeated under the same keys, which is safe.
_REPEAT_PAUSES_S: Final = (0.5, 2.0)


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of the files' mails, each named by its source (file, or file:line)."""

    accepted: list[dict[str, str]] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Raw:
    source: str
    data: bytes
    eml: bool


def enqueue_files(paths: Sequence[Path], mailer: Mailer | None, console: Console) -> Outcome:
    """Enqueue every mail in the files; without a mailer only check them. What is refused does not stop the rest."""
    outcome = Outcome()
    files = list(_files(paths, outcome))
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("enqueueing", total=len(files))
        chunk: list[tuple[str, Mail]] = []
        for path in files:
            for raw in _raws(path, outcome):
                chunk += _parsed(raw, outcome)
                if len(chunk) >= _AT_ONCE:
                    _hand_over(chunk, mailer, outcome)
                    chunk = []
            bar.advance(task)
        _hand_over(chunk, mailer, outcome)
    return outcome


def _files(paths: Iterable[Path], outcome: Outcome) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.is_file() and p.suffix.lower() in _SUFFIXES)
        elif path.suffix.lower() in _SUFFIXES:
            yield path
        else:
            _refuse(
                outcome,
                str(path),
                f"has the suffix {path.suffix!r}, must be one of {', '.join(sorted(_SUFFIXES))}",
            )


def _raws(path: Path, outcome: Outcome) -> Iterator[_Raw]:
    suffix = path.suffix.lower()
    try:
        data = path.read_bytes()
    except OSError as error:
        _refuse(outcome, str(path), f"cannot be read: {error.strerror}")
        return
    if suffix not in _LINES:
        yield _Raw(source=str(path), data=data, eml=suffix == ".eml")
        return
    for number, line in enumerate(data.splitlines(), start=1):
        if line.strip():
            yield _Raw(source=f"{path}:{number}", data=line, eml=False)


def _parsed(raw: _Raw, outcome: Outcome) -> list[tuple[str, Mail]]:
    try:
        return [(raw.source, Mail.from_eml(raw.data) if raw.eml else decode(raw.data))]
    except MailRejected as rejection:
        _refuse(outcome, raw.source, str(rejection))
        return []


def _hand_over(chunk: list[tuple[str, Mail]], mailer: Mailer | None, outcome: Outcome) -> None:
    if not chunk:
        return
    if mailer is None:
        outcome.accepted += [{"source": source} for source, _ in chunk]
        return
    try:
        ids = _stored(mailer, [mail for _, mail in chunk])
        outcome.accepted += [{"source": s, "id": str(i)} for (s, _), i in zip(chunk, ids, strict=True)]
    except (MailRejected, IdempotencyConflict) as refusal:
        # The chunk was refused as a whole, for one mail: hand over its halves until that one is alone.
        if len(chunk) == 1:
            _refuse(outcome, chunk[0][0], str(refusal))
            return
        half = len(chunk) // 2
        _hand_over(chunk[:half], mailer, outcome)
        _hand_over(chunk[half:], mailer, outcome)
    except (EnqueueFailed, EnqueueUncertain) as failure:
        # What was accepted before is still told, so that nobody hands it over twice.
        for source, _ in chunk:
            _refuse(outcome, source, str(failure))


def _stored(mailer: Mailer, mails: list[Mail]) -> list[UUID]:
    keys: tuple[str, ...] = ()
    for pause in _REPEAT_PAUSES_S:
        try:
            return mailer.enqueue(mails, keys=keys)
        except EnqueueUncertain as uncertain:
            keys = uncertain.keys
            time.sleep(pause)
    return mailer.enqueue(mails, keys=keys)


def _refuse(outcome: Outcome, source: str, reason: str) -> None:
    outcome.refused.append({"source": source, "reason": reason})
