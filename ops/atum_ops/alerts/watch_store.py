"""What `alerts watch` keeps in Postgres: which alerts fire, what each receiver took, and every try to tell it.

Nothing here is open while somebody is told: it is read before, and written afterwards.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from psycopg.rows import class_row, tuple_row
from psycopg.types.json import Jsonb

from atum_ops.alerts.breach import Kind, moment
from atum_ops.alerts.watching import Heard, Known, Memory

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from atum_schema.database import Connection

_LOCK: Final = 0x6174_756D_0001
"""Of whoever watches; the key spells "atum"."""

LEAD: Final = """
SELECT pg_try_advisory_lock(%(key)s) AS leads, set_config('idle_session_timeout', %(silent_ms)s, false) AS silent
"""


def lead(connection: Connection, *, silent_s: float) -> bool:
    """Become the one that watches, for as long as the connection lives; False while another one does.

    The server closes the connection once it has heard nothing for `silent_s`. A host without power says no good-bye, and
    without this the server would look after it hours later.
    """
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(LEAD, {"key": _LOCK, "silent_ms": f"{silent_s * 1000:.0f}"}).fetchone()
    return row is not None and bool(row[0])


LED: Final = """
SELECT EXISTS (SELECT FROM pg_locks
               WHERE locktype = 'advisory' AND granted AND objsubid = 1
                     AND classid = %(high)s::bigint::oid AND objid = %(low)s::bigint::oid
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""


def is_led(connection: Connection) -> bool:
    """Whether anybody watches."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(LED, {"high": _LOCK >> 32, "low": _LOCK & 0xFFFF_FFFF}).fetchone()
    return row is not None and bool(row[0])


ALERTS: Final = """
SELECT name, extract(epoch FROM since)::float8 AS since, extract(epoch FROM fired_at)::float8 AS fired_at,
       extract(epoch FROM met_at)::float8 AS met_at, (facts->>'value')::float8 AS value
FROM atum.alert ORDER BY name
"""

HEARD: Final = """
SELECT name, receiver, CASE WHEN told_at IS NOT NULL THEN kind END AS kind,
       extract(epoch FROM told_at)::float8 AS told_at, failures, extract(epoch FROM due_at)::float8 AS due_at, failure
FROM atum.alert_notice ORDER BY name, receiver
"""


def load(connection: Connection) -> Memory:
    """Read what is kept."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        alerts = [Known(*row) for row in cursor.execute(ALERTS)]
        heard = [Heard(*row) for row in cursor.execute(HEARD)]
    return Memory(
        {one.name: one for one in alerts},
        {
            (one.name, one.receiver): one._replace(kind=None if one.kind is None else Kind(one.kind))
            for one in heard
        },
    )


class Try(NamedTuple):
    """One try to tell somebody."""

    at: float
    name: str
    receiver: str
    #: `firing`, `repeated`, `resolved` or `test`.
    kind: str
    #: None: it was taken.
    failure: str | None
    facts: dict[str, Any]


_SKEW: Final = timedelta(seconds=60)
"""What is stored for later than this from now is nobody's knowledge, but of a clock that has been set back."""

PUT_ALERT: Final = """
INSERT INTO atum.alert (name, since, fired_at, met_at, facts)
VALUES (%(name)s, %(since)s, %(fired_at)s, %(met_at)s, %(facts)s)
ON CONFLICT (name) DO UPDATE SET since = excluded.since, fired_at = excluded.fired_at, met_at = excluded.met_at,
                                 facts = excluded.facts
WHERE alert.met_at <= excluded.met_at OR alert.met_at > %(future)s
"""

DROP_ALERT: Final = "DELETE FROM atum.alert WHERE name = %(name)s AND met_at <= %(met_at)s"

# Whoever knows of a later notice knows more; of the same one, whoever knows that it ended.
PUT_HEARD: Final = """
INSERT INTO atum.alert_notice (name, receiver, kind, told_at, failures, due_at, failure)
VALUES (%(name)s, %(receiver)s, %(kind)s, %(told_at)s, %(failures)s, %(due_at)s, %(failure)s)
ON CONFLICT (name, receiver) DO UPDATE
SET kind = excluded.kind, told_at = excluded.told_at, failures = excluded.failures, due_at = excluded.due_at,
    failure = excluded.failure
WHERE alert_notice.told_at IS NULL OR alert_notice.told_at < excluded.told_at
      OR (alert_notice.told_at = excluded.told_at AND (alert_notice.kind = 'firing' OR excluded.kind = 'resolved'))
      OR alert_notice.told_at > %(future)s
"""

DROP_HEARD: Final = "DELETE FROM atum.alert_notice WHERE name = %(name)s AND receiver = %(receiver)s"

PUT_TRY: Final = """
INSERT INTO atum.alert_told (at, name, receiver, kind, failure, facts)
VALUES (%(at)s, %(name)s, %(receiver)s, %(kind)s, %(failure)s, %(facts)s)
"""


def save(connection: Connection, before: Memory, after: Memory, tries: Iterable[Try], *, at: float) -> None:
    """Write what has changed, and the tries, in one transaction. What another one wrote later stays; `at` is now."""
    future = {"future": moment(at) + _SKEW}
    gone = [_alert(known) for name, known in before.alerts.items() if name not in after.alerts]
    silent = [_heard(heard) for key, heard in before.heard.items() if key not in after.heard]
    with connection.transaction(), connection.cursor() as cursor:
        for known in _changed(before.alerts.values(), after.alerts.values()):
            cursor.execute(PUT_ALERT, _alert(known) | future)
        for heard in _changed(before.heard.values(), after.heard.values()):
            cursor.execute(PUT_HEARD, _heard(heard) | future)
        for values in gone:
            cursor.execute(DROP_ALERT, values)
        for values in silent:
            cursor.execute(DROP_HEARD, values)
        record(connection, tries)


def record(connection: Connection, tries: Iterable[Try]) -> None:
    """Write tries into the delivery record."""
    with connection.cursor() as cursor:
        for one in tries:
            values = {**one._asdict(), "at": moment(one.at), "facts": Jsonb(one.facts)}
            cursor.execute(PUT_TRY, values)


def _changed(before: Iterable[Any], after: Iterable[Any]) -> list[Any]:
    known = set(before)
    return [one for one in after if one not in known]


def _alert(known: Known) -> dict[str, Any]:
    return {
        "name": known.name,
        "since": moment(known.since),
        "fired_at": None if known.fired_at is None else moment(known.fired_at),
        "met_at": moment(known.met_at),
        "facts": Jsonb({"value": known.value}),
    }


def _heard(heard: Heard) -> dict[str, Any]:
    return {
        **heard._asdict(),
        "kind": (heard.kind or Kind.FIRING).value,
        "told_at": None if heard.told_at is None else moment(heard.told_at),
        "due_at": None if heard.due_at is None else moment(heard.due_at),
    }


class Told(NamedTuple):
    """A try that was made."""

    at: datetime
    name: str
    kind: str
    receiver: str
    failure: str | None


HISTORY: Final = """
SELECT at, name, kind, receiver, failure FROM atum.alert_told
WHERE at >= %(since)s ORDER BY at DESC, id DESC LIMIT %(limit)s
"""


def history(connection: Connection, *, since: datetime, limit: int) -> Sequence[Told]:
    """Give the last tries, the newest first."""
    with connection.cursor(row_factory=class_row(Told)) as cursor:
        return cursor.execute(HISTORY, {"since": since, "limit": limit}).fetchall()


FORGET: Final = """
DELETE FROM atum.alert_told WHERE id IN (
    SELECT id FROM atum.alert_told WHERE at < clock_timestamp() - make_interval(days => %(days)s)
    ORDER BY at LIMIT %(most)s)
"""


def forget(connection: Connection, *, days: int, most: int = 5000) -> int:
    """Delete tries that are older than so many days, at most so many at once; give how many."""
    return connection.execute(FORGET, {"days": days, "most": most}).rowcount
