"""Why a server is away is said in words, as the drivers themselves tell it, and without host, user and password."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pika
import pika.exceptions
import psycopg
import pytest
from pika.adapters.select_connection import SelectConnection

from atum_ops.stack.ports import free_port
from atum_schema import away, traces

if TYPE_CHECKING:
    from collections.abc import Callable

PASSWORD: Final = "s3cret-of-nobody"


def of_postgres(url: str) -> psycopg.OperationalError:
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(url, connect_timeout=5)
    return caught.value


def of_rabbit(url: str) -> Exception:
    with pytest.raises((pika.exceptions.AMQPError, OSError)) as caught:
        pika.BlockingConnection(pika.URLParameters(url))
    error: Exception = caught.value
    return error


def of_rabbit_in_a_loop(url: str) -> Any:
    """The parts use this kind of connection, which wraps its errors differently."""
    told: list[Any] = []

    def failed(connection: Any, error: Any) -> None:
        told.append(error)
        connection.ioloop.stop()

    connection = SelectConnection(pika.URLParameters(url), on_open_error_callback=failed)
    connection.ioloop.start()
    connection.ioloop.close()
    return told[0]


def altered(url: str, *, user: str, port: int | None = None, path: str | None = None) -> str:
    parts = urlsplit(url)
    return parts._replace(
        netloc=f"{user}@{parts.hostname}:{port or parts.port}", path=parts.path if path is None else path
    ).geturl()


def whole(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[0]


def test_postgres_is_away_for_a_reason(database_url: str) -> None:
    user = whole(database_url)
    nobody = f"{user.partition(':')[0]}:{PASSWORD}"
    found = {
        "password": of_postgres(altered(database_url, user=nobody)),
        "port": of_postgres(altered(database_url, user=user, port=free_port())),
        "database": of_postgres(altered(database_url, user=user, path="/none")),
    }
    assert {name: away.words(error) for name, error in found.items()} == {
        "password": "user or password refused",
        "port": "connection refused",
        "database": "no such database or user",
    }
    assert traces.kind(found["port"]) == {"error": "OperationalError", "detail": "connection refused"}


@pytest.mark.parametrize("asking", [of_rabbit, of_rabbit_in_a_loop])
def test_rabbitmq_is_away_for_a_reason(asking: Callable[[str], Any], amqp_url: str) -> None:
    user = whole(amqp_url)
    found = {
        "password": asking(altered(amqp_url, user=f"{user.partition(':')[0]}:{PASSWORD}")),
        "port": asking(altered(amqp_url, user=user, port=free_port())),
        "host": asking(altered(amqp_url, user=user, path="/none")),
    }
    assert {name: away.words(error) for name, error in found.items()} == {
        "password": "user or password refused",
        "port": "connection refused",
        "host": "no such virtual host, or no right to it",
    }


def test_what_is_not_known_is_named_by_its_type() -> None:
    assert (
        away.words(psycopg.OperationalError(f"consuming input failed for {PASSWORD}")) == "OperationalError"
    )
    assert traces.kind(psycopg.OperationalError("consuming input failed")) == {"error": "OperationalError"}
