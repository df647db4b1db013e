"""Private nodes of Prometheus and Alertmanager, as Debian packages them."""

from __future__ import annotations

import json
import os
import shutil
import signal
from abc import abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx

from atum_ops.stack.node import Node
from atum_ops.stack.packages import PROMETHEUS_PACKAGES, remedy
from atum_ops.stack.ports import LOOPBACK
from atum_ops.stack.process import GuardedProcess
from atum_schema.errors import StackError
from tests.nodes import eventually, open_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_ANSWER_S = 2.0
_QUERY_S = 30.0


class Sample(NamedTuple):
    """One series of an answer, without the name of the metric in its labels."""

    labels: dict[str, str]
    value: float


class _HttpNode(Node):
    """A server that says over HTTP that it is ready, and reads its configuration again when it is asked to."""

    program = ""

    def __init__(self, directory: Path, *, port: int | None, options: Sequence[str]) -> None:
        found = shutil.which(self.program)
        if found is None:
            raise StackError(remedy([PROMETHEUS_PACKAGES[self.program]]))
        self._path = found
        self._options = options
        super().__init__(directory, port=port)
        self._client = httpx.Client(timeout=_QUERY_S, trust_env=False)

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://{LOOPBACK}:{self.port}"

    def is_ready(self) -> bool:
        """Whether it answers `/-/ready` with 200."""
        try:
            return self._client.get(f"{self.url}/-/ready", timeout=_ANSWER_S).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def version(self) -> str:
        """Product and version."""
        status = "/api/v1/status/buildinfo" if self.program == "prometheus" else "/api/v2/status"
        answer = self._get(status)
        info = answer["data"] if "data" in answer else answer["versionInfo"]
        return f"{self.kind} {info['version']}"

    def reload(self) -> None:
        """Write the configuration and have it read. Raises `StackError` with the reason when it is refused."""
        self._configuration().write_text(self._configured())
        answer = self._client.post(f"{self.url}/-/reload")
        if answer.is_error:
            raise StackError(f"{self.kind} does not take its configuration: {answer.text.strip()}")

    def close(self) -> None:
        """Let go of our own connections to it."""
        self._client.close()

    @abstractmethod
    def _configured(self) -> str:
        """Give the configuration file."""

    def _configuration(self) -> Path:
        return self.directory / "configuration.yml"

    def _get(self, path: str, **parameters: str) -> Any:
        answer = self._client.get(f"{self.url}{path}", params=parameters)
        if answer.is_error:
            raise StackError(f"{self.kind}: {path}: {answer.text.strip()}")
        return answer.json()

    def _launch(self) -> GuardedProcess:
        self._configuration().write_text(self._configured())
        return GuardedProcess(
            [
                self._path,
                f"--config.file={self._configuration()}",
                f"--web.listen-address={LOOPBACK}:{self.port}",
                *self._options,
            ],
            directory=self.directory,
            environment=os.environ,
            log=self.log,
        )

    def _ask_to_stop(self, process: GuardedProcess) -> None:
        process.signal(signal.SIGTERM)

    def _delete_data(self) -> None:
        shutil.rmtree(self.directory / "data", ignore_errors=True)


class PrometheusNode(_HttpNode):
    """A Prometheus that scrapes and evaluates every `interval_s` seconds.

    `targets` are addresses (`host:port`) by the name of their job, `rules` are files, `alertmanager` is an `http://host:port`.
    All three may be changed; `reload` makes it known. New targets are scraped, and a new Alertmanager is told, after five to
    ten seconds: that is built into Prometheus. Raises `StackError` where Prometheus is not installed.
    """

    kind = "Prometheus"
    program = "prometheus"

    def __init__(
        self,
        directory: Path,
        *,
        targets: Mapping[str, Sequence[str]] | None = None,
        rules: Sequence[Path] = (),
        alertmanager: str | None = None,
        interval_s: float = 1.0,
        port: int | None = None,
        options: Sequence[str] = (),
    ) -> None:
        usual = (
            f"--storage.tsdb.path={directory.resolve() / 'data'}",
            "--web.enable-lifecycle",
            # A minute, by default: what Alertmanager missed would come that late.
            "--rules.alert.resend-delay=1s",
        )
        super().__init__(directory, port=port, options=[*usual, *options])
        self.targets = dict(targets or {})
        self.rules = list(rules)
        self.alertmanager = alertmanager
        self.interval_s = interval_s

    def query(self, expr: str, *, at: float | None = None) -> list[Sample]:
        """Evaluate PromQL, now or at a time. Raises `StackError` with its message when it cannot."""
        data = self._get("/api/v1/query", query=expr, **({} if at is None else {"time": str(at)}))["data"]
        if data["resultType"] == "scalar":
            return [Sample({}, float(data["result"][1]))]
        return [Sample(_labels(series["metric"]), float(series["value"][1])) for series in data["result"]]

    def alerts(self) -> list[Sample]:
        """Give the alerts that are pending or firing: their labels and `state`, and the value."""
        found = self._get("/api/v1/alerts")["data"]["alerts"]
        return [Sample({**one["labels"], "state": one["state"]}, float(one["value"])) for one in found]

    def is_scraping(self) -> bool:
        """Whether every target that is configured was scraped, and answered, the last time."""
        found = self._get("/api/v1/targets")["data"]["activeTargets"]
        wanted = sum(len(addresses) for addresses in self.targets.values())
        return len(found) == wanted and all(one["health"] == "up" for one in found)

    def wait_for_scrapes(self, *, seconds: float = 60) -> None:
        """Wait until every target answers. Raises `StackError` with what they say when one does not in time."""
        if not eventually(self.is_scraping, seconds=seconds):
            found = self._get("/api/v1/targets")["data"]["activeTargets"]
            raise StackError(str({one["scrapeUrl"]: one["lastError"] or one["health"] for one in found}))

    def _configured(self) -> str:
        every = f"{round(self.interval_s * 1000)}ms"
        jobs = [
            {"job_name": job, "static_configs": [{"targets": list(addresses)}]}
            for job, addresses in self.targets.items()
        ]
        managers = [] if self.alertmanager is None else [self.alertmanager.removeprefix("http://")]
        # Any JSON is YAML.
        return json.dumps(
            {
                "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
                "scrape_configs": jobs,
                "rule_files": [str(path.resolve()) for path in self.rules],
                "alerting": {"alertmanagers": [{"static_configs": [{"targets": managers}]}]},
            },
            indent=1,
        )


class AlertmanagerNode(_HttpNode):
    """An Alertmanager alone, with the text of its configuration, which may be changed; `reload` makes it known.

    Raises `StackError` where Alertmanager is not installed.
    """

    kind = "Alertmanager"
    program = "prometheus-alertmanager"

    def __init__(
        self, directory: Path, *, config: str, port: int | None = None, options: Sequence[str] = ()
    ) -> None:
        usual = (f"--storage.path={directory.resolve() / 'data'}", "--cluster.listen-address=")
        super().__init__(directory, port=port, options=[*usual, *options])
        self.config = config

    def alerts(self) -> list[dict[str, Any]]:
        """Give the alerts that it has, as its API does; those that are silenced or inhibited too."""
        return list(self._get("/api/v2/alerts"))

    def _configured(self) -> str:
        return self.config


def _labels(metric: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in metric.items() if name != "__name__"}


@contextmanager
def private_prometheus(
    *,
    targets: Mapping[str, Sequence[str]] | None = None,
    rules: Sequence[Path] = (),
    alertmanager: str | None = None,
    interval_s: float = 1.0,
    options: Sequence[str] = (),
) -> Iterator[PrometheusNode]:
    """A started Prometheus of one's own, killed at the end."""
    with open_directory() as directory:
        node = PrometheusNode(
            directory,
            targets=targets,
            rules=rules,
            alertmanager=alertmanager,
            interval_s=interval_s,
            options=options,
        )
        with _killed_at_end(node):
            yield node


@contextmanager
def private_alertmanager(config: str, *, options: Sequence[str] = ()) -> Iterator[AlertmanagerNode]:
    """A started Alertmanager of one's own, killed at the end."""
    with open_directory() as directory:
        node = AlertmanagerNode(directory, config=config, options=options)
        with _killed_at_end(node):
            yield node


@contextmanager
def _killed_at_end(node: _HttpNode) -> Iterator[None]:
    try:
        node.start()
        yield
    finally:
        node.kill()
        node.close()
