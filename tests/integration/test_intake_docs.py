"""What docs/intake.md shows is true: its jobs are jobs, its programs run, its policy keeps what would be dropped."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import orjson
import pika
import pika.exceptions
import pytest

from atum_producers.intake_rejections import REASON_CHARACTERS
from atum_schema import job, topology
from atum_schema.errors import EnqueueFailed, EnqueueUncertain, MailRejected, SettingsError
from tests.clients import nodejs
from tests.intaking import Inbox, depth, document, publish
from tests.nodes import eventually
from tests.unit.test_intake_job import VALIDATOR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_ops.stack.rabbit import RabbitNode

PAGE = (Path(__file__).parents[2] / "docs" / "intake.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


JOBS = [json.loads(block) for block in blocks("json")]
#: The programs of the page: `BrokerMailer` in two blocks that belong together, plain pika, and the look at the rejected.
BROKER_MAILER, PLAIN, LOOKING = "\n".join(blocks("python")[:2]), blocks("python")[2], blocks("python")[3]


@pytest.fixture
def inbox(database_url: str, amqp_url: str) -> Iterator[Inbox]:
    with Inbox(database_url, amqp_url) as inbox:
        yield inbox


def promised(code: str) -> str:
    """Give what the comments behind what prints say."""
    return "".join(
        f"{line}\n"
        for line in re.findall(r"^ *(?:print|console\.log)\(.*\);?  ?(?:#|//) (.+)$", code, re.MULTILINE)
    )


def ran(command: list[str], amqp_url: str) -> str:
    done = subprocess.run(
        command,
        env={**os.environ, "AMQP_URL": amqp_url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_page_has_the_programs_that_are_tested_and_no_others() -> None:
    assert (len(JOBS), len(blocks("python")), len(blocks("javascript")), len(blocks("console"))) == (
        2,
        4,
        1,
        1,
    )


@pytest.mark.parametrize("place", range(len(JOBS)))
def test_a_job_of_the_page_is_valid_for_the_schema_and_the_reader(place: int) -> None:
    VALIDATOR.validate(JOBS[place])
    assert job.read(orjson.dumps(JOBS[place]), now=datetime.now(UTC))


def test_the_jobs_of_the_page_are_stored(inbox: Inbox) -> None:
    publish(inbox.amqp_url, JOBS)
    inbox.await_mails(len(JOBS))


@pytest.mark.parametrize(("code", "mails"), [(BROKER_MAILER, 3), (PLAIN, 1)], ids=["BrokerMailer", "pika"])
def test_a_python_program_of_the_page_hands_over_its_mail(code: str, mails: int, inbox: Inbox) -> None:
    assert ran([sys.executable, "-W", "error", "-c", code], inbox.amqp_url) == promised(code) != ""
    inbox.await_mails(mails)
    assert inbox.sql("SELECT DISTINCT client FROM atum.mail") == [("shop",)]


def test_the_javascript_of_the_page_hands_over_its_mail(inbox: Inbox, tmp_path: Path) -> None:
    node = nodejs.program("amqp.mjs")[0]
    (code,) = blocks("javascript")
    (tmp_path / "node_modules").symlink_to(nodejs.FOLDER / "node_modules")
    (tmp_path / "page.mjs").write_text(code)
    assert ran([node, str(tmp_path / "page.mjs")], inbox.amqp_url) == promised(code) != ""
    inbox.await_mails(1)


def test_the_look_at_rejected_jobs_shows_why_and_leaves_them_there(inbox: Inbox) -> None:
    publish(inbox.amqp_url, [document(lane="express")], app_id="shop")
    assert eventually(lambda: depth(inbox.amqp_url, topology.REJECTED) == 1)
    assert ran([sys.executable, "-c", LOOKING], inbox.amqp_url) == promised(LOOKING) != ""
    assert eventually(lambda: depth(inbox.amqp_url, topology.REJECTED) == 1)


def test_the_policy_of_the_page_sends_to_mail_rejected_what_would_be_dropped(
    amqp_url: str, rabbit_node: RabbitNode
) -> None:
    command = shlex.split(blocks("console")[0].removeprefix("$ rabbitmqctl "))
    limit = '"delivery-limit": 100000'
    assert limit in command[3]
    command[3] = command[3].replace(limit, '"delivery-limit": 2')
    rabbit_node.rabbitmqctl(command[0], "--vhost", unquote(urlsplit(amqp_url).path[1:]), *command[1:])
    one = document()
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    connection.channel().queue_declare(topology.REJECTED, durable=True, arguments=topology.ARGUMENTS)
    connection.close()
    publish(amqp_url, [one])
    for _ in range(3):
        taker = pika.BlockingConnection(pika.URLParameters(amqp_url))
        channel = taker.channel()
        assert eventually(lambda channel=channel: channel.basic_get(topology.INTAKE)[0] is not None)  # type: ignore[misc]
        with suppress(pika.exceptions.AMQPError):
            taker.close()
    assert eventually(lambda: depth(amqp_url, topology.REJECTED) == 1)
    assert eventually(lambda: depth(amqp_url, topology.INTAKE) == 0)


def test_the_numbers_and_errors_of_the_page_are_those_of_the_code() -> None:
    assert f"{job.MAX_BYTES:,} bytes" in PAGE
    assert f"up to {job.CLIENT_CHARACTERS} printable characters, `{job.DEFAULT_CLIENT}` if not set" in PAGE
    assert f"cut after {REASON_CHARACTERS} characters" in PAGE
    assert f"at most {job.MAX_AHEAD_S // 3600} hours" in PAGE
    for error in (EnqueueFailed, EnqueueUncertain, MailRejected, SettingsError):
        assert f"| `{error.__name__}` |" in PAGE
