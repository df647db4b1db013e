"""Reading a snapshot: a fixed set of statements, in one transaction that only reads. Nothing here walks the log."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final

from psycopg import IsolationLevel
from psycopg.rows import tuple_row

from atum_ops.health import database_store
from atum_ops.health.lanes import TASK_LATE_S, orphaned
from atum_ops.health.parts import ALIVE_S, LATELY_S, STUCK_S
from atum_ops.signals.snapshot import (
    PERIODS,
    LaneSignal,
    PartSignal,
    QueueSignal,
    Snapshot,
    TaskSignal,
    Waiting,
    WindowSignal,
)
from atum_ops.signals.why import why
from atum_producers.relay_store import LANES_WAITING
from atum_schema import flow_store
from atum_schema.maintenance import Task
from atum_schema.metrics_catalogue import FIXED
from atum_schema.status import ENDED, PROVEN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from atum_schema.database import Connection
    from atum_schema.flow_store import Flow
    from atum_schema.settings import Settings

_ENDS: Final = frozenset(status.value for status in ENDED)
_PROVEN: Final = frozenset(status.value for status in PROVEN)
_MOVED_INTO: Final = frozenset(FIXED["result"]) - {"finished", "sent"}
_PARTS: Final = FIXED["part"]
_FRESH_S: Final = 60.0


def read(connection: Connection, settings: Settings) -> Snapshot:
    """Read everything as of one moment; `settings` are those of now. Raises `psycopg.Error`.

    The connection is in autocommit mode, and left so.
    """
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(PLANNING)
            at = database_store.now(connection)
            held, unknown, failures, dead, unpublished, stuck = _counts(cursor)
            events = cursor.execute(EVENTS).fetchone() or (None, 0, None, 0, 0)
            recent, deferrals, duplicates, accepted_at = _recent(cursor.execute(RECENT).fetchall())
            totals, all_deferrals, all_duplicates = _totals(cursor.execute(TOTALS).fetchall())
            tallies = cursor.execute(TALLIES).fetchall()
            tasks = _tasks(connection, at)
            lanes = tuple(LaneSignal(*row) for row in cursor.execute(LANES, {"most": most(settings)}))
            waited_for = {lane.lane for lane in lanes if lane.backlog or lane.later}
            return Snapshot(
                at=at,
                lanes=lanes,
                orphaned=orphaned(
                    {lane.lane: lane.backlog + lane.later for lane in lanes},
                    served=database_store.lanes_served(connection, alive_s=ALIVE_S),
                ),
                windows=tuple(_window(row, waited_for) for row in flow_store.read(connection)),
                held=held,
                unknown=unknown,
                search_failures=failures,
                dead=dead,
                dead_unpublished=unpublished,
                batches=dict(cursor.execute(BATCHES).fetchall()),
                stuck_batches=stuck,
                recent=recent,
                recent_deferrals=deferrals,
                recent_duplicates=duplicates,
                totals=totals,
                deferrals=all_deferrals,
                duplicates=all_duplicates,
                last_accepted_at=accepted_at,
                webhook_last_at=events[0],
                inbox_new=Waiting(events[1], events[2]),
                inbox_parked=events[3],
                webhooks_stored=sum(number for name, _, number in tallies if name == "webhook_accepted"),
                webhooks_refused=_refused(tallies),
                suppressed=events[4],
                parts=_parts(connection),
                brokers=dict(cursor.execute(BROKERS, {"alive_s": ALIVE_S}).fetchall()),
                queues={
                    name: QueueSignal(messages, consumers)
                    for name, messages, consumers in cursor.execute(
                        QUEUES, {"queues": list(FIXED["queue"]), "fresh_s": _FRESH_S}
                    )
                },
                heartbeat_at=next((task.ended_at for task in tasks if task.name == Task.ADD_UP.value), None),
                tasks=tasks,
                thresholds=thresholds(settings),
            )
    finally:
        connection.isolation_level = None


def thresholds(settings: Settings) -> dict[str, float]:
    """Give the settings of alerts, by the word of the `setting` label."""
    return {name: float(getattr(settings, f"alert_{name}")) for name in FIXED["setting"]}


# Sums of a day are hashed, not sorted, and nothing here is worth a second process of the server.
PLANNING: Final = (
    "SELECT set_config('enable_sort', 'off', true), set_config('max_parallel_workers_per_gather', '0', true)"
)

MOST: Final = 100_000
"""Mails that are counted in each lane, at most: those that are due, and those that wait for their time. More where a threshold of
the backlog is higher."""


def most(settings: Settings) -> int:
    """Give how many mails are counted in each lane at most, so that every threshold of the backlog can be reached."""
    return max(MOST, settings.alert_queue_backlog_threshold, settings.alert_queue_backlog_critical_threshold)


# Lane by lane along the index, and no further than `most`: millions of mails that wait must not take the time in which
# somebody is to be told of them. The order is there for the plan: a bitmap would be made of all of them.
LANES: Final = f"""
WITH waiting AS ({LANES_WAITING}), travelling AS (
    SELECT lane, sum(cardinality(mail_ids)) FILTER (WHERE state <> 'unknown') AS sending,
           sum(cardinality(mail_ids)) FILTER (WHERE state = 'unknown') AS unknown,
           min(issued_at) FILTER (WHERE state <> 'unknown') AS oldest
    FROM atum.batch GROUP BY lane
), lanes AS (
    SELECT lane FROM waiting UNION SELECT lane FROM travelling UNION SELECT lane FROM atum.flow
)
SELECT lane, w.due, w.later, coalesce(t.sending, 0)::bigint, coalesce(t.unknown, 0)::bigint,
       extract(epoch FROM least(w.oldest, t.oldest))::float8
FROM lanes LEFT JOIN travelling t USING (lane) CROSS JOIN LATERAL (
    SELECT (SELECT count(*) FROM (SELECT FROM atum.ready r WHERE r.lane = lanes.lane AND r.due_at <= now()
                                  ORDER BY r.due_at LIMIT %(most)s) f) AS due,
           (SELECT count(*) FROM (SELECT FROM atum.ready r WHERE r.lane = lanes.lane AND r.due_at > now()
                                  ORDER BY r.due_at LIMIT %(most)s) f) AS later,
           (SELECT min(r.due_at) FROM atum.ready r WHERE r.lane = lanes.lane AND r.due_at <= now()) AS oldest
) w
ORDER BY lane
"""  # noqa: S608  both are ours

COUNTS: Final = """
SELECT h.number AS held, h.oldest AS held_at, u.number AS unknown, u.oldest AS unknown_at, u.failures,
       (SELECT count(*) FROM atum.dead_letter) AS dead,
       (SELECT extract(epoch FROM min(dead_at))::float8 FROM atum.dead_letter) AS dead_at, d.number AS unpublished, d.oldest AS unpublished_at,
       s.number AS stuck
FROM (SELECT count(*) AS number, extract(epoch FROM min(since))::float8 AS oldest FROM atum.held) h,
     (SELECT coalesce(sum(cardinality(mail_ids)), 0)::bigint AS number,
             extract(epoch FROM min(posting_at))::float8 AS oldest, coalesce(max(failures), 0) AS failures
      FROM atum.batch WHERE state = 'unknown') u,
     (SELECT count(*) AS number, extract(epoch FROM min(dead_at))::float8 AS oldest
      FROM atum.dead_letter WHERE published_at IS NULL) d,
     (SELECT count(*) AS number FROM atum.batch
      WHERE (state = 'issued' AND issued_at < clock_timestamp() - interval '10 minutes')
            OR (state IN ('claimed', 'posting') AND lease_until < clock_timestamp() - interval '1 minute')) s
"""


def _counts(cursor: Any) -> tuple[Waiting, Waiting, int, Waiting, Waiting, int]:
    row = cursor.execute(COUNTS).fetchone()
    return Waiting(*row[0:2]), Waiting(*row[2:4]), row[4], Waiting(*row[5:7]), Waiting(*row[7:9]), row[9]


BATCHES: Final = "SELECT state, count(*) FROM atum.batch GROUP BY state"

# The test events of checks say nothing about the provider.
EVENTS: Final = """
SELECT (SELECT extract(epoch FROM received_at)::float8 FROM atum.webhook_inbox
        WHERE source = 'webhook' AND kind IS DISTINCT FROM 'Test' ORDER BY received_at DESC LIMIT 1) AS last_at,
       i.fresh, i.oldest_at, i.parked,
       (SELECT count(*) FROM atum.suppression WHERE suppressed) AS suppressed
FROM (SELECT count(*) FILTER (WHERE state = 'new') AS fresh, count(*) FILTER (WHERE state = 'parked') AS parked,
             extract(epoch FROM min(received_at) FILTER (WHERE state = 'new'))::float8 AS oldest_at
      FROM atum.webhook_inbox WHERE state IN ('new', 'parked')) i
"""

# One row for each kind of transition and period, counted in the shortest period that it falls into.
RECENT: Final = """
SELECT CASE WHEN at >= now() - interval '5 minutes' THEN '5m' WHEN at >= now() - interval '30 minutes' THEN '30m'
            WHEN at >= now() - interval '1 hour' THEN '1h' WHEN at >= now() - interval '6 hours' THEN '6h'
            ELSE '24h' END AS period,
       lane, cause, from_status, to_status, reason, sum(number)::bigint AS number,
       extract(epoch FROM max(at))::float8 AS last_at
FROM atum.transitions WHERE at >= now() - interval '24 hours'
GROUP BY 1, lane, cause, from_status, to_status, reason
"""

_Recent = tuple[dict[tuple[str, str, str], int], dict[tuple[str, str], int], dict[str, int], "float | None"]


def _recent(rows: Iterable[tuple[Any, ...]]) -> _Recent:
    """Sum up: what is in a period is in all longer ones too."""
    recent: Counter[tuple[str, str, str]] = Counter()
    deferrals: Counter[tuple[str, str]] = Counter()
    duplicates: Counter[str] = Counter()
    accepted_at: float | None = None
    order = list(PERIODS)
    for period, lane, cause, before, after, reason, number, last_at in rows:
        if after in _PROVEN and before not in _PROVEN:
            accepted_at = max(accepted_at or last_at, last_at)
        for within in order[order.index(period) :]:
            for result in _results(before, after):
                recent[lane, within, result] += number
            if cause == "retry_scheduled":
                deferrals[within, why(reason)] += number
            if cause == "duplicate_found":
                duplicates[within] += number
    return dict(recent), dict(deferrals), dict(duplicates), accepted_at


def _results(before: str, after: str) -> list[str]:
    """Name what a transition comes to."""
    if before == after:
        return []
    found = [after] if after in _MOVED_INTO else []
    if after in _ENDS and before not in _ENDS:
        found.append("finished")
    if after in _PROVEN and before not in _PROVEN:
        found.append("sent")
    return found


TOTALS: Final = """
SELECT lane, cause, from_status, to_status, reason, sum(number)::bigint AS number
FROM atum.transition_totals GROUP BY lane, cause, from_status, to_status, reason
"""


def _totals(rows: Iterable[tuple[Any, ...]]) -> tuple[dict[tuple[str, str], int], dict[str, int], int]:
    totals: Counter[tuple[str, str]] = Counter()
    deferrals: Counter[str] = Counter()
    duplicates = 0
    for lane, cause, before, after, reason, number in rows:
        for result in _results(before, after):
            totals[lane, result] += number
        if cause == "retry_scheduled":
            deferrals[why(reason)] += number
        if cause == "duplicate_found":
            duplicates += number
    return dict(totals), dict(deferrals), duplicates


TALLIES: Final = "SELECT name, reason, number FROM atum.tally WHERE name LIKE 'webhook%'"


def _refused(tallies: Iterable[tuple[str, str, int]]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for name, reason, number in tallies:
        if name == "webhook_refused":
            word = reason.replace(" ", "_")
            found[word if word in FIXED["webhook"] else "other"] += number
    return dict(found)


def _window(row: Flow, waited_for: Collection[str]) -> WindowSignal:
    window = row.window
    # Nothing probes a window that no mail waits for: it says nothing of the provider of now.
    told = window.paused_by is None and row.lane in waited_for
    return WindowSignal(
        lane=row.lane,
        account=row.account,
        state=window.state,
        why=why(window.reason) if window.reason is not None and told else None,
        by_person=window.paused_by is not None,
        since=window.since,
        size=window.size,
        ceiling=window.ceiling,
        in_flight=row.in_flight,
        sent_rate=window.sent_rate,
        outage_at=window.outage_at,
        outage_end=window.outage_end,
    )


def _parts(connection: Connection) -> dict[str, PartSignal]:
    found: defaultdict[str, PartSignal] = defaultdict(PartSignal)
    for kind in _PARTS:
        found[kind] = PartSignal()
    for part in database_store.parts(connection):
        one = found[part.kind]
        if part.ended:
            continue
        if part.seen_s <= ALIVE_S:
            idle = part.age_s if part.worked_s is None else part.worked_s
            one = one._replace(alive=one.alive + 1, stuck=one.stuck + (idle > STUCK_S))
        elif part.seen_s < LATELY_S:
            one = one._replace(vanished=one.vanished + 1)
        found[part.kind] = one
    return dict(found)


BROKERS: Final = """
SELECT broker, count(*) FROM atum.part
WHERE broker IS NOT NULL AND ended_at IS NULL AND seen_at > clock_timestamp() - make_interval(secs => %(alive_s)s)
GROUP BY broker
"""


QUEUES: Final = """
SELECT name, messages, consumers FROM atum.broker_queue
WHERE name = ANY(%(queues)s) AND looked_at > clock_timestamp() - make_interval(secs => %(fresh_s)s)
"""


def _tasks(connection: Connection, at: float) -> tuple[TaskSignal, ...]:
    overdue = frozenset(database_store.overdue_tasks(connection, after_s=TASK_LATE_S))
    return tuple(
        TaskSignal(
            name=state.name,
            ended_at=None if state.ended_s is None else at - state.ended_s,
            failing=state.failure is not None,
            overdue=state.name in overdue,
        )
        for state in database_store.tasks(connection)
    )
