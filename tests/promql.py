"""What a PromQL expression asks for: its selectors, and what they are aggregated by."""

from __future__ import annotations

from typing import NamedTuple

import promql_parser as promql

from atum_schema import metrics_catalogue as m
from atum_schema.metrics_family import Family, Kind

#: What Prometheus adds to whatever it scrapes.
OF_SCRAPE = frozenset({"job", "instance"})
_HISTOGRAM = {"_bucket": frozenset({"le"}), "_sum": frozenset(), "_count": frozenset()}


class Selector(NamedTuple):
    """One vector selector, and what encloses it."""

    name: str
    matchers: tuple[promql.Matcher, ...]
    #: The functions and aggregations around it, the innermost first.
    around: tuple[str, ...]
    #: The labels that each aggregation around it keeps.
    kept: tuple[frozenset[str], ...]


def selectors(expr: str) -> list[Selector]:
    """Give all vector selectors. Raises `ValueError` for what is not PromQL."""
    found: list[Selector] = []
    stack: list[promql.Expr] = []

    def enter(node: promql.Expr) -> None:
        if isinstance(node, promql.VectorSelector):
            found.append(_selector(node, stack[::-1]))
        stack.append(node)

    def leave(node: promql.Expr) -> None:
        del node
        stack.pop()

    promql.walk(promql.parse(expr), enter, leave)
    return found


def _selector(node: promql.VectorSelector, around: list[promql.Expr]) -> Selector:
    words, kept = [], []
    for outer in around:
        if isinstance(outer, promql.Call):
            words.append(outer.func.name)
        if isinstance(outer, promql.AggregateExpr):
            words.append(str(outer.op))
            assert outer.modifier is None or outer.modifier.type == promql.AggModifierType.By
            kept.append(frozenset(outer.modifier.labels if outer.modifier else ()))
    assert node.name is not None, "a selector without a name reads everything"
    return Selector(node.name, tuple(node.matchers.matchers), tuple(words), tuple(kept))


def families() -> dict[str, tuple[Family, frozenset[str]]]:
    """Give, for each name that is exposed, the family and the labels of its series."""
    found = {}
    for family in m.FAMILIES:
        suffixes = _HISTOGRAM if family.kind is Kind.HISTOGRAM else {"": frozenset[str]()}
        for suffix, more in suffixes.items():
            found[family.full_name + suffix] = (family, frozenset(family.labels) | more | OF_SCRAPE)
    return found
