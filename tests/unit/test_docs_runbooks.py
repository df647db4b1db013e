"""Every alert has a page that is about this system: its commands, settings, metrics and links exist."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import click
import promql_parser
import pytest

from atum_ops.cli import cli
from atum_ops.health import checks
from atum_schema import live_merge
from atum_schema.metrics_catalogue import FAMILIES, FIXED
from atum_schema.metrics_family import Kind
from atum_schema.settings import Settings
from atum_schema.settings_fields import LIVE_NAMES
from atum_schema.status import Status
from atum_workers.codes import CODES
from tests import alert_pages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from atum_ops.alerts.alert import Alert


FOLDER: Final = alert_pages.DOCS / "runbooks"
ALERTS: Final = {alert.name: alert for alert in alert_pages.alerts()}
PAGES: Final = {path.stem: path.read_text() for path in FOLDER.glob("Atum*.md")}
INDEX: Final = (FOLDER / "README.md").read_text()
OVERVIEW: Final = (alert_pages.DOCS / "alerts.md").read_text()
TEXTS: Final = PAGES | {"README": INDEX, "alerts": OVERVIEW}
HEADINGS: Final = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
STATUSES: Final = {status.value for status in Status} | {"sending", "failed"}
REASONS: Final = {reason for _, reason in CODES.values()} | {"poison"}
MAIL: Final = "01a210f2-f7fa-72f2-9619-a99bccb5d8e4"

by_alert = pytest.mark.parametrize("alert", ALERTS.values(), ids=ALERTS)
by_page = pytest.mark.parametrize("name", TEXTS)


def sections(name: str) -> dict[str, str]:
    """Give the text under each heading of a page."""
    parts = re.split(r"^## (.+)$", PAGES[name], flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def blocks(text: str, language: str) -> list[str]:
    """Give the code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def orders(text: str) -> list[list[str]]:
    """Give all command lines of ours, in blocks and in backticks, as words; what stands behind a pipe is none of ours."""
    lines = [line[2:] for block in blocks(text, "console") for line in block.splitlines() if line[:2] == "$ "]
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    lines += re.findall(r"`([^`]+)`", outside)
    return [words(line)[1:] for line in lines if line.startswith("atum-mailer ")]


def words(line: str) -> list[str]:
    """Split a command line as a shell does, up to the first pipe or redirection."""
    lexer = shlex.shlex(line.replace("$MAIL", MAIL), posix=True, punctuation_chars="|<>;&")
    lexer.whitespace_split = True
    found = list(lexer)
    ends = [at for at, word in enumerate(found) if set(word) <= set("|<>;&")]
    return found[: ends[0]] if ends else found


def parse(order: list[str]) -> tuple[str, dict[str, object]]:
    """Parse a command as the command line would, without doing it. Raises `click.UsageError`."""
    command: click.Command = cli
    path: list[str] = []
    rest = list(order)
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), rest[0]) if rest else None
        if found is None:
            raise click.UsageError(f"no such command: {' '.join(order)}")
        command = found
        path.append(rest.pop(0))
    return " ".join(path), command.make_context(" ".join(path), rest).params


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    assert sorted(PAGES) == sorted(ALERTS)


@by_alert
def test_a_page_has_the_four_headings_in_order_each_with_real_text(alert: Alert) -> None:
    assert re.findall(r"^# (.+)$", PAGES[alert.name], re.MULTILINE)[0] == alert.name
    assert list(sections(alert.name)) == HEADINGS
    assert [title for title, text in sections(alert.name).items() if len(text.split()) < 25] == []
    assert 25 <= len(PAGES[alert.name].splitlines()) <= 60


@by_alert
def test_a_page_begins_with_severity_duration_and_threshold(alert: Alert) -> None:
    assert sections(alert.name)["Meaning"].strip().splitlines()[0] == alert_pages.fact(alert)


@by_alert
def test_a_page_names_the_settings_that_keep_the_alert_silent(alert: Alert) -> None:
    assert [name for name in alert_pages.guards(alert) if f"`{name}`" not in PAGES[alert.name]] == []


@by_alert
def test_the_diagnosis_has_commands_and_queries_and_the_mitigation_says_how_it_ends(alert: Alert) -> None:
    diagnosis = sections(alert.name)["Diagnosis"]
    assert blocks(diagnosis, "console")
    assert blocks(diagnosis, "promql")
    assert "**It is over**" in sections(alert.name)["Mitigation"]


def test_the_index_lists_all_alerts_in_their_order_with_their_severity() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\((\w+)\.md\) \| (\w+) \| .+\. \|$", INDEX, re.MULTILINE)
    assert rows == [(alert.name, alert.name, alert.severity.value) for alert in ALERTS.values()]


@by_page
def test_every_command_line_can_be_given_as_it_stands(name: str) -> None:
    for order in orders(TEXTS[name]):
        path, params = parse(order)
        if path.startswith("dead ") and "--reason" in order:
            assert set(_option(order, "--reason")) <= REASONS, order
        if path in {"mail list", "logs export"}:
            assert set(_option(order, "--status")) <= STATUSES, order
        if path == "health check":
            assert set(_texts(params["only"])) <= {check.name for check in checks.CHECKS}, order
        if path == "settings set" and params["changes"]:
            changes = dict(change.split("=", 1) for change in _texts(params["changes"]))
            assert live_merge.checked(alert_pages.settings(), {}, changes)
        if path == "settings set" and params["unset"]:
            assert set(_texts(params["unset"])) <= set(LIVE_NAMES), order
        if path == "settings show":
            assert set(_texts(params["names"])) <= Settings.model_fields.keys(), order
        if path == "settings history" and params["name"]:
            assert params["name"] in LIVE_NAMES, order


def test_a_page_without_command_lines_is_not_what_was_tested() -> None:
    assert [name for name in PAGES if len(orders(PAGES[name])) < 2] == []


@by_page
def test_commands_that_are_named_in_short_exist_with_their_options(name: str) -> None:
    for line in re.findall(r"`([a-z][a-z-]+ [a-z][a-z-]+[^`]*)`", TEXTS[name]):
        group, command, *rest = line.split()
        if group in cli.list_commands(click.Context(cli)):
            found = cli.get_command(click.Context(cli), group)
            if isinstance(found, click.Group):
                found = found.get_command(click.Context(found), command)
            assert found is not None, line
            options = {option for each in found.params for option in (*each.opts, *each.secondary_opts)}
            assert {word for word in rest if word.startswith("--")} <= options, line


@by_page
def test_every_variable_exists(name: str) -> None:
    fields = {f"ATUM_{field.upper()}" for field in Settings.model_fields}
    found = {each.removesuffix("_FILE") for each in re.findall(r"\bATUM_[A-Z_]+", TEXTS[name])}
    assert found <= fields


@by_page
def test_every_query_parses(name: str) -> None:
    for query in queries(name):
        promql_parser.parse(query)


@by_page
def test_every_metric_exists_with_its_labels(name: str) -> None:
    families = {family.full_name: family for family in FAMILIES}
    suffixed = {
        family.full_name + suffix: family
        for family in FAMILIES
        if family.kind is Kind.HISTOGRAM
        for suffix in ("_bucket", "_sum", "_count")
    }
    every = families | suffixed
    assert set(re.findall(r"\batum_mailer_\w+", TEXTS[name])) <= every.keys()
    for query in queries(name):
        for metric, selector in re.findall(r"(atum_mailer_\w+)(?:\{([^}]*)\})?", query):
            for label, values in re.findall(r'(\w+)(?:=~|!=|!~|=)"([^"]*)"', selector):
                assert label in every[metric].labels
                assert set(values.split("|")) <= set(FIXED.get(label, values.split("|")))
        labels = {label for metric in re.findall(r"atum_mailer_\w+", query) for label in every[metric].labels}
        grouped = {label for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(", ")}
        assert grouped <= labels | {"instance", "job", "le", "integration"}


@by_page
def test_every_link_leads_somewhere(name: str) -> None:
    home = alert_pages.DOCS if name == "alerts" else FOLDER
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[name]):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            page = (home / path).resolve() if path else home / f"{name}.md"
            assert page.exists(), target
            assert not anchor or anchor in anchors(page), target


def queries(name: str) -> Iterator[str]:
    """Give the PromQL of a page, one query per line."""
    for block in blocks(TEXTS[name], "promql"):
        yield from block.splitlines()


def anchors(page: Path) -> set[str]:
    """Give the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _option(order: list[str], name: str) -> tuple[str, ...]:
    return tuple(word for before, word in pairwise(order) if before == name)


def _texts(value: object) -> tuple[str, ...]:
    assert isinstance(value, tuple)
    return tuple(str(each) for each in value)
