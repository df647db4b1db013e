"""Windows in the database. Lock order: flow before everything else; a row is held for as long as its decision takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from psycopg.rows import tuple_row

from atum_schema import flow
from atum_schema.flow import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg import Cursor

    from atum_schema.database import Connection


class Flow(NamedTuple):
    """The window of a lane and account, and what the database says beside it."""

    lane: str
    account: str
    #: The database's clock, seconds since 1970.
    now: float
    #: Batches in flight; those whose outcome is unknown do not count.
    in_flight: int
    window: Window


# Fields as in `Window`, in its order.
WINDOWS: Final = """
SELECT f.lane, f.account, extract(epoch FROM clock_timestamp())::float8,
       (SELECT count(*) FROM atum.batch b WHERE b.lane = f.lane AND b.account = f.account AND b.state <> 'unknown'),
       f.size, f.ceiling, f.threshold, f.credit, f.state, f.reason, f.paused_by, extract(epoch FROM f.since)::float8,
       extract(epoch FROM f.probe_at)::float8, f.probes, extract(epoch FROM f.not_before)::float8,
       extract(epoch FROM f.cut_at)::float8, f.good, f.bad, extract(epoch FROM f.counted_at)::float8, f.rate, f.burst,
       f.tokens, extract(epoch FROM f.tokens_at)::float8, f.sent_rate, extract(epoch FROM f.outage_at)::float8,
       extract(epoch FROM f.outage_end)::float8
FROM atum.flow f
WHERE (%(lanes)s::text[] IS NULL OR f.lane = ANY(%(lanes)s)) AND (%(account)s::text IS NULL OR f.account = %(account)s)
ORDER BY f.lane, f.account
"""


def read(
    connection: Connection, *, lanes: Sequence[str] | None = None, account: str | None = None
) -> list[Flow]:
    """Read the windows of these lanes and this account, or of all."""
    return fetch(ask(connection, lanes=lanes, account=account))


def ask(connection: Connection, *, lanes: Sequence[str] | None, account: str | None) -> Cursor[Any]:
    """Send the question of `read`; in a pipeline, `fetch` later takes the answer."""
    values = {"lanes": None if lanes is None else list(lanes), "account": account}
    return connection.cursor(row_factory=tuple_row).execute(WINDOWS, values)


def fetch(cursor: Cursor[Any]) -> list[Flow]:
    """Take the answer to `ask`."""
    return [Flow(row[0], row[1], row[2], row[3], Window(*row[4:])) for row in cursor]


LOCK: Final = "SELECT FROM atum.flow WHERE lane = %(lane)s AND account = %(account)s FOR UPDATE"

# Losing the last moves of a window in a crash loses nothing that the next answers do not tell again.
UNSYNCED: Final = "SELECT set_config('synchronous_commit', 'off', true)"


def ask_locked(connection: Connection, *, lane: str, account: str, synchronous: bool = False) -> Cursor[Any]:
    """Lock a window and ask for it, in a pipeline in a transaction: one round trip.

    What is in flight is counted by a statement that begins after the row is locked, so nobody's batches are missed.
    The commit waits for the disk only if `synchronous`.
    """
    if not synchronous:
        connection.execute(UNSYNCED)
    connection.execute(LOCK, {"lane": lane, "account": account})
    return ask(connection, lanes=[lane], account=account)


SAVE: Final = """
UPDATE atum.flow
SET size = %(size)s, ceiling = %(ceiling)s, threshold = %(threshold)s, credit = %(credit)s, state = %(state)s,
    reason = %(reason)s, paused_by = %(paused_by)s, since = to_timestamp(%(since)s),
    probe_at = to_timestamp(%(probe_at)s), probes = %(probes)s, not_before = to_timestamp(%(not_before)s),
    cut_at = to_timestamp(%(cut_at)s), good = %(good)s, bad = %(bad)s, counted_at = to_timestamp(%(counted_at)s),
    rate = %(rate)s, burst = %(burst)s, tokens = %(tokens)s, tokens_at = to_timestamp(%(tokens_at)s),
    sent_rate = %(sent_rate)s, outage_at = to_timestamp(%(outage_at)s), outage_end = to_timestamp(%(outage_end)s)
WHERE lane = %(lane)s AND account = %(account)s
"""


def save(connection: Connection, *, lane: str, account: str, window: Window) -> None:
    """Write a window whose row is locked."""
    connection.execute(SAVE, {"lane": lane, "account": account, **window._asdict()})


def change(
    connection: Connection,
    decide: Callable[[Flow], Window],
    *,
    lane: str,
    account: str,
    synchronous: bool = False,
) -> tuple[Window, Window] | None:
    """Move a window in one short transaction; give it before and after, or None when there is none."""
    with connection.pipeline(), connection.transaction():
        found = fetch(ask_locked(connection, lane=lane, account=account, synchronous=synchronous))
        if not found:
            return None
        (row,) = found
        moved = decide(row)
        if moved != row.window:
            save(connection, lane=lane, account=account, window=moved)
    return row.window, moved


ENSURE: Final = """
INSERT INTO atum.flow (lane, account, size, ceiling, threshold, rate, burst, tokens)
VALUES (%(lane)s, %(account)s, %(size)s, %(ceiling)s, %(threshold)s, %(rate)s, %(burst)s, %(tokens)s)
ON CONFLICT (lane, account) DO NOTHING
"""


def add(connection: Connection, *, lane: str, account: str, ceiling: int, rate: float | None) -> None:
    """Give a lane a window if it has none; one that is there stays as it is, whatever the settings say here.

    A lane with a rate may save up the mails of one second, and at least one.
    """
    fresh = flow.new(ceiling=ceiling, rate=rate, burst=_burst(rate), now=0.0)
    connection.execute(ENSURE, {"lane": lane, "account": account, **fresh._asdict()})


def ensure(connection: Connection, *, lane: str, account: str, ceiling: int, rate: float | None) -> None:
    """Make sure that a lane has a window with the limits of the settings; what it has learnt stays.

    For relays alone: whoever else has other settings, as the shell of a command may, only `add`s what is missing.
    """
    add(connection, lane=lane, account=account, ceiling=ceiling, rate=rate)
    change(
        connection,
        lambda row: flow.configured(row.window, ceiling=ceiling, rate=rate, burst=_burst(rate), now=row.now),
        lane=lane,
        account=account,
    )


def _burst(rate: float | None) -> float:
    return 0.0 if rate is None else max(1.0, rate)


WAKE: Final = "SELECT count(pg_notify('atum_ready', '')) FROM atum.sleeper WHERE until > now()"


def wake_relays(connection: Connection) -> None:
    """Tell sleeping relays that a window has opened."""
    connection.execute(WAKE)
