from __future__ import annotations

from pathlib import Path

from atum_ops.simulator.__main__ import _parser
from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.faults import EFFECTS
from atum_ops.simulator.presets import PRESETS
from atum_ops.simulator.service import Service
from atum_ops.simulator.state import State

TEXT = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()


def test_the_fault_table_says_what_the_code_says() -> None:
    section = TEXT.partition("## Faults")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{kind}` | {effect.client_sees} | {effect.truth} |" for kind, effect in EFFECTS.items()
    ]


def test_every_option_is_explained() -> None:
    options = {option for action in _parser()._actions for option in action.option_strings} - {"-h", "--help"}
    assert options
    assert {option for option in options if f"`{option}" not in TEXT} == set()


def test_every_preset_is_named() -> None:
    assert {name for name in PRESETS if f"`{name}`" not in TEXT} == set()


def test_every_endpoint_is_listed() -> None:
    routes = Service(State(SimulatorConfig()))._routes
    assert {f"`{method} {path}`" for method, path in routes if f"`{method} {path}`" not in TEXT} == set()
