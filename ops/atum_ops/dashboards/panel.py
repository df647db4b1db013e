"""What a panel shows, without Grafana's JSON."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypedDict, Unpack


class Kind(StrEnum):
    """How a panel shows it, as Grafana calls it."""

    LINES = "timeseries"
    VALUE = "stat"
    BARS = "bargauge"
    STATES = "state-timeline"
    TABLE = "table"
    HEAT = "heatmap"


class Colour(StrEnum):
    """Colours that say something; what they say is also said in words."""

    GOOD = "green"
    NOTICE = "yellow"
    BAD = "red"
    NEUTRAL = "text"


class State(NamedTuple):
    """What a value means in words."""

    value: int
    text: str
    colour: Colour


class Query(NamedTuple):
    """One expression, and what its series are called; `{{label}}` stands for a label's value."""

    expr: str
    legend: str
    #: Drawn as a dashed line on top: what the others are compared with.
    limit: bool = False
    #: Of a table's column; None: the panel's unit.
    unit: str | None = None
    #: Of a table's column: words instead of numbers.
    states: tuple[State, ...] = ()


class Step(NamedTuple):
    """From where on a value has another colour."""

    value: float
    colour: Colour


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel."""

    title: str
    #: What it means, and when to worry.
    description: str
    kind: Kind
    queries: tuple[Query, ...]
    #: Grafana's name of it; `short` is a number.
    unit: str = "short"
    #: Of the 24 columns of the grid.
    width: int = 8
    #: In lines of the grid, of about 36 pixels each.
    height: int = 8
    #: Shown where there is nothing to show.
    nothing: str = ""
    #: What stands beside the axis.
    axis: str = ""
    stacked: bool = False
    steps: tuple[Step, ...] = ()
    states: tuple[State, ...] = ()
    #: Of a table: the labels that are columns, in this order, and what they are called.
    columns: tuple[tuple[str, str], ...] = ()
    decimals: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """One dashboard. Its `uid` is also the name of its file, and stays: links and alerts use it."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    #: Names of the variables at its top, besides the data source.
    variables: tuple[str, ...] = ()


class More(TypedDict, total=False):
    """What a panel may have besides; see `Panel`."""

    unit: str
    width: int
    height: int
    nothing: str
    axis: str
    stacked: bool
    steps: tuple[Step, ...]
    states: tuple[State, ...]
    columns: tuple[tuple[str, str], ...]
    decimals: int


def value(title: str, description: str, *queries: Query, **more: Unpack[More]) -> Panel:
    """Make a small panel that shows numbers of now."""
    more = {"width": 4, "height": 4, **more}
    return Panel(kind=Kind.VALUE, title=title, description=description, queries=queries, **more)


def lines(title: str, description: str, *queries: Query, **more: Unpack[More]) -> Panel:
    """Make a panel of lines over time."""
    return Panel(kind=Kind.LINES, title=title, description=description, queries=queries, **more)


def timeline(title: str, description: str, *queries: Query, **more: Unpack[More]) -> Panel:
    """Make a panel of states over time."""
    return Panel(kind=Kind.STATES, title=title, description=description, queries=queries, **more)


def bars(title: str, description: str, *queries: Query, **more: Unpack[More]) -> Panel:
    """Make a panel of bars, one for each series, of now."""
    return Panel(kind=Kind.BARS, title=title, description=description, queries=queries, **more)


def table(title: str, description: str, *queries: Query, **more: Unpack[More]) -> Panel:
    """Make a table of now: labels, and a column for each query."""
    return Panel(kind=Kind.TABLE, title=title, description=description, queries=queries, **more)


def heat(title: str, description: str, query: Query, **more: Unpack[More]) -> Panel:
    """Make a heatmap of a histogram."""
    return Panel(kind=Kind.HEAT, title=title, description=description, queries=(query,), **more)
