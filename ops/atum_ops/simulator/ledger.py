"""The ledger: one append-only record per message that was really accepted. Loss and duplicates are counted from it.

A record is one JSON line: `seq` (int, from 1, no gaps), `accepted_at` (float, unix seconds, never falling),
`message_id`, `request` (int, which HTTP request), `stream`, `from`, `to`, `cc`, `bcc` (lists of addresses), `subject`,
`tag`, `metadata`, and, only where there is something to say, `names`, `attachments`, `skipped` (inactive recipients)
and `status`.

With a file, the lines of a request are handed to the kernel in one write(2) before its answer leaves, so that killing
the simulator forgets nothing that was answered. There is no fsync: a crash of the machine may.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MAIL_KEY = "atum-mail"
_LOAD_BLOCK = 500


class Envelope(NamedTuple):
    """What the ledger keeps of a message: everything but its content."""

    stream: str
    sender: str
    to: list[str]
    cc: list[str]
    bcc: list[str]
    subject: str
    tag: str
    metadata: dict[str, str]
    extra: dict[str, Any]


class Entry(NamedTuple):
    """One accepted message: its MessageID and its envelope."""

    message_id: str
    envelope: Envelope


class Ledger:
    """Append-only record of accepted messages, kept in memory as JSON lines and, if `path` is given, in that file.

    An existing file is loaded again; a last line cut short by a kill is removed, since its answer never left.
    Raises OSError when the file cannot be read or written; then nothing is recorded.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._blocks: list[bytes] = []
        self._firsts: list[int] = []
        self._times: list[float] = []
        self._seen: set[str] = set()
        self._repeated: dict[str, int] = {}
        self._unlabelled = 0
        self.accepted = 0
        self.last_request = 0
        self._fd: int | None = None
        if path is not None:
            self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            self._load(path)

    @property
    def distinct(self) -> int:
        """Distinct `atum-mail` ids accepted."""
        return len(self._seen)

    @property
    def unlabelled(self) -> int:
        """Messages accepted without an `atum-mail` id."""
        return self._unlabelled

    @property
    def repeated(self) -> dict[str, int]:
        """The `atum-mail` ids accepted more than once, each with how often."""
        return self._repeated

    def append(self, entries: Sequence[Entry], *, request: int) -> float:
        """Record the messages of one request, in order; give the time they all carry (unix seconds)."""
        at = time.time()
        if self._times and at < self._times[-1]:
            at = self._times[-1]
        if not entries:
            return at
        block = _render(entries, first=self.accepted + 1, at=at, request=request)
        self._write(block)
        self._keep(block, len(entries), at)
        self.last_request = request
        for entry in entries:
            self._count(entry.envelope.metadata.get(MAIL_KEY))
        return at

    def blocks(self, *, after: int = 0, limit: int | None = None) -> Iterator[bytes]:
        """Give the JSON lines of the records with `seq` > `after`, at most `limit` of them, in blocks.

        What is appended while the iterator is being read is not part of it.
        """
        last = self.accepted if limit is None else min(self.accepted, after + limit)
        index = max(bisect_right(self._firsts, after + 1) - 1, 0)
        while index < len(self._blocks) and self._firsts[index] <= last:
            first, block = self._firsts[index], self._blocks[index]
            following = self._firsts[index + 1] if index + 1 < len(self._firsts) else self.accepted + 1
            if first > after and following <= last + 1:
                yield block
            else:
                lines = block.splitlines(keepends=True)
                yield b"".join(lines[max(after + 1 - first, 0) : last + 1 - first])
            index += 1

    def record(self, seq: int) -> dict[str, Any]:
        """Give the record with this `seq` (1 … `accepted`)."""
        index = bisect_right(self._firsts, seq) - 1
        line = self._blocks[index].split(b"\n")[seq - self._firsts[index]]
        record: dict[str, Any] = orjson.loads(line)
        return record

    def accepted_by(self, at: float) -> int:
        """Give the `seq` of the last record accepted at or before `at` (unix seconds), or 0."""
        index = bisect_right(self._times, at)
        return self._firsts[index] - 1 if index < len(self._firsts) else self.accepted

    def accepted_before(self, at: float) -> int:
        """Give the `seq` of the last record accepted before `at` (unix seconds), or 0."""
        index = bisect_left(self._times, at)
        return self._firsts[index] - 1 if index < len(self._firsts) else self.accepted

    def clear(self) -> None:
        """Forget everything, in the file too."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
        for part in (self._blocks, self._firsts, self._times, self._seen, self._repeated):
            part.clear()
        self._unlabelled = self.accepted = 0

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _write(self, block: bytes) -> None:
        if self._fd is None:
            return
        view = memoryview(block)
        while view:
            view = view[os.write(self._fd, view) :]

    def _keep(self, block: bytes, count: int, at: float) -> None:
        self._blocks.append(block)
        self._firsts.append(self.accepted + 1)
        self._times.append(at)
        self.accepted += count

    def _count(self, mail_id: str | None) -> None:
        if mail_id is None:
            self._unlabelled += 1
        elif mail_id in self._seen:
            self._repeated[mail_id] = self._repeated.get(mail_id, 1) + 1
        else:
            self._seen.add(mail_id)

    def _load(self, path: Path) -> None:
        whole = 0
        block: list[bytes] = []
        at = 0.0
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                record = orjson.loads(line)
                if block and (record["accepted_at"] != at or len(block) == _LOAD_BLOCK):
                    self._keep(b"".join(block), len(block), at)
                    block = []
                block.append(line)
                at = record["accepted_at"]
                self.last_request = record["request"]
                self._count(record["metadata"].get(MAIL_KEY))
        if block:
            self._keep(b"".join(block), len(block), at)
        if self._fd is not None:
            os.ftruncate(self._fd, whole)


def _render(entries: Sequence[Entry], *, first: int, at: float, request: int) -> bytes:
    dumps = orjson.dumps
    lines = []
    for seq, (message_id, envelope) in enumerate(entries, first):
        stream, sender, to, cc, bcc, subject, tag, metadata, extra = envelope
        record = {
            "seq": seq,
            "accepted_at": at,
            "message_id": message_id,
            "request": request,
            "stream": stream,
            "from": sender,
            "to": to,
            "cc": cc,
            "bcc": bcc,
            "subject": subject,
            "tag": tag,
            "metadata": metadata,
        }
        if extra:
            record.update(extra)
        lines.append(dumps(record))
    lines.append(b"")
    return b"\n".join(lines)
