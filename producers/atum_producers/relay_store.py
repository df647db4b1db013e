"""The relay's statements: issuing, publishing, sweeping. Lock order: flow, batch, mail by id, ready."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString, NamedTuple

from psycopg.rows import class_row, tuple_row

from atum_schema import flow_store
from atum_schema.fallback import SMTP
from atum_schema.flow_allowance import allowance, issued, spends

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from psycopg import Cursor

    from atum_schema.database import Connection
    from atum_schema.flow import Policy
    from atum_schema.flow_store import Flow


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a glance at a lane shows."""

    lane: str
    #: Whether mail is due that the account may be given.
    due: bool
    #: Batches that may be issued now.
    room: int
    #: Seconds after which there may be room although nothing else happens; None: never.
    wait_s: float | None
    #: The window of lane and account.
    flow: Flow


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """What issuing in a lane came to."""

    batches: tuple[UUID, ...]
    #: Due time of the last mail taken; None if nothing was due.
    last_due: datetime | None


# A glance takes no lock: it only saves the statements below where there is nothing to do.
LOOK: LiteralString = """
SELECT l.lane,
       EXISTS (SELECT FROM atum.ready r
               WHERE r.lane = l.lane AND r.due_at <= clock_timestamp() AND r.due_at >= l.mark
                     AND r.account IS DISTINCT FROM %(smtp)s)
       OR (l.place = 1 AND EXISTS (
               SELECT FROM atum.ready r WHERE r.lane = ANY(%(orphaned)s) AND r.due_at <= clock_timestamp()
                                              AND r.account IS DISTINCT FROM %(smtp)s)) AS due
FROM unnest(%(lanes)s::text[], %(marks)s::timestamptz[]) WITH ORDINALITY AS l(lane, mark, place)
"""


def look(
    connection: Connection,
    *,
    lanes: list[str],
    marks: list[datetime],
    orphaned: list[str],
    account: str,
    statement: LiteralString = LOOK,
) -> list[Look]:
    """Glance at the lanes from their low-water marks on; the first one also takes the mail of `orphaned` ones.

    `statement` says which mails count: `LOOK`, or one of `atum_producers.fallback_store`.
    """
    values = {"lanes": lanes, "marks": marks, "orphaned": orphaned, "smtp": SMTP}
    with connection.pipeline(), connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(statement, values)
        windows = flow_store.ask(connection, lanes=lanes, account=account)
        due: dict[str, bool] = dict(cursor.fetchall())
        flows = flow_store.fetch(windows)
    return [_look(row, due=due[row.lane]) for row in flows]


def _look(row: Flow, *, due: bool) -> Look:
    allowed = allowance(row.window, in_flight=row.in_flight, now=row.now, batch_mails=1)
    return Look(lane=row.lane, due=due, room=allowed.batches, wait_s=allowed.wait_s, flow=row)


# Mails are cut into batches by count and by bytes; those under suspicion travel in smaller ones, among themselves.
# Losing this commit in a crash loses the deletion from `ready` with it, so it need not be synchronous: the ticket then
# finds no batch.
def issuing(picked: LiteralString) -> LiteralString:
    """Make the statement that issues what `picked` picks: the ids, due times, sizes and bounds of due mails, locked."""
    return (
        "\nWITH "  # noqa: S608
        + picked
        + """, placed AS (
    SELECT mail_id, due_at, at_most,
           (row_number() OVER turn - 1) / least(%(batch_mails)s, at_most) AS by_count,
           (sum(size) OVER turn - size) / %(batch_bytes)s AS by_bytes
    FROM picked
    WINDOW turn AS (PARTITION BY at_most ORDER BY due_at, mail_id ROWS UNBOUNDED PRECEDING)
), ranked AS (
    SELECT mail_id, due_at, dense_rank() OVER (ORDER BY at_most NULLS FIRST, by_count, by_bytes) AS nth FROM placed
), taken AS (
    -- By its keys: a plan that was made while the queue was empty must not read all of it later.
    DELETE FROM atum.ready WHERE mail_id = ANY(ARRAY(SELECT mail_id FROM ranked WHERE nth <= %(batches)s))
    RETURNING due_at
), batches AS (
    INSERT INTO atum.batch (id, lane, account, mail_ids, publish_after)
    SELECT gen_random_uuid(), %(lane)s, %(account)s, array_agg(mail_id ORDER BY mail_id),
           clock_timestamp() + make_interval(secs => %(publish_timeout_s)s)
    FROM ranked WHERE nth <= %(batches)s
    GROUP BY nth
    RETURNING id
)
SELECT (SELECT array_agg(id) FROM batches) AS batches, (SELECT max(due_at) FROM taken) AS last_due,
       (SELECT count(*) FROM taken) AS mails
"""
    )


# Lane by lane, in the order of the index: with `lane = ANY (…)` all that is due would be sorted for every batch.
ISSUE: LiteralString = issuing("""picked AS (
    SELECT first.* FROM unnest(%(lanes)s::text[]) AS served(lane) CROSS JOIN LATERAL (
        SELECT mail_id, due_at, size, at_most FROM atum.ready r
        WHERE r.lane = served.lane AND due_at <= clock_timestamp() AND due_at >= %(mark)s
              AND account IS DISTINCT FROM %(smtp)s
        ORDER BY due_at
        LIMIT %(mails)s
        FOR UPDATE SKIP LOCKED) first
    ORDER BY due_at
    LIMIT %(mails)s
)""")


class Taken(NamedTuple):
    """What a statement took out of `ready`."""

    batches: list[UUID] | None
    last_due: datetime | None
    mails: int


NOTHING: Final = Issued(batches=(), last_due=None)


def issue(
    connection: Connection,
    *,
    lane: str,
    lanes: list[str],
    account: str,
    mark: datetime,
    batch_mails: int,
    batch_bytes: int,
    publish_timeout_s: float,
    policy: Policy,
    most_batches: int | None = None,
    most_mails: int | None = None,
    statement: LiteralString = ISSUE,
) -> Issued:
    """Take due mails of `lanes` (the lane, and removed ones that fall back to it) as far as the window allows.

    `mark` is the low-water mark: due times before it are skipped, so that dead index entries are. All happens under
    the lock of the window's row, in two round trips; a third where tokens are spent or a probe is sent. `statement`
    says which mails are taken: `ISSUE`, or one of `atum_producers.fallback_store`. Who cannot work off a whole window
    says so by `most_batches` and `most_mails`.
    """
    taken = None
    with connection.pipeline(), connection.transaction():
        found = flow_store.fetch(flow_store.ask_locked(connection, lane=lane, account=account))
        if not found:
            return NOTHING
        (row,) = found
        allowed = allowance(row.window, in_flight=row.in_flight, now=row.now, batch_mails=batch_mails)
        if allowed.batches == 0:
            return NOTHING
        values = {
            "lane": lane,
            "lanes": lanes,
            "account": account,
            "smtp": SMTP,
            "mark": mark,
            "batches": allowed.batches if most_batches is None else min(allowed.batches, most_batches),
            "mails": allowed.mails if most_mails is None else min(allowed.mails, most_mails),
            "batch_mails": allowed.batch_mails,
            "batch_bytes": batch_bytes,
            "publish_timeout_s": publish_timeout_s,
        }
        cursor = connection.cursor(row_factory=tuple_row).execute(statement, values)
        if spends(row.window):
            taken = _taken(cursor)
            _spend(connection, row, mails=0 if taken is None else taken.mails, policy=policy)
    # Where nothing is spent, the commit is on its way before anybody waits for the answer.
    taken = taken or _taken(cursor)
    return NOTHING if taken is None else Issued(batches=tuple(taken.batches or ()), last_due=taken.last_due)


def _taken(cursor: Cursor[Any]) -> Taken | None:
    row = cursor.fetchone()
    return None if row is None else Taken(*row)


def _spend(connection: Connection, row: Flow, *, mails: int, policy: Policy) -> None:
    window = issued(row.window, mails=mails, now=row.now, policy=policy, uniform=random.uniform)
    flow_store.save(connection, lane=row.lane, account=row.account, window=window)


FALL_ASLEEP = """
INSERT INTO atum.sleeper (relay, until, for_mail, for_room)
VALUES (%(relay)s, now() + make_interval(secs => %(seconds)s), %(for_mail)s, %(for_room)s)
ON CONFLICT (relay) DO UPDATE
SET until = excluded.until, for_mail = excluded.for_mail, for_room = excluded.for_room
"""

WAKE = "DELETE FROM atum.sleeper WHERE relay = %(relay)s"


def fall_asleep(
    connection: Connection, relay: UUID, seconds: float, *, for_mail: bool, for_room: bool
) -> None:
    """Ask for a notification within the next `seconds`: when mail comes, or when a window has room again."""
    values = {"relay": relay, "seconds": seconds, "for_mail": for_mail, "for_room": for_room}
    connection.execute(FALL_ASLEEP, values)


def wake(connection: Connection, relay: UUID) -> None:
    """Ask for no more notifications."""
    connection.execute(WAKE, {"relay": relay})


# A batch that a worker has claimed meanwhile needs no ticket any more.
PUBLISHED = """
WITH unsynced AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
UPDATE atum.batch
SET published_at = clock_timestamp(),
    publish_after = clock_timestamp() + make_interval(secs => %(lost_after_s)s * power(2, least(publishes, 5)))
FROM unsynced
WHERE id = ANY(%(ids)s) AND state = 'issued'
"""

DEAD_LETTERS_PUBLISHED = """
UPDATE atum.dead_letter d SET published_at = clock_timestamp()
FROM unnest(%(ids)s::uuid[], %(cycles)s::int[]) AS t(mail_id, cycle)
WHERE d.mail_id = t.mail_id AND d.cycle = t.cycle
"""


def published(connection: Connection, ids: list[UUID], *, lost_after_s: float) -> None:
    """Note that RabbitMQ confirmed the tickets of these batches."""
    connection.execute(PUBLISHED, {"ids": ids, "lost_after_s": lost_after_s})


def dead_letters_published(connection: Connection, pairs: list[tuple[UUID, int]]) -> None:
    """Note that RabbitMQ confirmed the messages of these (mail, cycle) pairs."""
    values = {"ids": [pair[0] for pair in pairs], "cycles": [pair[1] for pair in pairs]}
    connection.execute(DEAD_LETTERS_PUBLISHED, values)


# Locked by id and skipped where another relay is at it. Backing off doubles up to 32 times the first distance. An
# unknown batch has a ticket too, for the actor that searches, due when its search is.
REPUBLISH = """
WITH late AS (
    SELECT id FROM atum.batch
    WHERE state IN ('issued', 'unknown') AND (publish_after < clock_timestamp() OR (%(all)s AND state = 'issued'))
    ORDER BY id LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
UPDATE atum.batch b
SET publishes = publishes + 1, published_at = NULL,
    publish_after = clock_timestamp() + make_interval(secs => %(publish_timeout_s)s * power(2, least(publishes, 5)))
FROM late
WHERE b.id = late.id
RETURNING b.id, b.lane, b.state
"""


def late_tickets(
    connection: Connection, *, publish_timeout_s: float, limit: int, every: bool
) -> list[tuple[UUID, str, str]]:
    """Give the id, lane and state of batches whose ticket is due (again), and put off their next turn.

    An issued one's ticket was not confirmed or got lost; an unknown one's search is due. `every` takes all issued
    batches: after a reconnect nobody knows what the broker still has.
    """
    with connection.cursor(row_factory=tuple_row) as cursor:
        values = {"publish_timeout_s": publish_timeout_s, "limit": limit, "all": every}
        return cursor.execute(REPUBLISH, values).fetchall()


# Two relays do not publish the same one: who takes it has the time budget of a publish for it.
TAKE_DEAD = """
WITH oldest AS (
    SELECT mail_id, cycle FROM atum.dead_letter
    WHERE published_at IS NULL AND publish_after <= clock_timestamp()
    ORDER BY dead_at LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
UPDATE atum.dead_letter d
SET publish_after = clock_timestamp() + make_interval(secs => %(publish_timeout_s)s)
FROM oldest WHERE d.mail_id = oldest.mail_id AND d.cycle = oldest.cycle
RETURNING d.mail_id, d.cycle, d.reason, d.code, d.attempts
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A (mail, cycle) pair whose message is not in `mail.dead` yet."""

    mail_id: UUID
    cycle: int
    reason: str
    code: int | None
    attempts: int


def take_dead_letters(connection: Connection, *, publish_timeout_s: float, limit: int) -> list[DeadLetter]:
    """Take the oldest dead letters that RabbitMQ has not confirmed and nobody is publishing."""
    with connection.cursor(row_factory=class_row(DeadLetter)) as cursor:
        values = {"publish_timeout_s": publish_timeout_s, "limit": limit}
        return cursor.execute(TAKE_DEAD, values).fetchall()


ENSURE_PARTITIONS: Final = "SELECT atum.ensure_partitions()"


def ensure_partitions(connection: Connection) -> int:
    """Make the partitions of the coming months; give how many were missing."""
    return _count(connection, ENSURE_PARTITIONS)


def _count(connection: Connection, statement: Any) -> int:
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(statement).fetchone()
    return int(row[0]) if row else 0


# One index probe per lane instead of a walk over the backlog.
LANES_WAITING = """
WITH RECURSIVE lanes AS (
    SELECT min(lane) AS lane FROM atum.ready
    UNION ALL
    SELECT (SELECT min(r.lane) FROM atum.ready r WHERE r.lane > lanes.lane) FROM lanes WHERE lanes.lane IS NOT NULL
)
SELECT lane FROM lanes WHERE lane IS NOT NULL
"""


def lanes_waiting(connection: Connection) -> list[str]:
    """Give the lanes that have mail waiting, known to the settings or not."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        return [row[0] for row in cursor.execute(LANES_WAITING)]
