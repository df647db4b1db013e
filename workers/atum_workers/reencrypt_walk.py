"""A walk over everything that is encrypted: where it is, what it has come to, and when one begins. Pure.

It goes over all rows, and again until a pass finds none that is under another key and can be read: what was stored
behind its back, by a part that still had the old key first, is found by the next pass.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from atum_workers.reencrypt_store import FIRST

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from atum_workers.reencrypt_store import Seen


@dataclass(slots=True, kw_only=True)
class Walk:
    """A walk under way."""

    #: The key that everything is to be under.
    active: str
    #: By the database's clock.
    began_at: datetime
    #: Rows encrypted anew, in all passes.
    changed: int = 0
    passes: int = 1
    pass_began_at: datetime
    #: Which table, and the last id that is done.
    shelf: int = 0
    after: UUID = FIRST
    #: Of this pass: rows looked at by their key, those under another key that can be read, those that cannot.
    keys: Counter[str] = field(default_factory=Counter)
    stale: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)

    @property
    def counts(self) -> dict[str, int]:
        """What it has come to, for people."""
        return {
            "looked_at": self.keys.total(),
            "reencrypted": self.changed,
            "unreadable": self.unreadable.total(),
        }

    def again(self, now: datetime) -> None:
        """Begin the next pass."""
        self.passes += 1
        self.pass_began_at = now
        self.shelf, self.after = 0, FIRST
        self.keys, self.unreadable, self.stale = Counter(), Counter(), 0


class Ended(NamedTuple):
    """What the last walk that came to its end has found."""

    active: str
    began_at: datetime
    #: When its last pass began: what was stored before is counted.
    seen_at: datetime
    ended_at: datetime
    changed: int
    #: Rows by their key, and those that cannot be read.
    keys: dict[str, int]
    unreadable: dict[str, int]


@dataclass(slots=True, kw_only=True)
class Progress:
    """What the task keeps between its runs."""

    #: The key of the last walk that began.
    active: str | None = None
    #: Keys that earlier walks went to.
    retired: list[str] = field(default_factory=list)
    walk: Walk | None = None
    ended: Ended | None = None


def should_begin(progress: Progress, active: str, *, asked: bool) -> bool:
    """Whether a walk to this key begins.

    Not by itself when a later walk has left that key behind: then this process has not been given the new one yet.
    """
    if asked:
        return True
    if progress.ended is not None and progress.ended.active == active and progress.walk is None:
        return False
    return active not in progress.retired


def begun(progress: Progress, active: str, now: datetime) -> None:
    """Begin a walk to this key."""
    if progress.active not in {None, active, *progress.retired}:
        progress.retired.append(str(progress.active))
    progress.retired = [key for key in progress.retired if key != active]
    progress.active = active
    progress.walk = Walk(active=active, began_at=now, pass_began_at=now)


def ended(progress: Progress, now: datetime) -> Ended:
    """End the walk under way."""
    walk = progress.walk
    if walk is None:
        raise AssertionError("there is no walk")
    progress.walk = None
    progress.ended = Ended(
        active=walk.active,
        began_at=walk.began_at,
        seen_at=walk.pass_began_at,
        ended_at=now,
        changed=walk.changed,
        keys=dict(walk.keys),
        unreadable=dict(walk.unreadable),
    )
    return progress.ended


def first(page: Sequence[Seen], *, active: str, readable: Container[str], most_bytes: int) -> Sequence[Seen]:
    """Give as many of the first rows as are encrypted anew at once: so many bytes at most, but one row in any case."""
    size = 0
    for place, row in enumerate(page):
        if row.key_id != active and row.key_id in readable:
            if size and size + row.size > most_bytes:
                return page[:place]
            size += row.size
    return page


def dumped(progress: Progress) -> dict[str, Any]:
    """Give it for JSON."""
    walk, last = progress.walk, progress.ended
    return {
        "active": progress.active,
        "retired": progress.retired,
        "walk": None
        if walk is None
        else {
            "active": walk.active,
            "began_at": walk.began_at.isoformat(),
            "changed": walk.changed,
            "passes": walk.passes,
            "pass_began_at": walk.pass_began_at.isoformat(),
            "shelf": walk.shelf,
            "after": str(walk.after),
            "keys": dict(walk.keys),
            "stale": walk.stale,
            "unreadable": dict(walk.unreadable),
        },
        "ended": None
        if last is None
        else {
            **last._asdict(),
            "began_at": last.began_at.isoformat(),
            "seen_at": last.seen_at.isoformat(),
            "ended_at": last.ended_at.isoformat(),
        },
    }


def loaded(document: Mapping[str, Any]) -> Progress:
    """Read what `dumped` gave; nothing is the beginning."""
    walk, last = document.get("walk"), document.get("ended")
    return Progress(
        active=document.get("active"),
        retired=list(document.get("retired", [])),
        walk=walk
        and Walk(
            active=walk["active"],
            began_at=datetime.fromisoformat(walk["began_at"]),
            changed=walk["changed"],
            passes=walk["passes"],
            pass_began_at=datetime.fromisoformat(walk["pass_began_at"]),
            shelf=walk["shelf"],
            after=UUID(walk["after"]),
            keys=Counter(walk["keys"]),
            stale=walk["stale"],
            unreadable=Counter(walk["unreadable"]),
        ),
        ended=last
        and Ended(
            **{
                **last,
                "began_at": datetime.fromisoformat(last["began_at"]),
                "seen_at": datetime.fromisoformat(last["seen_at"]),
                "ended_at": datetime.fromisoformat(last["ended_at"]),
            }
        ),
    )
