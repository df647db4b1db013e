"""The processes themselves: what they log, what they use, whom they reach, what they do now and then, how they are scraped."""

from __future__ import annotations

from typing import Final

from atum_ops.dashboards import queries as q
from atum_ops.dashboards.panel import (
    Colour,
    Dashboard,
    Panel,
    Query,
    Row,
    State,
    Step,
    lines,
    table,
    timeline,
    value,
)
from atum_schema import metrics_catalogue as m

_PROCESS: Final = "{{job}} {{instance}}"
_RUNS_FOR: Final = (
    f"{q.largest(m.BUILD_INFO, 'job', 'instance', 'version', instance=q.INSTANCE)}"
    " * on (job, instance) group_left ()"
    f" max by (job, instance) (time() - process_start_time_seconds{{{q.MINE}}})"
)
_YES_OR_NO: Final = (State(0, "no", Colour.GOOD), State(1, "yes", Colour.BAD))
_MOST_SERIES: Final = 1000
_NO_EXPORTER: Final = "no exporter"


def processes() -> Dashboard:
    """Give the dashboard."""
    return Dashboard(
        uid="atum-mailer-processes",
        title="atum-mailer: processes",
        description="What each process logs and uses, whom it reaches, what is done now and then, how it is scraped.",
        variables=("instance",),
        rows=(
            Row(title="Who runs", panels=_who()),
            Row(title="What they use", panels=_use()),
            Row(title="Postgres and RabbitMQ", panels=_servers()),
            Row(title="What is done now and then", panels=_tasks()),
            Row(title="The exporter and the scrapes", panels=_scrapes()),
        ),
    )


def _who() -> tuple[Panel, ...]:
    return (
        timeline(
            "Scraped",
            "Whether Prometheus reached each process. One that is down for five minutes is an alert.",
            Query(f"max by (job, instance) (up{{{q.MINE}}})", _PROCESS),
            states=(State(1, "up", Colour.GOOD), State(0, "down", Colour.BAD)),
            width=12,
            nothing="Prometheus has no job whose name begins with atum-mailer.",
        ),
        table(
            "Versions",
            "Which version each process runs, and for how long. Two versions at once are fine while you deploy.",
            Query(
                _RUNS_FOR,
                "runs for",
                unit="s",
            ),
            columns=(("job", "job"), ("instance", "process"), ("version", "version")),
            width=12,
            nothing="no process",
        ),
        lines(
            "Warnings and errors",
            "Lines logged per second, by level. Errors are never normal; search the logs for them by mail or correlation id.",
            Query(q.rate(m.LOG_MESSAGES, "level", instance=q.INSTANCE), "{{level}}"),
            unit="suffix:lines/s",
            width=12,
        ),
        lines(
            "Errors by process",
            "Lines of level error that each process logged in ten minutes.",
            Query(
                q.growth(m.LOG_MESSAGES, "10m", "job", "instance", instance=q.INSTANCE, level="error"),
                _PROCESS,
            ),
            axis="lines",
            decimals=0,
            width=12,
        ),
    )


def _use() -> tuple[Panel, ...]:
    return (
        lines(
            "Memory",
            "What each process holds in memory. A line that climbs for days and never falls is a leak.",
            Query(f"process_resident_memory_bytes{{{q.MINE}}}", _PROCESS),
            unit="bytes",
        ),
        lines(
            "Processor",
            "Processors that each process uses. Python uses hardly more than one: near 1, run more processes.",
            Query(f"rate(process_cpu_seconds_total{{{q.MINE}}}[$__rate_interval])", _PROCESS),
            axis="processors",
        ),
        lines(
            "Open files",
            "Percent of the files and connections that each process may have open. Near 100 it can connect to nobody.",
            Query(f"100 * process_open_fds{{{q.MINE}}} / process_max_fds{{{q.MINE}}}", _PROCESS),
            unit="percent",
        ),
    )


def _servers() -> tuple[Panel, ...]:
    return (
        lines(
            "Connections of the pools",
            "Connections to Postgres that are open, those that are idle, and requests that wait for one. Waiting for long: the pool is too small, or Postgres too slow.",
            Query(q.gauge(m.POOL, "pool_state", instance=q.INSTANCE), "{{pool_state}}"),
            axis="connections",
        ),
        lines(
            "Transactions repeated",
            "Transactions of workers per second that are repeated, since Postgres was away or in the way.",
            Query(q.rate(m.DATABASE_RETRIES, instance=q.INSTANCE), "repeated"),
            unit="suffix:transactions/s",
        ),
        lines(
            "Processes and RabbitMQ",
            "How processes fare with RabbitMQ, as they say in Postgres. Blocked: an alarm of its memory or disk. Away: workers take batches from Postgres meanwhile.",
            Query(q.gauge(m.PARTS_BROKER, "broker_state"), "{{broker_state}}"),
            axis="processes",
        ),
        timeline(
            "RabbitMQ takes messages",
            "Whether RabbitMQ takes messages of each process.",
            Query(q.gauge(m.CONNECTED, "job", "instance", instance=q.INSTANCE), _PROCESS),
            states=(State(1, "connected", Colour.GOOD), State(0, "not", Colour.BAD)),
            width=12,
            nothing="no relay, intake or worker",
        ),
        lines(
            "Connections made to RabbitMQ",
            "In ten minutes. One at the start is normal; some in a row mean that something cuts them.",
            Query(q.growth(m.BROKER_CONNECTIONS, "10m", "job", "instance", instance=q.INSTANCE), _PROCESS),
            axis="connections",
            decimals=0,
            width=12,
        ),
    )


def _tasks() -> tuple[Panel, ...]:
    return (
        lines(
            "Runs of tasks",
            "Runs per second of what is done now and then: applying events, telling suppressions, catching up, retention.",
            Query(
                q.rate(m.TASK_RUNS, "task", "task_result", instance=q.INSTANCE), "{{task}}: {{task_result}}"
            ),
            unit="suffix:runs/s",
        ),
        table(
            "Tasks",
            "When each task last ended, whether its last run failed, and whether it has been due for ten minutes and nobody does it .",
            Query(q.ago(m.TASK_ENDED, "task"), "ended ago", unit="s"),
            Query(q.largest(m.TASK_FAILING, "task"), "failing", states=_YES_OR_NO),
            Query(q.largest(m.TASK_OVERDUE, "task"), "overdue", states=_YES_OR_NO),
            columns=(("task", "task"),),
            nothing=_NO_EXPORTER,
        ),
        lines(
            "Since a relay looked for due mail",
            "How long ago each relay last looked. It looks every half second or so (ATUM_POLL_S); a relay that does not is stuck.",
            Query(q.ago(m.LAST_LOOK, "job", "instance", instance=q.INSTANCE), _PROCESS),
            unit="s",
        ),
    )


def _scrapes() -> tuple[Panel, ...]:
    return (
        lines(
            "Duration of scrapes",
            "How long a scrape of each process takes. A busy worker answers in some milliseconds; while it does, its Python does nothing else.",
            Query(f"scrape_duration_seconds{{{q.MINE}}}", _PROCESS),
            unit="s",
        ),
        lines(
            "Series of a process",
            f"Series that each process exposes: fewer than {_MOST_SERIES}, whatever it sends.",
            Query(f"scrape_samples_scraped{{{q.MINE}}}", _PROCESS),
            Query(f"vector({_MOST_SERIES})", "most", limit=True),
            axis="series",
        ),
        lines(
            "Reading of the database",
            "How long the exporter's last reading took. It reads at most once in ATUM_EXPORTER_EVERY_S seconds, however often it is scraped.",
            Query(q.largest(m.EXPORTER_DURATION, "instance"), "{{instance}}"),
            unit="s",
        ),
        lines(
            "Readings",
            "Readings of the database per second, and those of them that failed.",
            Query(q.rate(m.EXPORTER_READINGS), "all"),
            Query(q.rate(m.EXPORTER_ERRORS), "failed"),
            unit="suffix:readings/s",
            width=12,
        ),
        value(
            "Since the database was read",
            "Everything about the whole system is as old as this.",
            Query(q.ago(m.EXPORTER_SUCCESS), "ago"),
            unit="s",
            steps=(Step(60, Colour.NOTICE), Step(300, Colour.BAD)),
            nothing="never",
            height=8,
        ),
        table(
            "Settings of the alerts",
            "The thresholds as they are now: percent, mails or seconds (`atum-mailer settings show`).",
            Query(q.largest(m.THRESHOLD, "setting"), "now"),
            columns=(("setting", "setting"),),
            nothing=_NO_EXPORTER,
        ),
    )
