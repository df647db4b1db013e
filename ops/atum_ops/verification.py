"""Running the ledger check against a database and a ledger."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING
from uuid import UUID

import orjson
import psycopg
from psycopg.rows import class_row

from atum_ops import reading
from atum_ops.audit import Report, check
from atum_ops.simulator.records import LedgerRecord
from atum_schema.errors import SettingsError
from atum_schema.fallback import SMTP

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_AT_ONCE = 10_000
_BEGINNING = UUID(int=0)


def verify(database_url: str, ledger: Iterable[LedgerRecord] | None, *, since: UUID = _BEGINNING) -> Report:
    """Check the log from the id `since` on, in one snapshot.

    `ledger` is what a simulated provider really accepted, of these mails at least.
    """
    copies = None if ledger is None else Counter(record.mail_id for record in ledger if record.mail_id)
    with psycopg.connect(database_url, application_name="atum-verify") as connection:
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return check(audited(connection, since), copies)


def ledger_file(path: Path) -> Iterator[LedgerRecord]:
    """Read a simulator's ledger file. Raises `SettingsError` naming the line that is not a record."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield LedgerRecord.from_document(orjson.loads(line))
            except (orjson.JSONDecodeError, KeyError, TypeError) as error:
                raise SettingsError(
                    f"{path}:{number}: not a ledger record ({type(error).__name__})"
                ) from None


def audited(
    connection: psycopg.Connection[tuple[object, ...]], since: UUID = _BEGINNING
) -> Iterator[reading.Audited]:
    """Give the mails of the log from the id `since` on, as the audit sees them, within one statement."""
    with connection.cursor("audit", row_factory=class_row(reading.Audited)) as cursor:
        cursor.itersize = _AT_ONCE
        yield from cursor.execute(reading.AUDIT, {"since": since, "smtp": SMTP})
