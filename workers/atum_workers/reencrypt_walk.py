"""A walk over everything that is encrypted: where it is, what it has come to, and when one begins. Pure.

It goes over all rows, and again until a pass finds none from before the walk that is under another key and can be read:
what was committed behind its back is found by the next pass. What a part that still has the old key first has stored
since then is noticed: the walk is done again, later, by itself.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from atum_schema.ids import first_mail_id
from atum_workers.reencrypt_store import FIRST

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from atum_workers.reencrypt_store import Seen


_AGAIN: Final = timedelta(hours=1)


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
    #: The same, stored since the walk began.
    late: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)

    def found(self, ids: Iterable[UUID]) -> None:
        """Count rows that were under another key and could be read."""
        began = first_mail_id(self.began_at)
        for one in ids:
            if one < began:
                self.stale += 1
            else:
                self.late += 1

    def is_past(self, last: UUID) -> bool:
        """Whether all from before this pass is done: nobody runs after those who store faster than it encrypts."""
        return last >= first_mail_id(self.pass_began_at)

    @property
    def counts(self) -> dict[str, int]:
        """What it has come to, for people."""
        return {
            "looked_at": self.keys.total(),
            "reencrypted": self.changed,
            "unreadable": self.unreadable.total(),
            "late": self.late,
        }

    def again(self, now: datetime) -> None:
        """Begin the next pass."""
        self.passes += 1
        self.pass_began_at = now
        self.shelf, self.after = 0, FIRST
        self.keys, self.unreadable = Counter(), Counter()
        self.stale = self.late = 0


class Ended(NamedTuple):
    """What the last walk that came to its end has found."""

    active: str
    began_at: datetime
    #: When its last pass began: what was stored before is counted.
    seen_at: datetime
    ended_at: datetime
    changed: int
    #: Rows that came under another key since then, as far as it has seen them.
    late: int
    #: Rows by the key that they had, and those that cannot be read.
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


def should_begin(progress: Progress, active: str, *, asked: bool, now: datetime) -> bool:
    """Whether a walk to this key begins; again after an hour when rows came under another key during the last one.

    Not by itself when a later walk has left that key behind: then this process has not been given the new one yet.
    """
    if asked:
        return True
    last = progress.ended
    if last is not None and last.active == active and progress.walk is None:
        return bool(last.late) and now - last.ended_at >= _AGAIN
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
        late=walk.late,
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
            "late": walk.late,
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
            late=walk["late"],
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
