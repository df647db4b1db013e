"""Which content keys are in use, and whether one may be removed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from atum_workers import reencrypt_store as store
from atum_workers.reencrypt_walk import loaded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_schema.database import Connection
    from atum_schema.encryption import Keyring
    from atum_workers.reencrypt_walk import Progress

LOOK: Final = 5000
"""How many of the oldest and of the newest rows a look takes, per table."""

_PAGE: Final = 10_000


class Use(NamedTuple):
    """How many rows are under which key."""

    #: By table, then by key.
    counts: dict[str, Counter[str]]
    #: Whether all rows were looked at.
    complete: bool

    @property
    def keys(self) -> set[str]:
        """The keys that are in use."""
        return {key for counts in self.counts.values() for key in counts}

    @property
    def total(self) -> int:
        """How many rows were looked at."""
        return sum(counts.total() for counts in self.counts.values())


def look(connection: Connection, *, limit: int = LOOK) -> Use:
    """Look at the oldest and the newest rows of each table."""
    counts = {shelf.name: Counter(store.look(connection, shelf, limit=limit)) for shelf in store.SHELVES}
    return Use(counts, complete=all(each.total() < limit for each in counts.values()))


def count(connection: Connection, *, page: int = _PAGE) -> Iterator[Use]:
    """Look at all rows, in steps; give what there is so far. The last one is complete."""
    counts: dict[str, Counter[str]] = {shelf.name: Counter() for shelf in store.SHELVES}
    for shelf in store.SHELVES:
        after = store.FIRST
        while seen := store.page(connection, shelf, after=after, limit=page):
            counts[shelf.name].update(row.key_id for row in seen)
            after = seen[-1].id
            yield Use(counts, complete=False)
    yield Use(counts, complete=True)


PROGRESS: Final = "SELECT progress FROM atum.maintenance WHERE name = 'reencrypt'"


def progress(connection: Connection) -> Progress:
    """Give what the walks have come to."""
    row = connection.execute(PROGRESS).fetchone()
    return loaded(row[0] if row is not None else {})


class KeyRow(NamedTuple):
    """A key, as operators see it. Its fields are the columns of the table."""

    key: str
    #: `active`, `yes` or `no`.
    in_keyring: str
    #: Rows under it, of those looked at.
    content: int
    events: int
    #: Rows that the last complete walk has found under it, and those of them that it could not read.
    last_walk: int | None
    unreadable: int | None
    #: `yes`, `no`, or `unknown` until a walk to the active key has come to its end.
    removable: str


class Status(NamedTuple):
    """What is to be said about keys."""

    active: str
    keys: list[KeyRow]
    looked_at: int
    #: Whether that was everything.
    complete: bool
    progress: Progress

    @property
    def missing(self) -> list[KeyRow]:
        """Keys of stored rows that are not in the keyring."""
        return [one for one in self.keys if one.in_keyring == "no"]

    @property
    def broken(self) -> list[KeyRow]:
        """Keys in the keyring under which the last walk has found what it could not read."""
        return [one for one in self.keys if one.in_keyring != "no" and one.unreadable]


def status(keyring: Keyring, use: Use, known: Progress) -> Status:
    """Put together what is known. Pure."""
    last = known.ended
    walked = last.keys if last is not None else {}
    unreadable = last.unreadable if last is not None else {}
    # What a walk has found may be gone since: only where not all was looked at it still counts.
    found = use.keys if use.complete else use.keys | unreadable.keys()
    keys = [*keyring.ids, *sorted(found - set(keyring.ids))]

    def removable(key: str) -> str:
        if key == keyring.active or key in use.keys:
            return "no"
        if use.complete:
            return "yes"
        if last is None or last.active != keyring.active or known.walk is not None:
            return "unknown"
        return "no" if key in walked or last.late else "yes"

    def of_walk(counts: dict[str, int], key: str) -> int | None:
        return None if last is None else counts.get(key, 0)

    rows = [
        KeyRow(
            key=key,
            in_keyring="active" if key == keyring.active else "yes" if key in keyring.ids else "no",
            content=use.counts["content"][key],
            events=use.counts["events"][key],
            last_walk=of_walk(walked, key),
            unreadable=of_walk(unreadable, key) if key in found else 0 if last is not None else None,
            removable=removable(key) if key in keyring.ids else "–",
        )
        for key in keys
    ]
    return Status(keyring.active, rows, use.total, use.complete, known)


def document(found: Status) -> dict[str, Any]:
    """Give it for JSON."""
    walk, last = found.progress.walk, found.progress.ended
    return {
        "active": found.active,
        "keys": [each._asdict() for each in found.keys],
        "looked_at": found.looked_at,
        "complete": found.complete,
        "walk": None
        if walk is None
        else {
            "active": walk.active,
            "began_at": walk.began_at.isoformat(),
            "pass": walk.passes,
            **walk.counts,
        },
        "last_walk": None
        if last is None
        else {
            "active": last.active,
            "began_at": last.began_at.isoformat(),
            "ended_at": last.ended_at.isoformat(),
            "reencrypted": last.changed,
            "late": last.late,
            "keys": last.keys,
            "unreadable": last.unreadable,
        },
    }
