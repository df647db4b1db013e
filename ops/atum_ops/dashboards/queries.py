"""PromQL of panels, in a few shapes that are right for every family.

What the exporter reads from Postgres is shown by each exporter that runs: the largest of each series counts, and then series are
summed. What processes count themselves is summed over the processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from atum_schema import metrics_catalogue as m

if TYPE_CHECKING:
    from atum_schema.metrics_family import Family

LANE: Final = "$lane"
"""The lanes that are chosen at the top of a dashboard."""
INSTANCE: Final = "$instance"
"""The processes that are chosen there."""
JOBS: Final = "atum-mailer.*"
"""The jobs of Prometheus that scrape us, as the alerts know them."""
MINE: Final = f'job=~"{JOBS}",instance=~"{INSTANCE}"'


def selected(family: Family, suffix: str = "", **labels: str) -> str:
    """Select series of a family; a value with a variable, `|`, `.` or `*` in it is a pattern, and one with `!` before it is not wanted."""
    matchers = []
    for name, value in labels.items():
        operator = "!~" if value.startswith("!") else "=~" if set(value) & set("|$*") else "="
        matchers.append(f'{name}{operator}"{value.removeprefix("!")}"')
    return family.full_name + suffix + (f"{{{','.join(matchers)}}}" if matchers else "")


def gauge(family: Family, *by: str, **labels: str) -> str:
    """Sum a gauge by some of its labels."""
    return _summed(family, by, selected(family, **labels))


def largest(family: Family, *by: str, **labels: str) -> str:
    """Give the largest of a gauge by some of its labels."""
    return f"max{_by(by)} ({selected(family, **labels)})"


def rate(family: Family, *by: str, **labels: str) -> str:
    """Give how much a counter grows per second, by some of its labels."""
    return _summed(family, by, f"rate({selected(family, **labels)}[$__rate_interval])")


def growth(family: Family, period: str, *by: str, **labels: str) -> str:
    """Give how much a counter grew in a period, by some of its labels."""
    return _summed(family, by, f"increase({selected(family, **labels)}[{period}])")


def quantile(share: float, family: Family, *by: str, **labels: str) -> str:
    """Give the value that this share of a histogram's observations do not exceed, by some of its labels."""
    return f"histogram_quantile({share:g}, {buckets(family, *by, **labels)})"


def buckets(family: Family, *by: str, **labels: str) -> str:
    """Give how fast each bucket of a histogram fills."""
    rates = f"rate({selected(family, '_bucket', **labels)}[$__rate_interval])"
    return f"sum{_by((*by, 'le'))} ({rates})"


def since(family: Family, *by: str, **labels: str) -> str:
    """Give the seconds since the earliest of some timestamps; 0 where there is none, and nothing where nobody says."""
    chosen = selected(family, **labels)
    return f"time() - min{_by(by)} ({chosen} > 0) or 0 * max{_by(by)} ({chosen})"


def ago(family: Family, *by: str, **labels: str) -> str:
    """Give the seconds since the latest of some timestamps; nothing where there is none."""
    return f"time() - max{_by(by)} ({selected(family, **labels)} > 0)"


def percent(part: str, whole: str) -> str:
    """Give a part in percent of a whole; 0 where there is neither."""
    return f"100 * {part} / ({whole} > 0) or 0 * {part}"


def share_of_threshold(value: str, setting: str) -> str:
    """Give a value as a share of the threshold that operators set: 1 is where the alert begins."""
    return f"({value}) / scalar({threshold(setting)})"


def threshold(setting: str) -> str:
    """Give a threshold as operators set it."""
    return f'max({m.THRESHOLD.full_name}{{setting="{setting}"}})'


def _summed(family: Family, by: tuple[str, ...], series: str) -> str:
    if family.parts == m.EXPORTER:
        series = f"max{_by(family.labels)} ({series})"
    # Of one exporter there is one series of each: nothing is left to sum.
    return series if family.parts == m.EXPORTER and by == family.labels else f"sum{_by(by)} ({series})"


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""
