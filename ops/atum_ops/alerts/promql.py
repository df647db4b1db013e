"""Pieces of PromQL. All of them are the same however many exporters run: the largest of each series counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atum_ops.signals.snapshot import FAILED

if TYPE_CHECKING:
    from atum_schema.metrics_family import Family


def number(value: float) -> str:
    """Write a number so that Prometheus compares with exactly what Python compares with, as short as that goes."""
    return repr(value).removesuffix(".0")


def one(family: Family, **labels: str) -> str:
    """Give the largest of all series of a gauge."""
    return f"max({selected(family, **labels)})"


def total(family: Family, **labels: str) -> str:
    """Sum a gauge over its labels, however many exporters show it."""
    free = [name for name in family.labels if "|" in labels.get(name, "|")]
    return (
        f"sum(max by ({', '.join(free)}) ({selected(family, **labels)}))" if free else one(family, **labels)
    )


def selected(family: Family, **labels: str) -> str:
    """Select series; a value with a | in it is one of several."""
    if not labels:
        return family.full_name
    parts = [f'{name}=~"{value}"' if "|" in value else f'{name}="{value}"' for name, value in labels.items()]
    return f"{family.full_name}{{{','.join(parts)}}}"


def age(family: Family, **labels: str) -> str:
    """Give the seconds since the earliest of some timestamps, of which 0 is none."""
    return f"time() - min({selected(family, **labels)} > 0)"


def silence(family: Family) -> str:
    """Give the seconds since the latest of some timestamps, of which 0 is none."""
    return f"time() - max({family.full_name} > 0)"


def failure_percent(recent: Family, period: str, *, least: int) -> str:
    """Give the percent of failures among what finished in a period, once `least` mails did either."""
    failed = total(recent, period=period, result="|".join(FAILED))
    finished = total(recent, period=period, result="finished")
    return f"100 * {failed} / (({finished} >= {failed} or {failed}) >= {least})"


def failures_reach(recent: Family, period: str, percent: float) -> str:
    """Give something while so many percent or more of what finished in a period failed, and at least one mail did."""
    failed = total(recent, period=period, result="|".join(FAILED))
    finished = total(recent, period=period, result="finished")
    return f"100 * ({failed} > 0) >= {number(percent)} * {finished}"


def percent(recent: Family, result: str, *, period: str, least: int, few: int = 1) -> str:
    """Give the percent of mails that came to a result, of those that were sent in a period, once `least` were.

    Below `few` of them it gives nothing; none of them are 0 percent.
    """
    part = total(recent, period=period, result=result)
    sent = total(recent, period=period, result="sent")
    return f"100 * {part if few <= 1 else f'({part} >= {few})'} / ({sent} >= {least})"
