"""Servers that somebody else runs and names by URL."""

from __future__ import annotations

from urllib.parse import urlsplit

import pika
import pika.exceptions
import psycopg
from psycopg.conninfo import conninfo_to_dict

from atum_schema.errors import StackError

_ANSWER_SECONDS = 5


def describe_database(url: str) -> str:
    """Log in and tell product, version and address, never the password. Raises StackError when that fails."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # Its text may quote the URL, and so the password.
        raise StackError("ATUM_DATABASE_URL is not a PostgreSQL connection URL (postgresql://…)") from None
    address = f"{parts.get('host', 'local socket')}:{parts.get('port', 5432)}"
    try:
        with psycopg.connect(url, connect_timeout=_ANSWER_SECONDS) as connection:
            version = connection.info.parameter_status("server_version")
    except psycopg.OperationalError as error:
        raise StackError(f"the PostgreSQL named by ATUM_DATABASE_URL, {address}: {error}") from error
    return f"given PostgreSQL {version} on {address}"


def describe_broker(url: str) -> str:
    """Log in and tell product and address, never the password. Raises StackError when that fails."""
    try:
        parameters = pika.URLParameters(url)
        address = f"{urlsplit(url).hostname}:{parameters.port}"
    except (ValueError, KeyError):
        raise StackError("ATUM_AMQP_URL is not an AMQP URL (amqp://…)") from None
    parameters.socket_timeout = parameters.stack_timeout = _ANSWER_SECONDS
    try:
        pika.BlockingConnection(parameters).close()
    except (pika.exceptions.AMQPError, OSError) as error:
        raise StackError(f"the RabbitMQ named by ATUM_AMQP_URL, {address}: {error!r}") from error
    return f"given RabbitMQ on {address}"
