"""How the files that are made look: YAML in a fixed order, comments where people read, durations as Prometheus writes them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable

_UNITS: Final = ((3600, "h"), (60, "m"), (1, "s"))
# Long lines are not broken: a change of one value is a change of one line.
_WIDTH: Final = 10_000


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and items of lists indented, as people do."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        del indentless
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def dumped(value: Any, *, indent: int = 0) -> str:
    """Write a value as YAML, in the order that it has."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH, default_flow_style=False
    )
    return "".join(
        f"{' ' * indent}{line}" if line.strip() else line for line in text.splitlines(keepends=True)
    )


def comment(lines: Iterable[str], *, indent: int = 0) -> str:
    """Write comment lines."""
    return "".join(f"{' ' * indent}# {line}".rstrip() + "\n" for line in lines)


def duration(seconds: int) -> str:
    """Write a duration in the largest unit that divides it, as `90m`."""
    size, unit = next((size, unit) for size, unit in _UNITS if seconds % size == 0)
    return f"{seconds // size}{unit}" if seconds else "0s"
