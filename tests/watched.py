"""A system that is watched: it runs with an exporter, and a real Prometheus and Alertmanager tell a receiver of the test.

Rules and configuration are those that `alerts render` gives; only their durations are made short.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from datetime import timedelta
from http import HTTPStatus
from itertools import dropwhile
from typing import TYPE_CHECKING, Any, Final, LiteralString, NamedTuple, Self

import psycopg
import psycopg.conninfo
import yaml
from psycopg import sql

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.stack.ports import free_port
from tests import command_line
from tests.nodes import database_at, eventually, open_directory
from tests.prometheus_nodes import private_alertmanager, private_prometheus
from tests.receiving import receiver
from tests.system import SETTLED_SOON, Part, System

if TYPE_CHECKING:
    from types import TracebackType

    from tests.receiving import Received

#: Of `AtumBacklogHigh` and what inhibits it: long enough for a flap inside of it on a busy machine.
COOLDOWN_S: Final = 15
#: Of all others: longer than a scrape or two that a busy machine makes fail.
SHORT_COOLDOWN_S: Final = 5
PASSWORD: Final = "a-password-for-tests"
#: And how long a scrape may take.
_INTERVAL_S: Final = 1.0
_FAILED: Final = "alertmanager_notifications_failed_total[5s]"

# The least of mails is small, so that few are needed; the ages are the least that may be set.
SETTINGS: Final = {
    **SETTLED_SOON,
    "ATUM_ALERT_FAILURE_RATE_LEAST": "20",
    "ATUM_ALERT_QUEUE_BACKLOG_THRESHOLD": "30",
    "ATUM_ALERT_OLDEST_AGE_SECONDS": "3000",
    "ATUM_ALERT_UNKNOWN_AGE_SECONDS": "60",
    "ATUM_EXPORTER_EVERY_S": "1",
    "ATUM_CATCH_UP_S": "3600",
    "ATUM_WEBHOOK_BASIC": f"postmark:{PASSWORD}",
}


class Notice(NamedTuple):
    """What the receiver was told of an alert."""

    #: Unix seconds.
    at: float
    #: The last part of the receiver's URL.
    receiver: str
    alert: str
    #: `firing` or `resolved`.
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]


class Watched:
    """Context manager: all of it runs inside, and nothing of it afterwards."""

    def __init__(self, database_url: str, amqp_url: str) -> None:
        self._database_url = database_url
        self._amqp_url = amqp_url
        #: The receiver that takes no notices; empty: all take them.
        self.refusing = ""
        self._taken: list[Received] = []
        self._passed = 0

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            webhooks, exporter = free_port(), free_port()
            self.webhook_url = f"http://127.0.0.1:{webhooks}/webhooks/postmark"
            self.system = undo.enter_context(
                System(
                    database_url=self._database_url,
                    amqp_url=self._amqp_url,
                    workers=0,
                    simulation=SimulatorConfig(time_scale=0.001, latency_ms=1),
                    settings={
                        **SETTINGS,
                        "ATUM_WEBHOOK_PORT": f"{webhooks}",
                        "ATUM_EXPORTER_PORT": f"{exporter}",
                    },
                )
            )
            self.worker = self.system.start_worker()
            self.run("api", "--only", "webhooks")
            self.run("exporter")
            self.register()
            hook = undo.enter_context(receiver())
            hook.answer = self._answer
            directory = undo.enter_context(open_directory())
            rules = directory / "rules.yml"
            rules.write_text(hurried_rules(self.rendered("rules")))
            manager = undo.enter_context(
                private_alertmanager(hurried_routes(self.rendered("alertmanager"), hook.url))
            )
            self.prometheus = undo.enter_context(
                private_prometheus(
                    targets={
                        "atum-mailer-exporter": [f"127.0.0.1:{exporter}"],
                        "alertmanager": [manager.url.removeprefix("http://")],
                    },
                    rules=[rules],
                    alertmanager=manager.url,
                    interval_s=_INTERVAL_S,
                )
            )
            self.prometheus.wait_for_scrapes(seconds=60)
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def run(self, *arguments: str) -> Part:
        """Start a part that runs for ever, and wait until it serves."""
        return self.system.await_output(
            self.system.start_part([sys.executable, "-m", "atum_ops", *arguments]), "serving"
        )

    def order(self, *arguments: str) -> str:
        """Run a command to its end, which must be good; give what it says."""
        answer = command_line.run(*arguments, **self.system.environment)
        assert answer.status == 0, answer.out + answer.err
        return answer.out

    def rendered(self, what: str) -> str:
        """Give what `alerts render` makes of the settings."""
        return self.order("alerts", "render", "--what", what)

    def register(self, *, password: str = PASSWORD) -> None:
        """Have the provider tell the endpoint what becomes of mails, with this password."""
        self.system.simulator.register_webhook(self.webhook_url, basic=("postmark", password))

    def _answer(self, notices: Received) -> int:
        if notices.path.rpartition("/")[2] == self.refusing:
            return HTTPStatus.FORBIDDEN
        self._taken.append(notices)
        return HTTPStatus.OK

    def notices(self, alert: str) -> list[Notice]:
        """Give what receivers took of an alert, in order."""
        return [notice for one in self._taken for notice in _notices(one) if notice.alert == alert]

    def is_met(self, alert: str) -> bool:
        """Whether Prometheus finds the condition met now, or it stays for the cooldown."""
        return any(one.labels["alertname"] == alert for one in self.prometheus.alerts())

    def value(self, expr: str) -> float | None:
        """Evaluate PromQL that gives one value, or none."""
        found = self.prometheus.query(expr)
        return found[0].value if found else None

    def query(self, statement: LiteralString, **values: Any) -> list[tuple[Any, ...]]:
        """Ask the database."""
        return self.system.query(statement, **values)

    def refuse(self, *, connections: bool) -> None:
        """Let the database take new connections or not, and cut that of the exporter."""
        name = psycopg.conninfo.conninfo_to_dict(self._database_url)["dbname"]
        with psycopg.connect(database_at(self._database_url, "postgres"), autocommit=True) as connection:
            connection.execute(
                sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(
                    sql.Identifier(str(name)), sql.Literal(not connections)
                )
            )
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = %(name)s AND application_name = 'atum-exporter'",
                {"name": name},
            )

    def pass_time(self) -> None:
        """Let what has happened until now have happened days ago."""
        self._passed += 1
        # Each time another day: minutes that were counted before would be met on the way otherwise, and they are unique.
        ago = {"ago": timedelta(days=2 + self._passed)}
        with psycopg.connect(self._database_url) as connection:
            connection.execute("LOCK TABLE atum.transition, atum.transition_sum IN SHARE ROW EXCLUSIVE MODE")
            connection.execute(
                "UPDATE atum.transition SET at = at - %(ago)s WHERE at > now() - interval '1 day'", ago
            )
            connection.execute(
                "UPDATE atum.transition_sum SET at = at - %(ago)s WHERE at > now() - interval '1 day'", ago
            )


class Story:
    """What is told of an alert from now on: what other tests may have caused is over."""

    def __init__(self, watched: Watched, alert: str) -> None:
        self._watched = watched
        self._alert = alert
        assert eventually(lambda: not watched.is_met(alert), seconds=60)
        self._past = len(watched.notices(alert))

    def notices(self) -> list[Notice]:
        """Give what receivers took, in order, but for a late word of an end before."""
        later = self._watched.notices(self._alert)[self._past :]
        return list(dropwhile(lambda notice: notice.status == "resolved", later))

    def await_told(self, status: str, *, seconds: float = 120) -> Notice:
        """Wait until a receiver was told that it fires, or after that, that it is over; give the first such notice."""

        def told() -> list[Notice]:
            return [notice for notice in self.notices() if notice.status == status]

        if not eventually(lambda: bool(told()), seconds=seconds):
            raise AssertionError(
                f"{self._alert} is not {status}: told {self.notices()}; Prometheus has {self._watched.prometheus.alerts()}"
            )
        return told()[0]


def _notices(received: Received) -> list[Notice]:
    path = received.path.rpartition("/")[2]
    return [
        Notice(
            received.at, path, one["labels"]["alertname"], one["status"], one["labels"], one["annotations"]
        )
        for one in received.event["alerts"]
    ]


def hurried_rules(text: str) -> str:
    """Make the durations of rules short: nothing waits for more than a second, and cooldowns are those above."""
    document = yaml.safe_load(text)
    for group in document["groups"]:
        for rule in group["rules"]:
            if "for" in rule and rule["for"] != "0s":
                rule["for"] = "1s"
            if "keep_firing_for" in rule:
                long = rule["alert"] in {"AtumBacklogHigh", "AtumProviderDown"}
                rule["keep_firing_for"] = f"{COOLDOWN_S if long else SHORT_COOLDOWN_S}s"
            # What Alertmanager could not tell is over as soon.
            rule["expr"] = rule["expr"].replace("alertmanager_notifications_failed_total[15m]", _FAILED)
    return str(yaml.safe_dump(document))


def hurried_routes(text: str, url: str) -> str:
    """Make the durations of routes short, and let each receiver that tells anybody tell `url`."""
    document = yaml.safe_load(text)
    document.pop("templates", None)
    route = document["route"]
    for one in (route, *route["routes"]):
        one.update(group_wait="4s", group_interval="1s", repeat_interval=f"{COOLDOWN_S}s")
    for one in document["receivers"]:
        told = len(one) > 1
        name = one["name"]
        one.clear()
        one["name"] = name
        if told and name != "atum-mailer-watchdog":
            one["webhook_configs"] = [{"url": f"{url}/{name}", "send_resolved": True}]
    return str(yaml.safe_dump(document))
