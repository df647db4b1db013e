"""What the checks ask the database about itself. Each statement is bounded, whatever the size of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from psycopg.rows import args_row, tuple_row

if TYPE_CHECKING:
    from uuid import UUID

    from atum_schema.database import Connection


class Server(NamedTuple):
    """How the server is set up."""

    version: str
    is_replica: bool
    fsync: bool
    synchronous_commit: str
    connections: int
    most_connections: int


SERVER: Final = """
SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS is_replica,
       current_setting('fsync')::boolean AS fsync, current_setting('synchronous_commit') AS synchronous_commit,
       (SELECT sum(numbackends) FROM pg_stat_database)::int AS connections,
       current_setting('max_connections')::int AS most_connections
"""


def server(connection: Connection) -> Server:
    """Ask how the server is set up."""
    with connection.cursor(row_factory=args_row(Server)) as cursor:
        return next(cursor.execute(SERVER))


NOW: Final = "SELECT extract(epoch FROM clock_timestamp())::float8 AS now"


def now(connection: Connection) -> float:
    """Ask for the database's clock, seconds since 1970."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(NOW).fetchone()
    return float(row[0]) if row else 0.0


class Part(NamedTuple):
    """A process of ours that was seen in the last day."""

    kind: str
    name: str
    version: str
    #: Seconds since it started, was last seen, and last did what it is there for (None: never).
    age_s: float
    seen_s: float
    worked_s: float | None
    #: Whether it said good-bye.
    ended: bool


PARTS: Final = """
SELECT kind, name, version, extract(epoch FROM clock_timestamp() - started_at)::float8 AS age_s,
       extract(epoch FROM clock_timestamp() - seen_at)::float8 AS seen_s,
       extract(epoch FROM clock_timestamp() - worked_at)::float8 AS worked_s, ended_at IS NOT NULL AS ended
FROM atum.part WHERE seen_at > clock_timestamp() - interval '1 day'
ORDER BY kind, seen_at DESC LIMIT 10000
"""


def parts(connection: Connection) -> list[Part]:
    """List the processes of the last day, the one seen last first within each kind."""
    with connection.cursor(row_factory=args_row(Part)) as cursor:
        return cursor.execute(PARTS).fetchall()


LANES_SERVED: Final = """
SELECT DISTINCT unnest(lanes) AS lane FROM atum.part
WHERE kind = 'relay' AND ended_at IS NULL AND seen_at > clock_timestamp() - make_interval(secs => %(alive_s)s)
"""


def lanes_served(connection: Connection, *, alive_s: float) -> frozenset[str]:
    """Give the lanes that any relay serves, of those that were seen in the last seconds."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        return frozenset(lane for (lane,) in cursor.execute(LANES_SERVED, {"alive_s": alive_s}))


class TaskState(NamedTuple):
    """A task that is due now and then."""

    name: str
    failure: str | None
    #: Seconds since it last ended; None: never.
    ended_s: float | None


TASKS: Final = """
SELECT name, failure, extract(epoch FROM clock_timestamp() - ended_at)::float8 AS ended_s
FROM atum.maintenance ORDER BY name
"""


def tasks(connection: Connection) -> list[TaskState]:
    """List the tasks."""
    with connection.cursor(row_factory=args_row(TaskState)) as cursor:
        return cursor.execute(TASKS).fetchall()


TASK_NAMES: Final = "SELECT name FROM atum.maintenance WHERE id = ANY(%(ids)s) ORDER BY name"


def overdue_tasks(connection: Connection, *, after_s: float) -> list[str]:
    """List the tasks that have been due for so long, and that nobody is at."""
    from atum_schema.maintenance import DUE

    with connection.cursor(row_factory=tuple_row) as cursor:
        ids = [task for (task,) in cursor.execute(DUE, {"after_s": after_s})]
        return [name for (name,) in cursor.execute(TASK_NAMES, {"ids": ids})]


class Settling(NamedTuple):
    """Batches whose outcome is unknown."""

    mails: int
    #: Seconds since the oldest became unknown, and the most searches that failed in a row.
    oldest_s: float
    failures: int


SETTLING: Final = """
SELECT coalesce(sum(cardinality(mail_ids)), 0)::bigint AS mails,
       greatest(0, coalesce(extract(epoch FROM clock_timestamp() - min(anchor_at)), 0))::float8 AS oldest_s,
       coalesce(max(failures), 0)::int AS failures
FROM atum.batch WHERE state = 'unknown'
"""


def settling(connection: Connection) -> Settling:
    """Ask about the batches whose outcome is unknown."""
    with connection.cursor(row_factory=args_row(Settling)) as cursor:
        return next(cursor.execute(SETTLING))


UNPUBLISHED: Final = """
SELECT greatest(0, coalesce(extract(epoch FROM clock_timestamp() - min(dead_at)), 0))::float8
FROM atum.dead_letter WHERE published_at IS NULL
"""


def oldest_unpublished_s(connection: Connection) -> float:
    """Give the age of the oldest dead letter whose message is not in `mail.dead`; 0 if there is none."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(UNPUBLISHED).fetchone()
    return float(row[0]) if row else 0.0


STRAYS: Final = "SELECT EXISTS (SELECT FROM atum.mail WHERE id > %(after)s)"


def has_strays(connection: Connection, *, after: UUID) -> bool:
    """Whether there are mails with ids after this one."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(STRAYS, {"after": after}).fetchone()
    return bool(row and row[0])


class Used(NamedTuple):
    """A stream and sender that mails use."""

    stream: str
    sender: str


# The newest mails say what is used now; nothing of the whole log is needed for it.
USED: Final = """
SELECT DISTINCT stream, sender FROM (SELECT stream, sender FROM atum.mail ORDER BY id DESC LIMIT %(limit)s) m
ORDER BY stream, sender
"""


def used(connection: Connection, *, limit: int) -> list[Used]:
    """List what the newest mails use."""
    with connection.cursor(row_factory=args_row(Used)) as cursor:
        return cursor.execute(USED, {"limit": limit}).fetchall()


KEYS: Final = """
SELECT DISTINCT key_id FROM (
    (SELECT key_id FROM atum.content ORDER BY mail_id LIMIT %(limit)s)
    UNION ALL
    (SELECT key_id FROM atum.content ORDER BY mail_id DESC LIMIT %(limit)s)
    UNION ALL
    (SELECT key_id FROM atum.webhook_inbox WHERE state IN ('new', 'parked') ORDER BY due_at LIMIT %(limit)s)
) k
ORDER BY key_id
"""


def keys(connection: Connection, *, limit: int) -> list[str]:
    """List the ids of the keys that the oldest and the newest content, and waiting events, were encrypted with."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        return [key_id for (key_id,) in cursor.execute(KEYS, {"limit": limit})]
