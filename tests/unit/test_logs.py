"""The shape of log lines, whoever writes them."""

from __future__ import annotations

import ast
import asyncio
import io
import logging
import re
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import psycopg
import pytest

from atum_schema import log_context, logs, traces
from atum_schema.heartbeat import process_name
from atum_schema.log_keys import HEAD, KEYS, TAIL
from atum_schema.log_secrets import secrets_of
from atum_schema.settings import load_from
from tests.logged import as_before

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path for package in ("schema", "producers", "workers", "ops") for path in (ROOT / package).rglob("*.py")
)
ours = logging.getLogger("atum_workers.tests")
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


class Terminal(io.StringIO):
    """What a person looks at."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Give where lines go, and put everything back that `configure` changes."""
    with as_before(), io.StringIO() as made:
        yield made


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_object_with_its_keys_in_order(stream: io.StringIO) -> None:
    logs.configure(service="worker", stream=stream)
    ours.warning("deliver: something", extra={"count": 3, "lane": "transactional"})
    (line,) = lines(stream)
    assert list(line) == [*HEAD, "count", "lane", *TAIL]
    assert (line["level"], line["event"], line["service"]) == ("warning", "deliver: something", "worker")
    assert (line["logger"], line["process"]) == ("atum_workers.tests", process_name())
    assert line["ts"].endswith("Z")
    assert datetime.fromisoformat(line["ts"]).microsecond % 1000 == 0


def test_libraries_have_the_same_shape_and_no_details(stream: io.StringIO) -> None:
    logs.configure(service="api", level="debug", stream=stream)
    library = logging.getLogger("psycopg.pool")
    library.warning("error connecting in %r: %s", "pool-1", "to jane@example.com\nsecond line")
    library.debug("a detail")
    logging.getLogger("httpx").info("HTTP Request: POST https://api.postmarkapp.com")
    logging.getLogger("pika").error("a stack trace")
    ours.debug("a detail of ours")
    assert [(line["logger"], line["event"]) for line in lines(stream)] == [
        ("psycopg.pool", "error connecting in 'pool-1': to <address>"),
        ("atum_workers.tests", "a detail of ours"),
    ]


@pytest.mark.parametrize(
    ("level", "said"),
    [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)],
)
def test_a_level_says_what_is_of_it_or_above(stream: io.StringIO, level: str, said: int) -> None:
    logs.configure(service="relay", level=level, stream=stream)
    for each in ("debug", "info", "warning", "error"):
        ours.log(logging.getLevelNamesMapping()[each.upper()], "something")
    assert len(lines(stream)) == said


def test_people_get_text_and_programs_get_json() -> None:
    record = logging.LogRecord("atum_workers.x", logging.INFO, "x", 1, "serving", None, None)
    record.threads = 8
    for style, stream, is_text in (
        ("auto", Terminal(), True),
        ("auto", io.StringIO(), False),
        ("text", io.StringIO(), True),
        ("json", Terminal(), False),
    ):
        said = logs.formatter(service="worker", style=style, stream=stream).format(record)
        assert said.startswith("{") != is_text
        assert "serving" in said
        assert ("\x1b[" in said) == (is_text and isinstance(stream, Terminal))
        assert "threads" in said


def test_what_an_error_says_is_left_out_and_where_it_came_from_is_not(stream: io.StringIO) -> None:
    logs.configure(service="worker", stream=stream)
    quoted = "Betreff eines Briefs"
    try:
        try:
            raise psycopg.errors.CheckViolation(quoted)
        except psycopg.Error as error:
            raise ValueError(quoted) from error
    except ValueError:
        ours.exception("deliver: an error")
    (line,) = lines(stream)
    assert line["error"] == "ValueError"
    assert "psycopg.errors.CheckViolation (23514)\n… was the cause of:\n" in line["exception"]
    assert line["exception"].endswith("ValueError")
    assert "test_logs.py:" in line["exception"]
    assert quoted not in stream.getvalue().replace("raise ", "")


def test_what_the_system_says_is_kept_without_credentials() -> None:
    told = traces.named(ConnectionRefusedError("cannot reach amqp://user:pass@host as jane@example.com"))
    assert told == "ConnectionRefusedError: cannot reach amqp://<credentials>@host as <address>"
    assert traces.named(KeyError("jane")) == "KeyError"
    assert traces.named(ExceptionGroup("jane", [KeyError("jane"), OSError("gone")])) == (
        "ExceptionGroup (2: KeyError, OSError: gone)"
    )


def test_a_line_that_cannot_be_made_is_said_without_any_of_it(stream: io.StringIO) -> None:
    logs.configure(service="worker", stream=stream)
    ours.info("%d mails", "jane@example.com")
    (line,) = lines(stream)
    assert (line["event"], line["error"]) == ("a log line is lost", "TypeError")
    assert "jane" not in stream.getvalue()


def test_a_reader_that_has_gone_stops_nothing() -> None:
    handler = logs._Handler(io.StringIO())
    handler.stream.close()
    handler.emit(logging.LogRecord("atum_workers.x", logging.INFO, "x", 1, "serving", None, None))


def test_warnings_and_threads_that_end_say_it_in_the_same_way(stream: io.StringIO) -> None:
    logs.configure(service="worker", stream=stream)

    def fail() -> None:
        raise ValueError("jane@example.com")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    ended, warned = lines(stream)
    assert (ended["event"], ended["level"], ended["error"]) == (
        "an error ends a thread",
        "critical",
        "ValueError",
    )
    assert warned["logger"] == "py.warnings"
    assert "jane" not in stream.getvalue()


def test_a_process_that_ends_by_an_error_says_it_as_a_line() -> None:
    program = (
        "from atum_schema import logs\nlogs.configure(service='x')\nraise ValueError('jane@example.com')"
    )
    ended = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    line = orjson.loads(ended.stderr)
    assert (ended.returncode, line["event"], line["error"]) == (1, "an error ends the process", "ValueError")
    assert b"jane" not in ended.stderr


def test_a_thread_that_is_used_again_has_forgotten_its_work(stream: io.StringIO) -> None:
    logs.configure(service="worker", stream=stream)

    def failing() -> None:
        with log_context.work(batch="b1"):
            log_context.also(attempt=3)
            ours.info("deliver: one")
            raise ValueError

    def another() -> None:
        with log_context.work(mail="m2"):
            ours.info("revive: two")
        ours.info("three")

    with ThreadPoolExecutor(1) as one:
        assert isinstance(one.submit(failing).exception(), ValueError)
        one.submit(another).result()
    assert [{key: line.get(key) for key in ("batch", "attempt", "mail")} for line in lines(stream)] == [
        {"batch": "b1", "attempt": 3, "mail": None},
        {"batch": None, "attempt": None, "mail": "m2"},
        {"batch": None, "attempt": None, "mail": None},
    ]


def test_requests_at_once_do_not_mix(stream: io.StringIO) -> None:
    logs.configure(service="api", stream=stream)

    async def request(name: str) -> None:
        with log_context.work(correlation_id=name):
            await asyncio.sleep(0)
            ours.info("mails accepted", extra={"client": name})

    async def all_at_once() -> None:
        await asyncio.gather(*(request(str(number)) for number in range(20)))

    asyncio.run(all_at_once())
    assert len(lines(stream)) == 20
    assert all(line["correlation_id"] == line["client"] for line in lines(stream))


def test_secrets_of_settings_are_found_inside_urls_pairs_and_lists() -> None:
    loaded = load_from(
        {
            "ATUM_DATABASE_URL": "postgresql://atum:p%40ssword-of-db@localhost/mail",
            "ATUM_CONTENT_KEYS": "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "ATUM_WEBHOOK_BASIC": "postmark:hook-password",
            "ATUM_POSTMARK_TOKEN": "postmark-token-1",
        }
    )
    assert {
        "p@ssword-of-db",
        "p%40ssword-of-db",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "hook-password",
        "postmark-token-1",
    } <= secrets_of(loaded)
    assert "postmark" not in secrets_of(loaded) - {"postmark-token-1"}


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Give every call of a logger in our sources."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in LEVELS | {"log"}
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "log"
            ):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_every_event_of_ours_is_a_constant_text() -> None:
    found = list(calls())
    assert len(found) > 60
    for place, call in found:
        text = call.args[int(call.func.attr == "log")]  # type: ignore[attr-defined]
        assert isinstance(text, ast.Constant), place
        assert "%" not in str(text.value), place
        assert len(call.args) == 1 + int(call.func.attr == "log"), place  # type: ignore[attr-defined]


def dictionaries() -> Iterator[ast.Dict]:
    """Give every dictionary in our sources that goes into a line: `extra=`, and `about` where that becomes one."""
    for _, call in calls():
        given = [keyword.value for keyword in call.keywords if keyword.arg == "extra"]
        yield from (each for each in given if isinstance(each, ast.Dict))
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and re.search(
                r"\blog\.\w+\(.*extra=about\)", ast.unparse(node)
            ):
                assigned = [each.value for each in ast.walk(node) if isinstance(each, ast.Assign)]
                yield from (each for each in assigned if isinstance(each, ast.Dict))


def bound() -> set[str | None]:
    """Give the keys that pieces of work bind."""
    nodes = [node for path in SOURCES for node in ast.walk(ast.parse(path.read_text("utf-8")))]
    return {
        keyword.arg
        for node in nodes
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"work", "log_context.work", "log_context.also"}
        for keyword in node.keywords
    }


def test_every_key_of_ours_is_in_the_list() -> None:
    used = {key.value for each in dictionaries() for key in each.keys if isinstance(key, ast.Constant)}
    keys = {*used, *bound(), *traces.where(psycopg.errors.UniqueViolation())}
    assert {"mail", "batch", "error", "sqlstate", "correlation_id"} <= keys
    assert keys <= KEYS.keys()
    assert not set(vars(logging.LogRecord("", 0, "", 0, "", None, None))) & keys


@pytest.mark.parametrize("module", ["atum_producers", "atum_schema.traces", "atum_schema.log_context"])
def test_the_base_needs_no_structlog(module: str) -> None:
    program = f"import sys, {module}; sys.exit('structlog' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
