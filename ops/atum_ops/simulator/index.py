"""The search index over the ledger: built when first asked for, then kept up to date with every acceptance.

Each term (a stream, a tag, a recipient, a metadata field and value) has the ascending `seq`s of its messages.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from atum_ops.simulator.ledger import Ledger

_STEP = 2000

Term = tuple[str, str]


class Page(NamedTuple):
    """One page of a search: how many records match in all, and those asked for, newest first."""

    total: int
    records: list[dict[str, Any]]


class Index:
    """Finds records of a ledger by exact terms and `seq` range."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        # Most terms are met once: an int then, which takes a fraction of an array's memory.
        self._postings: dict[str, int | array[int]] = {}
        self._ids: dict[str, int] = {}
        self._done = 0
        self.active = False

    @property
    def behind(self) -> bool:
        """Say whether some record is not indexed yet."""
        return self._done < self._ledger.accepted

    def advance(self, most: int = _STEP) -> None:
        """Index the next `most` records."""
        self.active = True
        for block in self._ledger.blocks(after=self._done, limit=most):
            for line in block.splitlines():
                self._add(orjson.loads(line))

    def find_id(self, message_id: str) -> int | None:
        """Give the `seq` of the message with that MessageID, or None."""
        return self._ids.get(message_id)

    def search(
        self,
        terms: Sequence[Term],
        *,
        first: int,
        last: int,
        offset: int,
        count: int,
        only: Callable[[Mapping[str, Any]], bool] | None = None,
    ) -> Page:
        """Give the matching records with `first` <= seq <= `last`, newest first. Needs at least one term.

        `only` is asked about every record that the terms match, so they had better be few.
        """
        shortest, *others = sorted((self._posting(term) for term in terms), key=len)
        low, high = bisect_left(shortest, first), bisect_right(shortest, last)
        record = self._ledger.record
        if not others and only is None:
            newest_first = range(high - 1 - offset, max(low, high - offset - count) - 1, -1)
            return Page(max(high - low, 0), [record(shortest[at]) for at in newest_first])
        hits = [
            seq
            for seq in shortest[low:high]
            if all(_contains(one, seq) for one in others) and (only is None or only(record(seq)))
        ]
        hits.reverse()
        return Page(len(hits), [record(seq) for seq in hits[offset : offset + count]])

    def _posting(self, term: Term) -> Sequence[int]:
        found = self._postings.get(_key(*term), ())
        return (found,) if isinstance(found, int) else found

    def _add(self, record: Mapping[str, Any]) -> None:
        seq = record["seq"]
        postings = self._postings
        for name, value in _terms(record):
            key = _key(name, value)
            known = postings.get(key)
            if known is None:
                postings[key] = seq
            elif isinstance(known, int):
                postings[key] = array("Q", (known, seq))
            else:
                known.append(seq)
        self._ids[record["message_id"]] = seq
        self._done = seq


def _key(name: str, value: str) -> str:
    return f"{name}\0{value}"


def _terms(record: Mapping[str, Any]) -> Iterator[Term]:
    yield "stream", record["stream"]
    yield "status", record.get("status", "Sent")
    if record["tag"]:
        yield "tag", record["tag"].lower()
    for email in dict.fromkeys(email.lower() for name in ("to", "cc", "bcc") for email in record[name]):
        yield "recipient", email
    for key, value in record["metadata"].items():
        yield f"metadata_{key.lower()}", value


def _contains(postings: Sequence[int], seq: int) -> bool:
    at = bisect_left(postings, seq)
    return at < len(postings) and postings[at] == seq
