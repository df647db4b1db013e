"""Whom a stream must not mail. Every word that is given about an address is noted, and the latest one counts.

::

    a word ──▶ a complaint of the recipient ──▶ stays for good
                 │ else
                 ▼
               the latest by its own time; of two at the same time the one that suppresses

So the state depends on which words were given, not on the order in which they came. Words of people wait here until
the provider was told (`atum_schema.suppression_orders`).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from atum_schema import arrays
from atum_schema.addresses import folded
from atum_schema.script import Statement

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from atum_schema.script import Script

MARGIN: Final = timedelta(minutes=5)
"""How old a suppression must be before its absence from the provider's list means that it was lifted."""

REASONS: Final = ("hard_bounce", "complaint", "manual")
"""Why an address is not mailed: its server refused it for good, the recipient called a mail spam, somebody decided it."""

_AT_ONCE: Final = 1000
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)

Strength: TypeAlias = "tuple[bool, datetime, bool, str, str, str]"


class Word(NamedTuple):
    """What somebody says about mailing an address in a stream."""

    stream: str
    address: str
    suppressed: bool
    #: hard_bounce, complaint or manual.
    reason: str
    #: Whose word it is: recipient, customer or admin.
    origin: str
    #: How it came: webhook, catch_up, sync, operator or api.
    source: str
    #: When it was given.
    changed_at: datetime


class Entry(NamedTuple):
    """One address on the provider's list of a stream; the words are ours."""

    address: str
    #: hard_bounce, complaint or manual.
    reason: str
    #: recipient, customer or admin.
    origin: str
    #: None where the provider does not say.
    created_at: datetime | None


class Synced(NamedTuple):
    """What came of comparing the provider's list with ours."""

    #: Suppressions that are new, or changed.
    noted: int
    #: Suppressions that are not on the provider's list any more.
    lifted: int


def strength(word: Word) -> Strength:
    """Give the place of a word among all that may be given about an address: the greatest one counts.

    What follows the third part decides nothing that matters; it only makes the order total.
    """
    complaint = word.suppressed and word.reason == "complaint"
    return complaint, word.changed_at, word.suppressed, word.reason, word.origin, word.source


def latest(words: Iterable[Word]) -> list[Word]:
    """Give the word that counts for each address of each stream, in order of both."""
    counting: dict[tuple[str, str], Word] = {}
    for given in words:
        word = _plain(given)
        key = word.stream, word.address
        if key not in counting or strength(counting[key]) < strength(word):
            counting[key] = word
    return [counting[key] for key in sorted(counting)]


def _plain(word: Word) -> Word:
    # Whoever lifts may name what is lifted; a complaint that was lifted is none.
    reason = word.reason if word.suppressed or word.reason != "complaint" else "manual"
    return word._replace(address=folded(word.address), reason=reason)


# Locked in order of stream and address. The comparison is `strength`. What the provider is yet to be told comes after
# all that it says: an order to suppress is lifted by no word, and one to lift stands unless a later word suppresses.
NOTE: Final = """
INSERT INTO atum.suppression AS s (stream, address, suppressed, reason, origin, source, changed_at)
SELECT * FROM unnest(%(streams)s::text[], %(addresses)s::text[], %(suppressed)s::boolean[], %(reasons)s::text[],
                     %(origins)s::text[], %(sources)s::text[], %(changed_at)s::timestamptz[])
    AS w(stream, address, suppressed, reason, origin, source, changed_at)
ORDER BY stream COLLATE "C", address COLLATE "C"
ON CONFLICT (stream, address) DO UPDATE
SET suppressed = excluded.suppressed, reason = excluded.reason, origin = excluded.origin, source = excluded.source,
    changed_at = excluded.changed_at, tries = 0,
    (pending, due_at, note, noted_at) = (
        SELECT s.pending, s.due_at, s.note, s.noted_at
        WHERE s.pending = 'remove' AND excluded.suppressed AND excluded.reason <> 'complaint'
              AND excluded.changed_at <= s.noted_at
        UNION ALL SELECT NULL, NULL, NULL, clock_timestamp()
        LIMIT 1)
WHERE (excluded.suppressed AND excluded.reason = 'complaint', excluded.changed_at, excluded.suppressed,
       excluded.reason COLLATE "C", excluded.origin COLLATE "C", excluded.source COLLATE "C")
      > (s.suppressed AND s.reason = 'complaint', s.changed_at, s.suppressed,
         s.reason COLLATE "C", s.origin COLLATE "C", s.source COLLATE "C")
      AND (excluded.suppressed OR s.pending IS DISTINCT FROM 'add')
RETURNING true
"""


def noting(words: Iterable[Word]) -> Script[int]:
    """Note words, in the caller's transaction; give how many of them changed what is known."""
    counting = latest(words)
    if not counting:
        return 0
    rows = yield Statement(
        NOTE,
        {
            "streams": arrays.Texts([word.stream for word in counting]),
            "addresses": arrays.Texts([word.address for word in counting]),
            "suppressed": arrays.Booleans([word.suppressed for word in counting]),
            "reasons": arrays.Texts([word.reason for word in counting]),
            "origins": arrays.Texts([word.origin for word in counting]),
            "sources": arrays.Texts([word.source for word in counting]),
            "changed_at": arrays.Times([word.changed_at for word in counting]),
        },
    )
    return len(rows)


# Nothing that the provider is yet to be told, and nothing that it refused to hear: that was not on its list before.
LIFTABLE: Final = """
SELECT address FROM atum.suppression
WHERE stream = %(stream)s AND suppressed AND reason <> 'complaint' AND pending IS NULL AND tries = 0
      AND changed_at < %(before)s
"""


def syncing(stream: str, entries: Sequence[Entry], asked_at: datetime) -> Script[Synced]:
    """Take over the provider's whole list of a stream, for which it was asked at `asked_at` by our clock.

    What is not on it was lifted there, unless it is a complaint or younger than the margin: the list may be late.
    """
    before = asked_at - MARGIN
    present = latest(_word(stream, entry) for entry in entries)
    listed = {word.address for word in present}
    liftable = yield Statement(LIFTABLE, {"stream": stream, "before": before})
    noted = yield from _noting_all(present)
    absent = [_lifted(stream, address, before) for (address,) in liftable if address not in listed]
    lifted = yield from _noting_all(absent)
    return Synced(noted=noted, lifted=lifted)


def _noting_all(words: Sequence[Word]) -> Script[int]:
    changed = 0
    for start in range(0, len(words), _AT_ONCE):
        changed += yield from noting(words[start : start + _AT_ONCE])
    return changed


def _word(stream: str, entry: Entry) -> Word:
    return Word(
        stream=stream,
        address=folded(entry.address),
        suppressed=True,
        reason=entry.reason,
        origin=entry.origin,
        source="sync",
        changed_at=entry.created_at or _LONG_AGO,
    )


def _lifted(stream: str, address: str, at: datetime) -> Word:
    return Word(
        stream, address, suppressed=False, reason="manual", origin="customer", source="sync", changed_at=at
    )
