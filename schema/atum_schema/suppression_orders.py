"""What people and API clients order about suppressions, and what is known of them.

::

    suppress ─▶ counts here at once ─▶ the provider is told       lift ─▶ the provider is asked ─▶ it agreed: lifted
                                            │ it refuses: counts here all the same                    │ it refuses: stays

An order that is acknowledged stops every POST that is not marked yet: its transaction waits for those that are being
marked. Lock order: suppression, batch.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from atum_schema import arrays, audit
from atum_schema.addresses import folded
from atum_schema.script import Statement, blocking

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from atum_schema.script import Script

SUPPRESSED: Final = "suppression.add"
"""What the log of people's actions calls an order to suppress."""
LIFTED: Final = "suppression.remove"
"""What it calls an order to lift."""


class Known(NamedTuple):
    """What is known about mailing an address in a stream."""

    stream: str
    address: str
    suppressed: bool
    reason: str
    origin: str
    source: str
    changed_at: datetime
    note: str | None
    #: What the provider has yet to be told: add or remove.
    pending: str | None
    #: How often telling it has failed; without anything pending, the provider refused.
    tries: int
    due_at: datetime | None


class Answer(StrEnum):
    """What an order came to, each with the sentence that defines it."""

    SUPPRESSED = "suppressed"
    """It is not mailed any more."""
    LIFTING = "lifting"
    """It is lifted once the provider has agreed."""
    COMPLAINT = "complaint"
    """The recipient has complained: that is never lifted, and needs no order to hold."""
    NOT_SUPPRESSED = "not_suppressed"
    """There is nothing to lift."""


KNOWN: Final = """
SELECT stream, address, suppressed, reason, origin, source, changed_at, note, pending, tries, due_at
FROM atum.suppression
WHERE stream = %(stream)s AND address = ANY(%(addresses)s::text[])
ORDER BY address COLLATE "C"
"""


def knowing(stream: str, addresses: Sequence[str]) -> Script[list[Known]]:
    """Tell what is known about these addresses, in order; those nobody ever spoke of are left out."""
    rows: list[Known] = yield Statement(
        KNOWN, {"stream": stream, "addresses": arrays.Texts([folded(each) for each in addresses])}, Known
    )
    return rows


# It is the latest word, whatever clock the others were taken from.
ADD: Final = """
INSERT INTO atum.suppression AS s (stream, address, suppressed, reason, origin, source, changed_at, note, pending, due_at)
SELECT %(stream)s, address, true, 'manual', 'customer', %(source)s, clock_timestamp(), %(note)s, 'add', clock_timestamp()
FROM unnest(%(addresses)s::text[]) AS a(address)
ORDER BY address COLLATE "C"
ON CONFLICT (stream, address) DO UPDATE
SET suppressed = true, reason = 'manual', origin = 'customer', source = excluded.source, note = excluded.note,
    changed_at = greatest(excluded.changed_at, s.changed_at + interval '1 microsecond'), noted_at = clock_timestamp(),
    pending = 'add', tries = 0, due_at = clock_timestamp()
WHERE NOT (s.suppressed AND s.reason = 'complaint')
RETURNING address
"""

PATIENCE: Final = "SELECT set_config('lock_timeout', '5s', true)"

# Whoever marks a POST holds the table for as long as its transaction lasts: it was there before, or sees the order.
WAIT_FOR_MARKS: Final = "LOCK TABLE atum.batch IN SHARE MODE"


def suppressing(
    stream: str, addresses: Sequence[str], *, actor: str, source: str, note: str | None = None
) -> Script[dict[str, Answer]]:
    """Suppress addresses in a stream, in the caller's transaction: once it is committed, no POST to them is begun.

    `source` is 'operator' or 'api'. Waits for marks for 5 s at most, and then fails with a lock timeout: to be repeated.
    """
    wanted = sorted({folded(each) for each in addresses})
    yield Statement(PATIENCE, {})
    rows = yield Statement(
        ADD, {"stream": stream, "addresses": arrays.Texts(wanted), "source": source, "note": note}
    )
    added = {address for (address,) in rows}
    yield from audit.recording_all(actor, SUPPRESSED, _details(stream, sorted(added), note))
    yield Statement(WAIT_FOR_MARKS, {})
    return {each: Answer.SUPPRESSED if each in added else Answer.COMPLAINT for each in wanted}


STANDING: Final = """
SELECT address, reason FROM atum.suppression
WHERE stream = %(stream)s AND address = ANY(%(addresses)s::text[]) AND suppressed
ORDER BY address COLLATE "C" FOR UPDATE
"""

REMOVE: Final = """
UPDATE atum.suppression
SET pending = 'remove', tries = 0, due_at = clock_timestamp(), noted_at = clock_timestamp(), note = %(note)s
WHERE stream = %(stream)s AND address = ANY(%(addresses)s::text[])
"""


def lifting(
    stream: str, addresses: Sequence[str], *, actor: str, note: str | None = None
) -> Script[dict[str, Answer]]:
    """Order that suppressions be lifted, in the caller's transaction: they stand until the provider has agreed."""
    wanted = sorted({folded(each) for each in addresses})
    yield Statement(PATIENCE, {})
    rows = yield Statement(STANDING, {"stream": stream, "addresses": arrays.Texts(wanted)})
    standing: dict[str, str] = dict(rows)
    liftable = [address for address, reason in standing.items() if reason != "complaint"]
    yield Statement(REMOVE, {"stream": stream, "addresses": arrays.Texts(liftable), "note": note})
    yield from audit.recording_all(actor, LIFTED, _details(stream, liftable, note))
    return {each: _lifted(standing.get(each)) for each in wanted}


def _lifted(reason: str | None) -> Answer:
    if reason is None:
        return Answer.NOT_SUPPRESSED
    return Answer.COMPLAINT if reason == "complaint" else Answer.LIFTING


def _details(stream: str, addresses: Sequence[str], note: str | None) -> list[dict[str, str]]:
    said = {} if note is None else {"note": note}
    return [{"stream": stream, "address": address, **said} for address in addresses]


know = blocking(knowing)
suppress = blocking(suppressing)
lift = blocking(lifting)
