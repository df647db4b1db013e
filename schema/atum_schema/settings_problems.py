"""What is wrong with settings, in words: the variable, what it must be, what it is. Never the value of a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from annotated_types import Ge, Gt, Le

from atum_schema.settings_files import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

# No secret is a number, so the value may be said.
_OF_NUMBERS: Final = frozenset(
    {"greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number"}
    | {"int_parsing", "int_parsing_size", "int_from_float", "int_type", "float_parsing", "float_type"}
)


def problem(error: ErrorDetails, fields: Mapping[str, FieldInfo]) -> str:
    """Say one error in words. `fields` are those of the settings, by name."""
    name = ".".join(map(str, error["loc"]))
    variable = f"{PREFIX}{name.upper() or 'SETTINGS'}"
    if error["type"] == "missing":
        return f"{variable} is not set (or {variable}_FILE)"
    if error["type"] in _OF_NUMBERS and name in fields:
        return f"{variable}: must be a number {bounds(fields[name])}, not {error['input']!r}"
    return f"{variable}: {error['msg'].removeprefix('Value error, ')}"


def bounds(field: FieldInfo) -> str:
    """Say between which numbers a setting must be; empty where it has no bounds."""
    rules: list[Any] = field.metadata
    low = next((f"from {rule.ge}" for rule in rules if isinstance(rule, Ge)), "")
    low = next((f"above {rule.gt}" for rule in rules if isinstance(rule, Gt)), low)
    high = next((f"to {rule.le}" for rule in rules if isinstance(rule, Le)), "")
    return f"{low} {high}".strip()
