from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from atum_ops.cli.simulator import simulator
from atum_ops.simulator.conditions import Conditions
from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.control import Control
from atum_ops.simulator.fates import COURSES
from atum_ops.simulator.faults import EFFECTS
from atum_ops.simulator.listener import Listener
from atum_ops.simulator.presets import PRESETS
from atum_ops.simulator.scenarios import SCENARIOS
from atum_ops.simulator.service import Service
from atum_ops.simulator.stage import Stage
from atum_ops.simulator.state import State
from atum_ops.simulator.webhook_faults import SAYS, WEBHOOK_PRESETS
from atum_ops.simulator.webhook_ladder import LADDERS
from tests.clients.drivers import CLIENTS

TEXT = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()


def test_the_fault_table_says_what_the_code_says() -> None:
    section = TEXT.partition("## Faults")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{kind}` | {effect.client_sees} | {effect.truth} |" for kind, effect in EFFECTS.items()
    ]


def test_every_option_is_explained() -> None:
    options = {option for parameter in simulator.params for option in parameter.opts}
    assert options
    assert {option for option in options if f"`{option}" not in TEXT} == set()


def test_every_preset_is_named() -> None:
    assert {name for name in PRESETS if f"`{name}`" not in TEXT} == set()


def test_the_table_of_scenarios_says_what_the_code_says() -> None:
    section = TEXT.partition("## Scenarios")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert rows == [f"| `{name}` | {scenario.says} |" for name, scenario in SCENARIOS.items()]


def test_every_condition_is_named() -> None:
    assert {name for name in Conditions().to_document() if f"`{name}`" not in TEXT} == set()


def test_every_client_that_is_tested_is_named() -> None:
    section = TEXT.partition("## Clients")[2].partition("\n## ")[0]
    assert {name for name in CLIENTS if f"| {name} " not in section} == set()


def test_every_endpoint_is_listed() -> None:
    state = State(SimulatorConfig())
    control = Control(state, Stage(state, Listener("127.0.0.1", 0)))
    for prefix, routes in (("", Service(state, control)._routes), ("/_control/", control._routes)):
        names = {f"`{method} {prefix}{path}`" for method, path in routes}
        assert {name for name in names if name not in TEXT} == set()


def test_the_table_of_fates_says_what_the_code_says() -> None:
    section = TEXT.partition("## What becomes of mails")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert rows == [f"| `{fate}` | {course.says} |" for fate, course in COURSES.items()]


def test_the_table_of_webhook_faults_says_what_the_code_says() -> None:
    section = TEXT.partition("### Faults of webhooks")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert rows == [f"| `{name}` | {says} |" for name, says in SAYS.items()]


def test_the_ladders_and_the_settings_of_webhooks_are_told() -> None:
    section = TEXT.partition("## Webhooks")[2].partition("\n## ")[0]
    for ladders in LADDERS.values():
        assert all(", ".join(map(str, ladder)) in section for ladder in ladders.values())
    names = {one.name for one in fields(SimulatorConfig)}
    wanted = {name for name in names if name.startswith("webhook")} | {"fates", "retry_rules", "time_scale"}
    assert {name for name in wanted if f"`{name}`" not in section} == set()
    assert {name for name in WEBHOOK_PRESETS if f"`{name}`" not in section} == set()
