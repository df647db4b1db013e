"""Exporting the log: page by page along its ids, so that memory does not depend on how much there is."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click
import orjson

from atum_ops import csv_cells
from atum_ops.mails import log_store
from atum_ops.mails.log_store import Logged
from atum_schema.errors import AtumError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from uuid import UUID

    from atum_ops.selection import Selection
    from atum_schema.database import Connection

    Write = Callable[[str], None]

_AT_ONCE: Final = 2000
"""Mails that are held in memory at a time."""

COLUMNS: Final = Logged._fields
_OWNER_ONLY: Final = 0o600


def pages(
    connection: Connection, selection: Selection, *, limit: int | None = None
) -> Iterator[tuple[list[Logged], UUID | None]]:
    """Give the mails that match, newest first, a page at a time, each with where the next one begins.

    What is accepted meanwhile is newer than the first page, and left out.
    """
    before: UUID | None = None
    left = limit
    while left is None or left > 0:
        most = _AT_ONCE if left is None else min(left, _AT_ONCE)
        page = log_store.page(connection, selection, limit=most, before=before, scan=_AT_ONCE)
        before = page.before
        yield page.mails, before
        if before is None:
            return
        left = None if left is None else left - len(page.mails)


class Csv:
    """RFC 4180, every cell safe for spreadsheets."""

    head: str = csv_cells.text([COLUMNS])
    tail: str = ""

    def block(self, mails: Sequence[Logged], *, first: bool) -> str:
        """Write mails."""
        del first
        return csv_cells.text(mails)


class JsonLines:
    """One JSON object per line."""

    head: str = ""
    tail: str = ""

    def block(self, mails: Sequence[Logged], *, first: bool) -> str:
        """Write mails."""
        del first
        return "".join(f"{_object(mail)}\n" for mail in mails)


class Json:
    """One JSON array, an object per line in it."""

    head: str = "["
    tail: str = "\n]\n"

    def block(self, mails: Sequence[Logged], *, first: bool) -> str:
        """Write mails; `first` says that none was written before."""
        joined = ",\n".join(map(_object, mails))
        return joined and f"{'' if first else ','}\n{joined}"


FORMATS: Final[dict[str, Csv | Json | JsonLines]] = {"csv": Csv(), "json": Json(), "jsonl": JsonLines()}


def _object(mail: Logged) -> str:
    return orjson.dumps(mail._asdict(), default=str).decode()


def export(
    connection: Connection,
    selection: Selection,
    write: Write,
    *,
    form: str,
    limit: int | None,
    told: Callable[[int, UUID | None], None],
) -> int:
    """Write the mails that match; give how many. `told` hears the number so far, and how far back it is."""
    written = FORMATS[form]
    number = 0
    write(written.head)
    for mails, before in pages(connection, selection, limit=limit):
        block = written.block(mails, first=number == 0)
        if block:
            write(block)
        number += len(mails)
        told(number, before)
    write(written.tail)
    return number


@contextmanager
def sink(path: Path | None, *, force: bool) -> Iterator[Write]:
    """Give what writes to a file, or to standard output.

    A file appears when it is complete, readable by its owner only. Raises `AtumError` when there is one and not
    `force`, or when it cannot be written.
    """
    if path is None:
        yield lambda text: click.echo(text, nl=False)
        return
    if not force and path.exists():
        raise AtumError(f"{path} exists already; to replace it: --force")
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        # A name of its own, never somebody else's file or link.
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    except OSError as error:
        raise AtumError(f"{path}: cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield _writing(file, path)
            file.flush()
            os.fsync(file.fileno())
        _publish(part, path, force=force)
    except OSError as error:
        raise AtumError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


def _writing(file: Any, path: Path) -> Write:
    def write(text: str) -> None:
        try:
            file.write(text)
        except OSError as error:
            raise AtumError(f"{path}: cannot be written: {error.strerror}") from None

    return write


def _publish(part: Path, path: Path, *, force: bool) -> None:
    """Give a complete file its name; one that has come meanwhile is replaced only by `force`."""
    if force:
        part.replace(path)
        return
    try:
        os.link(part, path)
    except FileExistsError:
        raise AtumError(f"{path} has come into being meanwhile; to replace it: --force") from None
