"""A private PostgreSQL: its life, its data, its rights."""

from __future__ import annotations

import re
import signal
import socket
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from atum_ops.stack import PostgresNode
from atum_ops.stack.account import Account, reachable
from atum_ops.stack.find import Places
from atum_ops.stack.ports import LOOPBACK, free_port
from atum_schema.errors import StackError
from tests.nodes import all_gone, database_at, eventually, open_directory

if TYPE_CHECKING:
    from collections.abc import Iterator


def execute(node: PostgresNode, statement: str) -> None:
    with psycopg.connect(node.url, autocommit=True) as connection:
        connection.execute(statement.encode())


def tables(node: PostgresNode) -> list[str]:
    with psycopg.connect(node.url) as connection:
        rows = connection.execute("SELECT relname FROM pg_class WHERE relname LIKE 'kept%'").fetchall()
    return [name for (name,) in rows]


def test_committed_data_survive_a_restart_and_a_kill_on_the_same_url(own_postgres: PostgresNode) -> None:
    url = own_postgres.url
    execute(own_postgres, "CREATE TABLE kept_by_restart ()")
    own_postgres.restart()
    execute(own_postgres, "CREATE TABLE kept_by_kill ()")
    own_postgres.kill()
    assert not own_postgres.is_ready()
    own_postgres.start()
    assert sorted(tables(own_postgres)) == ["kept_by_kill", "kept_by_restart"]
    assert own_postgres.url == url


def test_a_wipe_leaves_an_empty_server_on_the_same_url(own_postgres: PostgresNode) -> None:
    url = own_postgres.url
    execute(own_postgres, "CREATE TABLE kept ()")
    own_postgres.wipe()
    assert tables(own_postgres) == []
    assert own_postgres.url == url


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_nothing_is_left_behind_even_while_a_client_is_busy(own_postgres: PostgresNode, end: str) -> None:
    with closing(psycopg.connect(own_postgres.url, autocommit=True)) as client:
        backend = client.info.backend_pid
        sleeper = threading.Thread(target=_sleep, args=(client,))
        sleeper.start()
        processes = own_postgres.processes()
        assert backend in processes
        assert own_postgres.pid in processes
        getattr(own_postgres, end)()
        sleeper.join(60)
        assert not sleeper.is_alive()
    assert all_gone(processes)
    assert not own_postgres.running


def _sleep(client: psycopg.Connection) -> None:
    with pytest.raises(psycopg.OperationalError):
        client.execute("SELECT pg_sleep(60)")


def test_when_the_postmaster_dies_its_backends_follow(own_postgres: PostgresNode) -> None:
    processes = own_postgres.processes()
    own_postgres._process.signal(signal.SIGKILL)  # type: ignore[union-attr]
    assert eventually(lambda: all_gone(processes) and not own_postgres.running)
    own_postgres.start()
    assert own_postgres.is_ready()


def test_a_frozen_server_answers_nobody_until_it_is_resumed(own_postgres: PostgresNode) -> None:
    own_postgres.freeze()
    assert own_postgres.running
    assert not own_postgres.is_ready()
    own_postgres.resume()
    assert eventually(own_postgres.is_ready)
    own_postgres.freeze()
    own_postgres.stop()
    assert not own_postgres.running


def test_the_server_is_not_root_and_its_data_are_private(postgres_node: PostgresNode) -> None:
    assert Path(f"/proc/{postgres_node.pid}").stat().st_uid != 0
    assert postgres_node.data.stat().st_mode & 0o077 == 0


def test_durability_is_not_switched_off(postgres_node: PostgresNode) -> None:
    with psycopg.connect(postgres_node.url) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute("SELECT current_setting(%s)", [setting]).fetchone() == ("on",)


def test_nobody_enters_without_the_password(postgres_node: PostgresNode) -> None:
    stranger = re.sub(r":[^:@/]+@", ":wrong@", postgres_node.url)
    assert stranger != postgres_node.url
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(stranger)


def test_a_start_that_fails_shows_the_end_of_the_log_and_leaves_nothing(
    own_postgres: PostgresNode, taken_port: int
) -> None:
    with open_directory() as directory:
        node = PostgresNode(directory, port=taken_port, pristine=own_postgres.pristine)
        with pytest.raises(StackError, match="Address already in use"):
            node.start()
        assert node.processes() == []


def test_a_port_that_was_taken_meanwhile_is_replaced_by_another(
    own_postgres: PostgresNode, taken_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    another = free_port()
    ports = iter([taken_port, another])
    monkeypatch.setattr("atum_ops.stack.node.free_port", lambda: next(ports))
    with (
        open_directory() as directory,
        PostgresNode(directory, pristine=own_postgres.pristine) as node,
    ):
        assert node.port == another


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        port = free_port()
        # Not listening: whoever tries to connect is refused at once.
        taken.bind((LOOPBACK, port))
        yield port


def test_a_directory_behind_a_closed_door_is_replaced_by_a_temporary_one(tmp_path: Path) -> None:
    stranger = Account(name="stranger", uid=54321, gid=54321)
    tmp_path.chmod(0o700)
    elsewhere = reachable(tmp_path / "node", stranger)
    try:
        assert not elsewhere.is_relative_to(tmp_path)
    finally:
        elsewhere.rmdir()
    assert reachable(tmp_path / "node", None) == tmp_path / "node"


def test_without_postgresql_the_error_says_what_to_install(tmp_path: Path) -> None:
    nowhere = Places(path="", postgres_root=tmp_path, rabbit_root=tmp_path)
    with pytest.raises(StackError, match="apt-get install --no-install-recommends postgresql\n"):
        PostgresNode(tmp_path / "node", places=nowhere)


def test_what_needs_a_running_server_says_so() -> None:
    with open_directory() as directory:
        node = PostgresNode(directory)
        for attribute in ("pid", "port", "url"):
            with pytest.raises(StackError, match=r"not running|start it first|start the node first"):
                getattr(node, attribute)


def test_each_test_has_a_migrated_database_of_its_own(database_url: str, postgres_node: PostgresNode) -> None:
    assert database_url != database_at(database_url, "atum_template")
    with psycopg.connect(database_url) as connection:
        count = connection.execute("SELECT count(*) FROM mail").fetchone()
    assert count == (0,)
