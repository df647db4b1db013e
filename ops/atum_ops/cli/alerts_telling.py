"""`alerts watch`, `alerts test`, `alerts status`, `alerts history`: operators are told without Prometheus."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from atum_ops import show
from atum_ops.cli.connecting import connected
from atum_ops.cli.parts import log_to_stderr, run_until_signalled
from atum_ops.durations import Duration, Moment
from atum_schema import database, live, settings
from atum_schema.errors import AtumError, Unreachable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_ops.alerts.breach import Metrics
    from atum_ops.alerts.receivers.opening import Receivers
    from atum_ops.alerts.standing import Standing
    from atum_ops.alerts.telling import Result
    from atum_ops.alerts.watching import Heard, Known
    from atum_schema.settings import Settings

log = logging.getLogger(__name__)

_MOST_EVERY: Final = timedelta(minutes=10)
_STATUS: Final = ("alert", "severity", "state", "since (UTC)", "value", "threshold")
_TOLD: Final = ("alert", "receiver", "told (UTC)", "failed tries", "why")
_WHOLE: Final = ("alert", "severity")
_HISTORY: Final = ("when (UTC)", "alert", "kind", "receiver", "result")


@click.command()
@click.option(
    "--every", type=Duration(), default="30s", show_default=True, help="Time from one look to the next."
)
@click.option("--once", is_flag=True, help="Look one time, tell who is to be told, and end.")
@show.command_errors
def watch(*, every: timedelta, once: bool) -> None:
    """Look at the system every so often, and tell operators what is wrong with it, and when it is over.

    The conditions are those of the Prometheus rules, the thresholds those of 'settings'. Run two, on two machines: one
    watches, the other takes over. Receivers are set by ATUM_ALERT_WEBHOOK_URL, ATUM_ALERT_SLACK_URL, ATUM_ALERT_EMAIL_URL
    and ATUM_ALERT_COMMAND, and by entry points of installed packages. It runs until SIGTERM.

    With --once, exit status 0 when nothing fires, 1 when something does, 3 when the database does not answer.

    \b
    Examples:
      ATUM_ALERT_SLACK_URL_FILE=/run/secrets/slack atum-mailer alerts watch
      atum-mailer alerts watch --once --every 5m
    """
    from atum_ops.alerts.watch import Watch

    if every > _MOST_EVERY:
        raise click.BadParameter("is more than 10m", param_hint="--every")
    loaded = settings.load_without_keys()
    receivers = _receivers(loaded)
    log_to_stderr(loaded, service="alerts")
    for broken in receivers.broken:
        log.error(
            "alerts: an entry point is broken; the others are told",
            extra={"receiver": broken.name, "reason": broken.why},
        )
    watching = Watch(loaded, receivers.usable, every_s=every.total_seconds())
    if once:
        _once(loaded, watching)
        return

    run_until_signalled(watching)


def _once(loaded: Settings, watching: Any) -> None:
    # Without the database nothing is remembered from one run to the next, so nobody is told either.
    with database.connect(loaded.database_url.get_secret_value(), name="alerts"):
        pass
    try:
        came_to = watching.round()
    finally:
        watching.close()
    if not came_to.was_read:
        raise Unreachable("cannot use the database")
    for name in came_to.firing:
        click.echo(name)
    if came_to.firing:
        sys.exit(1)


@click.command()
@click.option("--receiver", "name", metavar="NAME", help="Only this receiver.")
@show.FORMAT
def test(*, name: str | None, form: str) -> None:
    """Send a firing, a repeated and a resolved notice to every receiver, each marked as a test.

    No alert and no cooldown is touched. It works without the database, too. Exit status 1 when a receiver did not take
    one, or an entry point cannot be loaded.

    \b
    Examples:
      atum-mailer alerts test
      atum-mailer alerts test --receiver slack
    """
    from atum_ops.alerts import trial
    from atum_ops.alerts.telling import Telling

    loaded = settings.load_without_keys()
    found = _receivers(loaded)
    chosen = [one for one in found.usable if name in {None, one.name}]
    broken = [one for one in found.broken if name in {None, one.name}]
    if not chosen and not broken:
        known = ", ".join([*(one.name for one in found.usable), *(one.name for one in found.broken)])
        raise AtumError(f"no receiver {name!r}; there are: {known}")
    with suppress(AtumError):
        loaded = _as_it_is_now(loaded)
    metrics = _metrics(loaded)
    notices = {one.name: trial.notices(loaded, one.listener, metrics, time.time()) for one in chosen}
    results = Telling(chosen).tell(notices, all_of_them=True)
    _record(loaded, results)
    rows: list[tuple[str, str | None, str]] = [
        (each.receiver, each.notice.kind.value, "taken" if each.failure is None else each.failure)
        for each in results
    ]
    rows += [(one.name, None, one.why) for one in broken]
    show.listing(form, "Test notices", ("receiver", "kind", "result"), rows)
    if broken or any(each.failure is not None for each in results):
        sys.exit(1)


def _receivers(loaded: Settings) -> Receivers:
    from atum_ops.alerts.receivers.opening import receivers

    return receivers(loaded)


def _as_it_is_now(loaded: Settings) -> Settings:
    return show.command_errors(_stored)(loaded)  # type: ignore[no-any-return]


def _stored(loaded: Settings) -> Settings:
    with connected(loaded.database_url.get_secret_value()) as connection:
        return live.current(connection, loaded)


def _metrics(loaded: Settings) -> Metrics:
    """Measure, if the database answers."""
    import psycopg

    from atum_ops.alerts.breach import Metrics, measured
    from atum_ops.signals import store

    with (
        suppress(psycopg.Error),
        database.connect(loaded.database_url.get_secret_value(), name="cli") as connection,
    ):
        return measured(store.read(connection, loaded), least=loaded.alert_failure_rate_least)
    return Metrics()


def _record(loaded: Settings, results: Sequence[Result]) -> None:
    """Write the tries into the delivery record, if the database answers."""
    import psycopg

    from atum_ops.alerts import watch_store
    from atum_ops.alerts.breach import document

    tries = [
        watch_store.Try(
            each.notice.evaluated_at.timestamp(),
            each.notice.alert,
            each.receiver,
            "test",
            each.failure,
            document(each.notice),
        )
        for each in results
    ]
    with (
        suppress(psycopg.Error),
        database.connect(loaded.database_url.get_secret_value(), name="cli") as connection,
    ):
        watch_store.record(connection, tries)


@click.command()
@show.FORMAT
@show.command_errors
def status(form: str) -> None:
    """Show every alert: whether its condition is met now, since when, and who was told.

    It only reads, and tells nobody. Conditions that compare with a quarter of an hour before are only seen by 'alerts
    watch'. Exit status 1 when something fires.

    \b
    Examples:
      atum-mailer alerts status
      atum-mailer alerts status --format=json | jq '.alerts[] | select(.state == "firing")'
    """
    from atum_ops.alerts import catalogue, standing, watch_store, watching
    from atum_ops.alerts.alert import Seen
    from atum_ops.signals import store

    loaded = settings.load_without_keys()
    with connected(loaded.database_url.get_secret_value()) as connection:
        loaded = live.current(connection, loaded)
        now = store.read(connection, loaded)
        memory = watch_store.load(connection)
        is_watched = watch_store.is_led(connection)
    pace = watching.Pace(loaded.alert_cooldown_seconds, _MOST_EVERY.total_seconds())
    seen = Seen(now, None, watching.deaf(memory))
    found = standing.standings(catalogue.alerts(loaded), memory, seen, now.at, pace)
    if form == "json":
        document = {
            "evaluated_at": _utc(now.at),
            "watched": is_watched,
            "alerts": [_document(one) for one in found],
        }
        show.json(document)
    else:
        title = f"Alerts at {_utc(now.at):%Y-%m-%d %H:%M:%S} UTC"
        show.table(title, _STATUS, [_row(one) for one in found], whole=_WHOLE)
        told = [_heard(heard) for one in found for heard in one.heard]
        if told:
            show.table("Who was told", _TOLD, told, whole=_WHOLE)
        click.echo("somebody watches" if is_watched else "nobody watches: no 'alerts watch' runs")
    if any(one.state in standing.FIRES for one in found):
        sys.exit(1)


def _row(one: Standing) -> tuple[Any, ...]:
    return (
        one.alert.name,
        one.alert.severity.value,
        f"{one.state.value} (muted)" if one.is_muted else one.state.value,
        None if one.known is None else f"{_utc(one.known.since):%Y-%m-%d %H:%M:%S}",
        _number(one.known, one.alert.unit),
        None if one.alert.threshold is None else f"{one.alert.threshold:g}",
    )


def _heard(one: Heard) -> tuple[Any, ...]:
    told = None if one.told_at is None else f"{_utc(one.told_at):%Y-%m-%d %H:%M:%S}"
    return one.name, one.receiver, told, one.failures or None, one.failure


def _number(known: Known | None, unit: str) -> str | None:
    return None if known is None or known.value is None else f"{known.value:,.6g} {unit}".strip()


def _document(one: Standing) -> dict[str, Any]:
    known = one.known
    return {
        "alert": one.alert.name,
        "severity": one.alert.severity.value,
        "area": one.alert.area.value,
        "state": one.state.value,
        "muted": one.is_muted,
        "since": None if known is None else _utc(known.since),
        "fired_at": None if known is None or known.fired_at is None else _utc(known.fired_at),
        "value": None if known is None else known.value,
        "unit": one.alert.unit,
        "threshold": one.alert.threshold,
        "told": [
            {
                "receiver": heard.receiver,
                "kind": None if heard.kind is None else heard.kind.value,
                "told_at": None if heard.told_at is None else _utc(heard.told_at),
                "failures": heard.failures,
                "failure": heard.failure,
            }
            for heard in one.heard
        ],
    }


def _utc(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


@click.command()
@click.option("--since", type=Moment(), default="24h", show_default=True, help="From then on, as in 'audit'.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="At most so many."
)
@show.LIST_FORMAT
@show.command_errors
def history(*, since: datetime, limit: int, form: str) -> None:
    """List who was told what and when, and who could not be told and why, newest first.

    Kept for as long as the log (ATUM_RETENTION_DAYS).

    \b
    Examples:
      atum-mailer alerts history
      atum-mailer alerts history --since 7d --format=csv > told.csv
    """
    from atum_ops.alerts import watch_store

    with connected() as connection:
        tries = watch_store.history(connection, since=since, limit=limit)
    rows = [
        (
            each.at.strftime("%Y-%m-%d %H:%M:%S"),
            each.name,
            each.kind,
            each.receiver,
            "taken" if each.failure is None else each.failure,
        )
        for each in tries
    ]
    show.listing(form, "Told", _HISTORY, rows, whole=_WHOLE)
