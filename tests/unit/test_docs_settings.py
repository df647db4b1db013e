"""docs/settings.md says what the code says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotated_types import Ge, Gt, Le
from pydantic import SecretStr

from atum_schema.settings import Settings
from atum_schema.settings_fields import LIVE_NAMES

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

TEXT = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()


def documented() -> list[str]:
    return [line for line in TEXT.splitlines() if line.startswith("| `ATUM_")]


def row(name: str, field: FieldInfo) -> str:
    secret = (
        " (secret)" if SecretStr in (field.annotation, *getattr(field.annotation, "__args__", ())) else ""
    )
    return f"| `ATUM_{name.upper()}`{secret} | {default(field)} | {limits(field.metadata)} | {field.description} |"


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return "–" if field.default is None else f"`{field.default}`"


def limits(rules: list[Any]) -> str:
    low = next((f"from {rule.ge}" for rule in rules if isinstance(rule, Ge)), "")
    low = next((f"above {rule.gt}" for rule in rules if isinstance(rule, Gt)), low)
    high = next((f"to {rule.le}" for rule in rules if isinstance(rule, Le)), "")
    return f"{low} {high}".strip() or "–"


def test_every_setting_is_documented_with_its_default_and_limits_and_nothing_else_is() -> None:
    assert sorted(documented()) == sorted(row(name, field) for name, field in Settings.model_fields.items())


def test_every_variable_that_the_page_mentions_exists() -> None:
    fields = {f"ATUM_{name.upper()}" for name in Settings.model_fields}
    mentioned = {name.removesuffix("_FILE") for name in re.findall(r"ATUM_[A-Z_]+", TEXT)}
    assert mentioned - {"ATUM_X", "ATUM_"} == fields


def test_the_settings_that_change_while_it_runs_are_named_and_no_others_are() -> None:
    section = TEXT.partition("## Settings that change while it runs\n")[2].partition("```console")[0]
    assert sorted(re.findall(r"`ATUM_([A-Z_]+)`", section)) == sorted(name.upper() for name in LIVE_NAMES)
