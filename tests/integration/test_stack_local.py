"""The local stack as a whole: named servers, private ones, missing ones, and what stays afterwards."""

from __future__ import annotations

import fcntl
import os
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pika
import psycopg
import pytest

from atum_ops.stack import LocalStack
from atum_ops.stack.find import Places
from atum_ops.stack.runs import note_elsewhere, run_directory
from atum_schema.errors import StackError
from tests.nodes import all_gone, open_directory

if TYPE_CHECKING:
    from pathlib import Path

    from atum_ops.stack import PostgresNode, RabbitNode


def test_a_second_stack_runs_beside_the_first_and_leaves_nothing_behind(
    postgres_node: PostgresNode, rabbit_node: RabbitNode
) -> None:
    with open_directory() as directory:
        with LocalStack(directory / "local") as stack:
            assert stack.postgres is not None
            assert stack.rabbit is not None
            assert stack.database_url != postgres_node.url
            assert stack.amqp_url != rabbit_node.url
            psycopg.connect(stack.database_url).close()
            pika.BlockingConnection(pika.URLParameters(stack.amqp_url)).close()
            text = stack.describe()
            assert re.search(rf"^private PostgreSQL \d+\S* on 127\.0\.0\.1:{stack.postgres.port}", text)
            assert re.search(
                rf"^private RabbitMQ \d\S* on 127\.0\.0\.1:{stack.rabbit.port}", text, re.MULTILINE
            )
            processes = stack.postgres.processes() + stack.rabbit.processes()
            assert processes
        assert all_gone(processes)
        assert not list((directory / "local").glob("run-*"))
    assert postgres_node.is_ready()
    assert rabbit_node.is_ready()


def test_a_directory_that_the_server_cannot_reach_is_replaced_and_removed_too(
    rabbit_node: RabbitNode, tmp_path: Path
) -> None:
    tmp_path.chmod(0o700)
    with LocalStack(tmp_path, amqp_url=rabbit_node.url) as stack:
        assert stack.postgres is not None
        assert stack.postgres.is_ready()
        place = stack.postgres.directory
        # Only root hands the server to another user, who does not pass a closed door.
        assert place.is_relative_to(tmp_path) == (os.geteuid() != 0)
        assert str(place) in stack.describe()
    assert not place.exists()


def test_named_servers_are_used_as_they_are(
    postgres_node: PostgresNode, rabbit_node: RabbitNode, tmp_path: Path
) -> None:
    here = tmp_path / "local"
    with LocalStack(here, database_url=postgres_node.url, amqp_url=rabbit_node.url) as stack:
        assert (stack.database_url, stack.amqp_url) == (postgres_node.url, rabbit_node.url)
        assert (stack.postgres, stack.rabbit) == (None, None)
        text = stack.describe()
    assert not here.exists()
    assert f"PostgreSQL {postgres_node.version().split()[1]}" in text
    assert f"on 127.0.0.1:{rabbit_node.port}" in text
    assert not any((urlsplit(url).password or "?") in text for url in (postgres_node.url, rabbit_node.url))
    assert postgres_node.is_ready()


def test_a_named_server_that_does_not_let_us_in_is_an_error_without_the_password(
    postgres_node: PostgresNode, rabbit_node: RabbitNode, tmp_path: Path
) -> None:
    for stack in (
        LocalStack(tmp_path, database_url=wrong_password(postgres_node.url), amqp_url=rabbit_node.url),
        LocalStack(tmp_path, database_url=postgres_node.url, amqp_url=wrong_password(rabbit_node.url)),
    ):
        with pytest.raises(StackError, match=r"named by ATUM_\w+_URL, 127\.0\.0\.1:\d+") as caught:
            stack.__enter__()
        assert "hunter2" not in str(caught.value)


def wrong_password(url: str) -> str:
    return re.sub(r":[^:@/]+@", ":hunter2@", url)


@pytest.mark.parametrize("url", ["postgresql://a:hunter2@[h/x", "hunter2", "http://a:hunter2@h/"])
def test_what_is_no_url_is_an_error_that_does_not_repeat_it(url: str, tmp_path: Path) -> None:
    for stack in (
        LocalStack(tmp_path, database_url=url),
        LocalStack(tmp_path, amqp_url=f"amqp://a:hunter2@h:{url}"),
    ):
        with pytest.raises(StackError, match=r"ATUM_\w+_URL is not") as caught:
            stack.__enter__()
        assert "hunter2" not in str(caught.value)


def test_missing_servers_are_named_together_with_the_command_that_installs_them(tmp_path: Path) -> None:
    nowhere = Places(path="", postgres_root=tmp_path, rabbit_root=tmp_path)
    command = "apt-get install --no-install-recommends postgresql rabbitmq-server\n"
    for may_install in (False, True):
        with pytest.raises(StackError, match=command):
            LocalStack(tmp_path, places=nowhere, may_install=may_install).__enter__()


def test_only_the_directories_of_dead_runs_are_removed(tmp_path: Path) -> None:
    dead, alive, elsewhere = tmp_path / "run-1-dead", tmp_path / "run-2-alive", tmp_path / "far" / "away"
    for directory in (dead, alive, elsewhere):
        directory.mkdir(parents=True)
    note_elsewhere(dead, elsewhere)
    with (alive / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with run_directory(tmp_path) as mine, run_directory(tmp_path) as other:
            assert mine.is_dir()
            assert other.is_dir()
            assert mine != other
            assert alive.is_dir()
            assert not dead.exists()
            assert not elsewhere.exists()
    assert sorted(path.name for path in tmp_path.glob("run-*")) == ["run-2-alive"]
