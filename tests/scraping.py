"""Metrics as Prometheus sees them: scraped over HTTP, and judged by its own tool."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from atum_schema.metrics_family import PREFIX
from tests.no_tls import NO_TLS
from tests.nodes import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from atum_schema.metrics_family import Family

_URL = re.compile(r'"event":"metrics: exposed".*?"url":"(http://[^"]+)"')


class Scrape:
    """What a process exposed at one moment."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def value(self, family: Family, suffix: str = "", **labels: str) -> float:
        """Give the value of one series; `suffix` is `_count` or `_sum` of a histogram."""
        return self._samples[family.full_name + suffix, frozenset(labels.items())]

    def values(self, family: Family, label: str, **others: str) -> dict[str, int]:
        """Give the values that are not 0 by a label, added up over all labels but the `others`."""
        found: dict[str, int] = {}
        for (name, pairs), value in self._samples.items():
            labels = dict(pairs)
            if name == family.full_name and value and others.items() <= labels.items():
                found[labels[label]] = found.get(labels[label], 0) + int(value)
        return found

    def has(self, family: Family, suffix: str = "", **labels: str) -> bool:
        """Whether there is such a series."""
        return (family.full_name + suffix, frozenset(labels.items())) in self._samples

    def moved(self) -> str:
        """The lines of ours that are not 0, for a failed assertion."""
        return "\n".join(
            line for line in self.text.splitlines() if line.startswith(PREFIX) and not line.endswith(" 0.0")
        )

    @property
    def families(self) -> set[str]:
        """The families of ours, without the prefix."""
        return {
            line.split()[2].removeprefix(PREFIX)
            for line in self.text.splitlines()
            if line.startswith(f"# TYPE {PREFIX}")
        }

    @property
    def series(self) -> int:
        """How many series there are."""
        return len(self._samples)


def url_in(output: str) -> str:
    """Find where a process says that its metrics are."""
    found = _URL.findall(output)
    assert len(found) == 1, output
    return str(found[0])


def scrape(url: str) -> Scrape:
    """Read the metrics of a process."""
    answer = httpx.get(url, timeout=60, verify=NO_TLS)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return Scrape(answer.text)


def await_scrape(url: str, condition: Callable[[Scrape], Any], *, seconds: float = 60) -> Scrape:
    """Scrape until the condition holds; give what held."""
    last: list[Scrape] = []

    def holds() -> bool:
        last[:] = [scrape(url)]
        return bool(condition(last[0]))

    assert eventually(holds, seconds=seconds), last[0].moved()
    return last[0]


def check(text: str) -> None:
    """Have `promtool check metrics` judge it."""
    judged = subprocess.run(
        ["promtool", "check", "metrics"], input=text.encode(), capture_output=True, timeout=60, check=False
    )
    assert (judged.returncode, judged.stdout, judged.stderr) == (0, b"", b"")
