"""docs/commands.md says what the command line says, and every command explains itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from atum_ops.cli import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
README = (Path(__file__).parents[2] / "README.md").read_text()


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Walk the tree of commands; groups that do nothing themselves are left out."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield " ".join((*path, name)), command


COMMANDS = dict(commands())


def sections() -> dict[str, str]:
    """Give the text under each heading that names a command."""
    parts = re.split(r"^### `(.+)`$", TEXT, flags=re.MULTILINE)
    return {name: body.partition("\n## ")[0] for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def documented(section: str, kind: str) -> dict[str, str]:
    """Give the names in a section's table of options or arguments, each with its default."""
    table = section.partition(f"| {kind} | default | meaning |\n")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[1:]]
    return {row[0].strip("`"): row[1] for row in rows}


def default(parameter: click.Parameter) -> str | None:
    """Say a parameter's default as the page does; None where only words can."""
    if parameter.required:
        return "required"
    if isinstance(parameter, click.Option) and parameter.is_flag:
        # A pair as in --opens/--no-opens may leave things as they are.
        return None if parameter.secondary_opts else "off"
    # Click marks "no default" by an object of its own, which differs between its versions.
    return f"`{parameter.default}`" if isinstance(parameter.default, str | int | float) else None


def test_every_command_is_documented_and_every_documented_one_exists() -> None:
    assert sorted(sections()) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("kind", ["option", "argument"])
def test_options_and_arguments_are_documented_with_their_defaults_and_no_others_are(
    name: str, kind: str
) -> None:
    sort = click.Option if kind == "option" else click.Argument
    parameters = [each for each in COMMANDS[name].params if isinstance(each, sort)]
    expected = {_label(each): default(each) for each in parameters}
    found = documented(sections()[name], kind)
    assert found.keys() == expected.keys()
    assert {key: found[key] for key, value in expected.items() if value is not None} == {
        key: value for key, value in expected.items() if value is not None
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_choices_are_all_named(name: str) -> None:
    choices = [each.type.choices for each in COMMANDS[name].params if isinstance(each.type, click.Choice)]
    section = sections()[name]
    assert [choice for each in choices for choice in each if f"`{choice}`" not in section] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_has_an_example_of_the_command(name: str) -> None:
    examples = re.findall(r"^```console\n(.*?)^```$", sections()[name], re.DOTALL | re.MULTILINE)
    assert any(f"atum-mailer {name}" in example for example in examples)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_an_example_with_its_name(name: str) -> None:
    answer = CliRunner().invoke(cli, [*name.split(), "--help"], prog_name="atum-mailer")
    assert answer.exit_code == 0
    examples = answer.output.partition("Example")[2]
    assert f"atum-mailer {name}" in examples


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_use_options_that_exist(name: str) -> None:
    known = {label for command in COMMANDS.values() for each in command.params for label in each.opts}
    texts = [sections()[name], COMMANDS[name].help or ""]
    used = {option for text in texts for line in text.splitlines() for option in _options_in(line)}
    assert used - known - {"--help", "--version"} == set()


def test_help_and_version_are_where_people_look_for_them() -> None:
    runner = CliRunner()
    assert runner.invoke(cli, ["-h"], prog_name="atum-mailer").output.startswith("Usage: atum-mailer ")
    assert re.fullmatch(
        r"atum-mailer \d+\.\d+\.\d+\n", runner.invoke(cli, ["--version"], prog_name="atum-mailer").output
    )


def test_commands_that_the_readme_names_exist() -> None:
    named = re.findall(r"atum-mailer ([a-z][a-z-]*(?: [a-z]+)?)", README)
    groups = {name.partition(" ")[0] for name in COMMANDS}
    assert named
    assert [each for each in named if each not in COMMANDS and each.partition(" ")[0] not in groups] == []


def _label(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Option):
        return max(parameter.opts, key=len)
    return parameter.metavar or (parameter.name or "").upper()


def _options_in(line: str) -> list[str]:
    return re.findall(r"(?<![\w-])--[a-z][a-z-]*", line) if "atum-mailer" in line else []


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_says_what_every_option_is_for(name: str) -> None:
    options = [each for each in COMMANDS[name].params if isinstance(each, click.Option)]
    assert [each.opts for each in options if not each.help] == []
