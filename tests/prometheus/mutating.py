"""Mutants of a rule: each is the rule with one thing changed that somebody could have got wrong. Pure."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from atum_ops.alerts.promql_layout import tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_OPERATORS: Final = {
    ">=": (">", "=="),
    ">": (">=", "=="),
    "==": ("!=", ">="),
    "and": ("or", "unless"),
    "or": ("and", "unless"),
    "=~": ("!~",),
    "!~": ("=~",),
    "=": ("!=",),
    "+": ("-",),
    "-": ("+",),
    "sum": ("max",),
    "max": ("sum",),
    "min": ("max",),
    "count": ("sum",),
}
_DURATION: Final = re.compile(r"(\d+)([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LOGICAL: Final = frozenset({"and", "or", "unless"})


class Mutant(NamedTuple):
    """A changed rule."""

    #: What was changed to what, the same in every run.
    name: str
    rule: dict[str, Any]


def mutants(rule: Mapping[str, Any]) -> Iterator[Mutant]:
    """Give all mutants of a rule."""
    seen: Counter[str] = Counter()
    expr = rule["expr"]
    for was, text in _of_expression(expr):
        if " ".join(text.split()) != " ".join(expr.split()):
            seen[was] += 1
            number = f" (#{seen[was]})" if seen[was] > 1 else ""
            yield Mutant(f"{was}{number}", {**rule, "expr": text})
    yield from _of_duration(rule, "for")
    yield from _of_duration(rule, "keep_firing_for")
    severity = rule["labels"]["severity"]
    other = "warning" if severity == "critical" else "critical"
    yield Mutant(f"severity {severity} → {other}", {**rule, "labels": {**rule["labels"], "severity": other}})


def _of_duration(rule: Mapping[str, Any], key: str) -> Iterator[Mutant]:
    seconds = _seconds(rule.get(key, "0s"))
    # What is 0 lasts for a minute; what lasts, for half and twice as long, and not at all.
    for changed in [60] if seconds == 0 else [seconds // 2, seconds * 2, 0]:
        yield Mutant(f"{key} {seconds}s → {changed}s", {**rule, key: f"{changed}s"})


def _seconds(text: str) -> int:
    return sum(int(number) * _SECONDS[unit] for number, unit in _DURATION.findall(text))


def _of_expression(expr: str) -> Iterator[tuple[str, str]]:
    words = tokens(expr)
    yield from _of_words(words)
    yield from _of_matchers(words)
    yield from _of_labels(words)
    yield from _of_operands(words)


def _of_words(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    for place, word in enumerate(words):
        inside = _inside(words, place)
        for changed in _changed(word) if inside != "by" else ():
            context = "".join(words[max(0, place - 2) : place + 3]).strip()
            yield f"{word} → {changed} in `{context}`", _with(words, place, changed)


def _changed(word: str) -> Sequence[str]:
    if duration := _DURATION.fullmatch(word):
        seconds = _seconds(duration[0])
        return f"{seconds // 2}s", f"{seconds * 2}s"
    if word[0].isdigit():
        value = float(word)
        return [
            f"{each:g}"
            for each in dict.fromkeys((value * 2, value / 2, value + 1, value - 1))
            if each != value
        ]
    return _OPERATORS.get(word, ())


def _of_matchers(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Leave out a matcher, or one of the words that it matches."""
    for place, word in enumerate(words):
        if not word.startswith('"'):
            continue
        label = words[place - 2]
        rest = [*words[: place - 2], *words[place + 1 :]]
        # A comma too many is allowed behind, not before.
        at = place - 2
        if at < len(rest) and rest[at] == ",":
            del rest[at]
        yield f"without {label} of {word}", "".join(rest)
        alternatives = word.strip('"').split("|")
        if len(alternatives) > 1:
            for one in alternatives:
                kept = "|".join(other for other in alternatives if other != one)
                yield f"{label} without {one} of {word}", _with(words, place, f'"{kept}"')


def _of_labels(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Leave out a label of `by`, unless a matcher fixes it to one value: then it makes no difference."""
    for place, word in enumerate(words):
        if word != "by":
            continue
        closed = words.index(")", place)
        labels = [each for each in words[place:closed] if each.isidentifier() and each != "by"]
        selector = "".join(words[closed + 1 :]).partition("}")[0]
        for label in labels:
            if re.search(rf'[{{,]{label}="', selector):
                continue
            kept = ", ".join(each for each in labels if each != label)
            yield (
                f"by without {label} of {selector}",
                "".join([*words[:place], f"by ({kept}", *words[closed:]]),
            )


def _of_operands(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Leave out what stands on one side of `and` or `or`."""
    for place, word in enumerate(words):
        if word in _LOGICAL:
            start, end = _bounds(words, place)
            yield (
                f"without what is left of {word}",
                "".join([*words[:start], *words[place + 1 : end], *words[end:]]),
            )
            yield f"without what is right of {word}", "".join([*words[:place], *words[end:]])


def _bounds(words: Sequence[str], place: int) -> tuple[int, int]:
    """Give from where to where the operands of an operator go: to a parenthesis, or to the next such operator."""
    start, depth = place, 0
    while start > 0 and depth >= 0:
        word = words[start - 1]
        if depth == 0 and (word in "([{" or word in _LOGICAL):
            break
        depth += (word in ")]}") - (word in "([{")
        start -= 1
    end, depth = place + 1, 0
    while end < len(words):
        word = words[end]
        if depth == 0 and (word in ")]}" or word in _LOGICAL):
            break
        depth += (word in "([{") - (word in ")]}")
        end += 1
    return start, end


def _inside(words: Sequence[str], place: int) -> str:
    """Say `by` where a word is the name of a label after it."""
    opened = max((at for at in range(place) if words[at] == "("), default=-1)
    if opened < 0 or ")" in words[opened:place]:
        return ""
    before = "".join(words[:opened]).rstrip()
    return "by" if before.endswith(" by") else ""


def _with(words: Sequence[str], place: int, changed: str) -> str:
    return "".join([*words[:place], changed, *words[place + 1 :]])
