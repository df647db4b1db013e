"""What goes wrong is one line on stderr, and no secret is in it."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
import warnings
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from atum_ops.stack.ports import free_port
from atum_schema import settings
from atum_schema.encryption import new_key
from atum_schema.errors import SettingsError
from tests.command_line import SENT, Place, run, without_ours

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from atum_ops.stack.postgres import PostgresNode

NOBODY = "01932c5e-7d1a-7000-8000-5f3c1b2a4d6e"
READING = (["queue", "status"], ["mail", "show", NOBODY], ["verify"])
PASSWORD = "s3cret-of-the-database"


def child(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "atum_ops", *arguments],
        env={**without_ours(os.environ), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def eml(tmp_path: Path) -> str:
    file = tmp_path / "a.eml"
    file.write_bytes(b"From: a@example.com\r\nTo: b@example.com\r\nSubject: x\r\n\r\nHi\r\n")
    return str(file)


@pytest.mark.parametrize("command", [*READING, ["migrate"], ["migrate", "--print"]], ids=" ".join)
def test_a_missing_database_url_is_named(command: Sequence[str]) -> None:
    answer = run(*command)
    assert (answer.status, answer.out) == (1, "")
    assert answer.err == "atum-mailer: ATUM_DATABASE_URL is not set (or ATUM_DATABASE_URL_FILE)\n"


def test_a_part_that_ends_here_leaves_the_logs_of_this_process_as_they_were() -> None:
    before = sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning
    handlers = logging.getLogger().handlers[:]
    url = f"postgresql://atum@127.0.0.1:{free_port()}/none"
    keys = new_key("test")
    answer = run("relay", ATUM_DATABASE_URL=url, ATUM_CONTENT_KEYS=keys, ATUM_AMQP_URL="http://nowhere")
    assert "ATUM_AMQP_URL is not a RabbitMQ connection URL" in answer.err
    assert (sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning) == before
    assert logging.getLogger().handlers == handlers


def test_all_missing_settings_are_named_at_once(eml: str) -> None:
    answer = run("enqueue", eml)
    assert answer.status == 1
    assert "ATUM_DATABASE_URL" in answer.err
    assert "ATUM_CONTENT_KEYS" in answer.err


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_a_database_that_is_away_is_one_line_without_the_password(command: Sequence[str]) -> None:
    url = f"postgresql://atum:{PASSWORD}@127.0.0.1:{free_port()}/none"
    answer = run(*command, ATUM_DATABASE_URL=url)
    assert (answer.status, answer.out) == (3, "")
    assert answer.err.startswith("atum-mailer: cannot use the database: ")
    assert answer.err.count("\n") == 1
    assert PASSWORD not in answer.err


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_a_database_that_was_not_migrated_says_what_to_run(
    command: Sequence[str], postgres_node: PostgresNode
) -> None:
    answer = run(*command, ATUM_DATABASE_URL=postgres_node.url)
    assert (answer.status, answer.out) == (1, "")
    assert answer.err == "atum-mailer: the database has no schema yet; run: atum-mailer migrate\n"


def test_a_bad_content_key_is_refused_without_being_shown(eml: str, database_url: str) -> None:
    key = new_key("k1")[:-8]
    answer = run("enqueue", eml, ATUM_DATABASE_URL=database_url, ATUM_CONTENT_KEYS=key)
    assert answer.status == 1
    assert "ATUM_CONTENT_KEYS" in answer.err
    assert key.removeprefix("k1:") not in answer.err


def test_a_setting_given_twice_is_refused(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(database_url)
    answer = run("queue", "status", ATUM_DATABASE_URL=database_url, ATUM_DATABASE_URL_FILE=str(file))
    assert answer.status == 1
    assert "ATUM_DATABASE_URL and ATUM_DATABASE_URL_FILE are both set" in answer.err
    assert run("queue", "status", ATUM_DATABASE_URL_FILE=str(file)).status == 0


@pytest.mark.parametrize(("part", "needed"), [("relay", "ATUM_AMQP_URL"), ("worker", "ATUM_POSTMARK_TOKEN")])
def test_a_part_that_lacks_what_it_needs_ends_at_once_and_says_what(
    part: str, needed: str, database_url: str
) -> None:
    ended = child(part, ATUM_DATABASE_URL=database_url, ATUM_CONTENT_KEYS=new_key("k1"))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"atum-mailer: {needed} is not set (or {needed}_FILE)\n"


@pytest.mark.parametrize(
    "part", [["relay"], ["intake"], ["worker"], ["api"], ["api", "--only", "webhooks"]], ids=" ".join
)
def test_a_part_ends_at_once_where_the_database_was_not_migrated(
    part: Sequence[str], postgres_node: PostgresNode
) -> None:
    ended = child(
        *part,
        ATUM_DATABASE_URL=postgres_node.url,
        ATUM_CONTENT_KEYS=new_key("k1"),
        ATUM_AMQP_URL="amqp://127.0.0.1:1/",
        ATUM_POSTMARK_TOKEN="token",
        ATUM_WEBHOOK_BASIC="a:0123456789abcdef0123456789",
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "atum-mailer: the database has no schema yet; run: atum-mailer migrate\n"


def test_a_part_ends_at_once_where_the_url_the_url_of_rabbitmq_is_none(database_url: str) -> None:
    environment = {"ATUM_DATABASE_URL": database_url, "ATUM_CONTENT_KEYS": new_key("k1")}
    ended = child("relay", **environment, ATUM_AMQP_URL=f"http://atum:{PASSWORD}@broker/")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "ATUM_AMQP_URL is not a RabbitMQ connection URL" in ended.stderr
    assert (ended.stderr.count("\n"), PASSWORD in ended.stderr) == (1, False)


@pytest.mark.parametrize(("only", "setting"), [("api", "ATUM_API_PORT"), ("webhooks", "ATUM_WEBHOOK_PORT")])
def test_a_port_that_is_taken_is_one_line_with_its_setting(
    only: str, setting: str, database_url: str
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ended = child(
            "api",
            f"--only={only}",
            ATUM_DATABASE_URL=database_url,
            ATUM_CONTENT_KEYS=new_key("k1"),
            ATUM_WEBHOOK_BASIC="a:0123456789abcdef0123456789",
            **{setting: str(port)},
        )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert (
        ended.stderr == f"atum-mailer: {setting}: cannot listen on 127.0.0.1:{port}: Address already in use\n"
    )


def test_an_unknown_command_lists_those_there_are() -> None:
    ended = child("deliver")
    assert ended.returncode == 2
    assert "no command 'deliver'; there are: alerts, api, api-bench, " in ended.stderr
    assert "Traceback" not in ended.stderr


def test_as_a_process_a_refusal_is_exit_status_one_and_one_line(database_url: str) -> None:
    ended = child("mail", "show", NOBODY, ATUM_DATABASE_URL=database_url)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"atum-mailer: no mail has the id {NOBODY}\n"


@pytest.mark.parametrize("form", ["table", "json"])
def test_commands_that_succeed_show_neither_password_nor_key(form: str, database_url: str, eml: str) -> None:
    place = Place(database_url)
    try:
        (mail_id,) = place.ended(SENT)
        answers = [
            place.run(*command, f"--format={form}")
            for command in (["enqueue", eml], ["queue", "status"], ["mail", "show", mail_id], ["verify"])
        ]
    finally:
        place.close()
    assert [answer.status for answer in answers] == [0, 0, 0, 0]
    said = "".join(answer.out + answer.err for answer in answers)
    password = urlsplit(database_url).password
    assert password
    assert password not in said
    assert place.environment["ATUM_CONTENT_KEYS"].partition(":")[2] not in said


AWAY = "postgresql://atum:none@127.0.0.1:1/none"


@pytest.mark.parametrize("command", [["migrate"], ["migrate", "--print"]], ids=" ".join)
def test_migrating_a_database_that_is_away_is_one_line_too(command: Sequence[str]) -> None:
    answer = run(*command, ATUM_DATABASE_URL=AWAY)
    assert answer.status == 3
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize("command", [*READING, ["migrate"]], ids=" ".join)
def test_a_database_url_that_cannot_be_read_is_refused_without_being_shown(command: Sequence[str]) -> None:
    answer = run(*command, ATUM_DATABASE_URL=f"postgresql://atum:{PASSWORD}@[::1")
    assert answer.status == 1
    assert PASSWORD not in answer.err


def test_a_database_that_is_away_says_why() -> None:
    assert "Connection refused" in run("queue", "status", ATUM_DATABASE_URL=AWAY).err


@pytest.mark.parametrize(
    "command",
    [["enqueue"], ["catch-up", "--since", "1h"], ["dead", "sweep"], ["keys", "rotate"], ["queue", "run"]],
    ids=" ".join,
)
def test_what_works_with_a_pool_says_so_in_one_line_too(command: Sequence[str], eml: str) -> None:
    ended = child(
        *command,
        *([eml] if command == ["enqueue"] else []),
        ATUM_DATABASE_URL=AWAY,
        ATUM_CONTENT_KEYS=new_key("k1"),
        ATUM_AMQP_URL="amqp://127.0.0.1:1/",
        ATUM_POSTMARK_TOKEN="token",
    )
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.startswith("atum-mailer: cannot use the database: connection failed: ")
    assert ended.stderr.count("\n") == 1


def test_an_empty_database_url_is_a_missing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    # Asked of the settings alone: a command would go on and use whatever server is at hand.
    monkeypatch.setenv("ATUM_DATABASE_URL", "")
    with pytest.raises(SettingsError):
        settings.load_database_url()


def test_a_key_id_that_the_settings_would_refuse_is_refused_at_once() -> None:
    assert run("keys", "new", "not an id").status != 0
