"""Encrypting anew what is not under the active key, in the background: in steps, slowly, and gone on with after a crash.

::

    page of keys ──▶ groups of those under another key ──▶ decrypt, encrypt ──▶ put in place, if nobody was faster
        │
        └──▶ the next page … the next table … the next pass, until one finds nothing to do

What cannot be read is counted, said loudly, and left as it is: it may be readable with a key that is missing here.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from atum_schema.encryption import HEAD
from atum_schema.errors import ContentUnreadable
from atum_schema.seldom import Seldom
from atum_workers import reencrypt_store as store
from atum_workers import reencrypt_walk as walking

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg_pool import ConnectionPool

    from atum_schema.database import Connection
    from atum_schema.encryption import Keyring
    from atum_workers.maintain import Lease
    from atum_workers.reencrypt_store import Sealed, Seen, Shelf
    from atum_workers.reencrypt_walk import Progress, Walk

log = logging.getLogger(__name__)

ACTOR: Final = "system:reencrypt"

_PAGE: Final = 1000
_CHUNK_BYTES: Final = 4_000_000
# Other tasks want the thread, too.
_RUN_S: Final = 10.0
_CHECK_S: Final = 30.0
_NOT_OURS_S: Final = 5.0
_MOST_REST_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reencryption:
    """Everything that encrypting anew needs. Not for several threads at once: the lease sees to that."""

    pool: ConnectionPool[Connection]
    keyring: Keyring
    #: How long it rests after each group of rows, as a share of the time that the group took.
    rest: float = 1.0
    page: int = _PAGE
    chunk_bytes: int = _CHUNK_BYTES
    run_s: float = _RUN_S
    sleep: Callable[[float], None] = time.sleep
    complaints: Seldom = field(default_factory=lambda: Seldom(600.0))

    def run(self, lease: Lease) -> float:
        """Go on with the walk, or begin one if that is due, for some seconds; give those until the next turn."""
        progress = walking.loaded(lease.progress)
        active = self.keyring.active
        if progress.walk is None or progress.walk.active != active:
            with self.pool.connection() as connection:
                asked = store.asked(connection, active=active)
                now = store.clock(connection)
                if not walking.should_begin(progress, active, asked=asked, now=now):
                    return self._not_now(progress)
                walking.begun(progress, active, now)
            lease.go_on(walking.dumped(progress))
            log.info("reencrypt: everything that is stored comes under one key", extra={"key_id": active})
        until = time.monotonic() + self.run_s
        while progress.walk is not None and not lease.stopping():
            self._step(progress, progress.walk, lease)
            if time.monotonic() > until:
                break
        return 0.0 if progress.walk is not None else _CHECK_S

    def _not_now(self, progress: Progress) -> float:
        active = self.keyring.active
        if active not in progress.retired:
            return _CHECK_S
        if self.complaints.due():
            log.warning(
                "reencrypt: this worker has another key first than everything goes to: it needs the new"
                " ATUM_CONTENT_KEYS, and a restart",
                extra={"before": active, "now": progress.active},
            )
        # Another worker has what it takes.
        return _NOT_OURS_S

    def _step(self, progress: Progress, walk: Walk, lease: Lease) -> None:
        """Do the next rows; at the end of all tables, end the walk or begin the next pass."""
        began = time.monotonic()
        shelf = store.SHELVES[walk.shelf]
        with self.pool.connection() as connection:
            page = store.page(connection, shelf, after=walk.after, limit=self.page)
        rows = walking.first(page, active=walk.active, readable=self.keyring.ids, most_bytes=self.chunk_bytes)
        self._encrypt(shelf, rows, walk)
        walk.keys.update(row.key_id for row in rows)
        if rows:
            walk.after = rows[-1].id
        if len(rows) == len(page) and (len(page) < self.page or walk.is_past(page[-1].id)):
            walk.shelf, walk.after = walk.shelf + 1, store.FIRST
        with self.pool.connection() as connection:
            if walk.shelf < len(store.SHELVES):
                store.advance(connection, active=walk.active, counts=walk.counts)
            elif walk.stale:
                walk.again(store.clock(connection))
            else:
                self._end(connection, progress, walk, lease)
                return
        lease.go_on(walking.dumped(progress))
        self.sleep(min(_MOST_REST_S, (time.monotonic() - began) * self.rest))

    def _encrypt(self, shelf: Shelf, rows: Sequence[Seen], walk: Walk) -> None:
        """Encrypt anew those of the rows that are under another key and can be read."""
        others = [row for row in rows if row.key_id != walk.active]
        known = [row.id for row in others if row.key_id in self.keyring.ids]
        walk.unreadable.update(row.key_id for row in others if row.key_id not in self.keyring.ids)
        if not known:
            return
        anew: list[tuple[Sealed, bytes]] = []
        with self.pool.connection() as connection:
            for row in store.fetch(connection, shelf, known, active=walk.active):
                try:
                    content = self.keyring.decrypt(row.id, row.key_id, row.body)
                except ContentUnreadable as error:
                    about = {"detail": str(error), "key_id": row.key_id}
                    log.error("reencrypt: a content cannot be read", extra=about)  # noqa: TRY400  it says it all
                    walk.unreadable[row.key_id] += 1
                else:
                    anew.append((row, self.keyring.encrypt(row.id, content)))
            walk.found(row.id for row, _ in anew)
            walk.changed += store.replace(connection, shelf, anew, active=walk.active, head=HEAD)

    def _newest(self, connection: Connection, shelf: Shelf, walk: Walk) -> int:
        """Count the newest rows under another key, apart from keys under which there is what cannot be read."""
        found = store.look(connection, shelf, limit=self.page)
        others = set(self.keyring.ids) - {walk.active} - walk.unreadable.keys()
        return sum(number for key, number in found.items() if key in others)

    def _end(self, connection: Connection, progress: Progress, walk: Walk, lease: Lease) -> None:
        newest = sum(self._newest(connection, shelf, walk) for shelf in store.SHELVES)
        walk.late = max(walk.late, newest)
        done = walking.ended(progress, store.clock(connection))
        lease.go_on(walking.dumped(progress))
        store.end(connection, active=walk.active, counts=walk.counts, began_at=done.seen_at, actor=ACTOR)
        if done.unreadable:
            log.error(
                "reencrypt: what cannot be read stays as it is",
                extra={"counts": dict(sorted(done.unreadable.items())), "remedy": "atum-mailer keys status"},
            )
        if done.late:
            log.warning(
                "reencrypt: rows came under another key meanwhile: a part has not been given the new"
                " ATUM_CONTENT_KEYS yet",
                extra={"count": done.late},
            )
        log.info("reencrypt: all else is under one key", extra={"key_id": walk.active, "count": walk.changed})
