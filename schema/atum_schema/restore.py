"""Noticing that the database is not the one it was: restored, or a replica that was promoted.

Acknowledged commits may be missing then, posting marks among them: what the log shows as waiting may have been posted.
Every new connection is checked before it issues or claims, and everything that waits and was due is doubted once:
it becomes unknown, is searched for at the provider by each mail's own id, and goes on by what is found.

A cold copy of the data directory that is put back has the same identifier and timeline. Only who saw the server
before can tell, by a write-ahead log that has become shorter: a relay from its last look, a worker from its last
posting mark. After such a restore with everything stopped, an operator says so (`atum-mailer restored`).
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, NamedTuple

import psycopg
from psycopg.rows import args_row, tuple_row

if TYPE_CHECKING:
    from datetime import datetime

    from atum_schema.database import Connection
    from atum_schema.settings import Settings

log = logging.getLogger(__name__)


class OtherServer(psycopg.OperationalError):
    """The database is in recovery: it takes no writes, and may branch off yet."""


class Seen(NamedTuple):
    """What a connection sees of its server."""

    #: Whether identifier and timeline are those on record; None while the server is in recovery.
    same: bool | None
    #: Bytes of write-ahead log that the server has written so far.
    wal: int | None
    #: When it was last looked through.
    looked_at: datetime


# A server in recovery lets in who only reads, and refuses to tell its timeline.
SEE = """
SELECT CASE WHEN NOT r.recovering
            THEN (s.system_identifier, atum.timeline()) = (c.system_identifier, c.timeline) END AS same,
       CASE WHEN NOT r.recovering THEN (pg_current_wal_insert_lsn() - '0/0')::bigint END AS wal,
       c.seen_at AS looked_at
FROM atum.cluster c, pg_control_system() s, (SELECT pg_is_in_recovery()) AS r(recovering)
"""


class Watch:
    """Remembers how much write-ahead log was seen; one for all connections of a process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: Seen | None = None
        self._noting = threading.Lock()
        self._noted = 0

    def note(self, wal: int) -> None:
        """Remember that something of ours was written at this place: whoever posts must never forget that it did."""
        with self._noting:
            self._noted = max(self._noted, wal)

    def is_same(self, connection: Connection) -> bool:
        """Whether this is the server that was looked through, with all that it has told us before.

        Raises `OtherServer` while it is in recovery: it takes no writes, and may branch off yet.
        """
        # Seen under the lock, so that no slower thread compares an older number with a newer one.
        with self._lock, connection.cursor(row_factory=args_row(Seen)) as cursor:
            seen = cursor.execute(SEE).fetchone()
            if seen is None or seen.same is None:
                raise OtherServer("the database is in recovery")
            if not seen.same or (self._last is not None and self._is_older(seen, self._last)):
                return False
            if self._last is not None and seen.looked_at > self._last.looked_at:
                # Somebody has looked through a log that may have begun again further back.
                with self._noting:
                    self._noted = 0
            self._last = seen
            return True

    def _is_older(self, seen: Seen, last: Seen) -> bool:
        """Whether the server has forgotten something that we know, and nobody has looked it through since then."""
        if seen.looked_at != last.looked_at:
            return seen.looked_at < last.looked_at
        return (seen.wal or 0) < max(last.wal or 0, self._noted)


LOCK_CLUSTER = "SELECT FROM atum.cluster FOR UPDATE"

# Nothing is issued meanwhile, and who claims waits for its batch and finds it unknown.
LOCK_FLOWS = "SELECT FROM atum.flow ORDER BY lane, account FOR UPDATE"

LOCK_BATCHES = "SELECT FROM atum.batch ORDER BY id FOR UPDATE"

# A worker from before may still be at a POST for so long; then the first search comes.
DOUBT = """
WITH times AS MATERIALIZED (
    SELECT clock_timestamp() + make_interval(secs => %(patience_s)s) AS anchor_at,
           clock_timestamp() + make_interval(secs => %(patience_s)s + %(settle_s)s) AS search_at
), waiting AS (
    -- What was not due yet cannot have been issued in the time that is missing.
    DELETE FROM atum.ready WHERE due_at <= clock_timestamp() RETURNING mail_id, lane
), placed AS (
    SELECT mail_id, lane, (row_number() OVER (PARTITION BY lane ORDER BY mail_id) - 1) / 100 AS nth FROM waiting
), fresh AS (
    INSERT INTO atum.batch (id, lane, account, state, mail_ids, publish_after, token, claimed_by, posting_at,
                            anchor_at, search_at, by_mail)
    SELECT gen_random_uuid(), lane, %(account)s, 'unknown', array_agg(mail_id ORDER BY mail_id), search_at,
           gen_random_uuid(), 'restore', clock_timestamp(), anchor_at, search_at, true
    FROM placed, times GROUP BY lane, nth, anchor_at, search_at
    RETURNING id, mail_ids
), travelling AS (
    UPDATE atum.batch
    SET state = 'unknown', by_mail = true, token = coalesce(token, gen_random_uuid()),
        posting_at = coalesce(posting_at, clock_timestamp()), publishes = 0, anchor_at = times.anchor_at,
        search_at = times.search_at, publish_after = times.search_at, searches = 0
    FROM times
    WHERE state <> 'unknown' OR NOT by_mail
    RETURNING id, mail_ids
), doubted AS (
    SELECT u.id, b.id AS batch_id FROM (SELECT * FROM fresh UNION ALL SELECT * FROM travelling) b
    CROSS JOIN unnest(b.mail_ids) AS u(id)
), explained AS (
    INSERT INTO atum.event (mail_id, cause, from_status, to_status, batch_id, detail)
    SELECT m.id, 'outcome_unknown', m.status, 'unknown', d.batch_id, 'the database was restored: it may have been posted'
    FROM doubted d JOIN atum.mail m ON m.id = d.id WHERE m.status IN ('queued', 'scheduled', 'retrying')
    RETURNING mail_id, from_status
), counted AS (
    INSERT INTO atum.transition (lane, cause, from_status, to_status, reason, code, http_status, number)
    SELECT m.lane, 'outcome_unknown', e.from_status, 'unknown', 'database_restored', 0, 0, count(*)
    FROM explained e JOIN atum.mail m ON m.id = e.mail_id GROUP BY m.lane, e.from_status
), changed AS (
    -- What may be at the provider goes by no other way: only the provider can be asked.
    UPDATE atum.mail SET status = 'unknown', reason = 'database_restored', due_at = NULL,
                         account = coalesce(account, %(account)s),
                         detail = 'the database was restored: it may have been posted'
    WHERE id IN (SELECT mail_id FROM explained)
), known AS (
    UPDATE atum.cluster SET system_identifier = s.system_identifier, timeline = atum.timeline(), seen_at = clock_timestamp()
    FROM pg_control_system() s
)
SELECT count(*) FROM explained
"""


def doubt(
    connection: Connection, watch: Watch | None, *, account: str, patience_s: float, settle_s: float
) -> int | None:
    """Doubt everything that waits and was due, once for each restore; give the number of mails, or None.

    One transaction; of several relays one does it. `patience_s` is how long a worker from before may still be at a
    POST, `settle_s` how long after that the first search is due. Without a `watch`, it is done whatever is seen.
    """
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(LOCK_CLUSTER)
        if watch is not None and watch.is_same(connection):
            return None
        cursor.execute(LOCK_FLOWS)
        cursor.execute(LOCK_BATCHES)
        values = {"account": account, "patience_s": patience_s, "settle_s": settle_s}
        row = cursor.execute(DOUBT, values).fetchone()
    return 0 if row is None else int(row[0])


def look_through(connection: Connection, watch: Watch, settings: Settings) -> None:
    """Doubt everything that waits, if this is not the server that was looked through. Whoever notices does it.

    Raises `OtherServer` while the server is in recovery.
    """
    if watch.is_same(connection):
        return
    doubted = doubt(
        connection,
        watch,
        account=settings.account,
        patience_s=settings.posting_lease_s,
        settle_s=settings.settle_schedule[0],
    )
    if doubted is not None:
        log.error(
            "the database was restored or promoted; mails that may have been posted since are searched for",
            extra={"count": doubted},
        )
