"""The yardstick: a plain Dramatiq actor as most people write it. One message, one POST, one insert per mail.

Publisher confirms are on, so that both sides of the comparison keep what they were given. Run as
``dramatiq atum_ops.bench.plain:setup``.
"""

from __future__ import annotations

import os
from typing import Any

import dramatiq
import httpx
import psycopg_pool
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.middleware import Middleware, Retries

TABLE = "CREATE TABLE IF NOT EXISTS plain_log (id bigserial PRIMARY KEY, recipient text, message_id text, at timestamptz)"

INSERT = "INSERT INTO plain_log (recipient, message_id, at) VALUES (%s, %s, now())"


class Resources(Middleware):
    """Opens the HTTP client and the database pool once per process."""

    client: httpx.Client
    pool: psycopg_pool.ConnectionPool[Any]

    def before_worker_boot(self, broker: Any, worker: Any) -> None:
        del broker
        self.client = httpx.Client(
            base_url=os.environ["ATUM_POSTMARK_URL"],
            headers={
                "X-Postmark-Server-Token": os.environ["ATUM_POSTMARK_TOKEN"],
                "Accept": "application/json",
            },
            timeout=60,
        )
        self.pool = psycopg_pool.ConnectionPool(
            os.environ["ATUM_DATABASE_URL"],
            min_size=worker.worker_threads,
            max_size=worker.worker_threads,
            open=True,
        )

    def send(self, mail: dict[str, Any]) -> None:
        """Send one mail and log it."""
        response = self.client.post("/email", json=mail)
        response.raise_for_status()
        with self.pool.connection() as connection:
            connection.execute(INSERT, (mail["To"], response.json()["MessageID"]))


def setup() -> None:
    """Make the broker Dramatiq's, for its command line."""
    dramatiq.set_broker(build()[0])


def build() -> tuple[RabbitmqBroker, Any]:
    """Build the broker and the actor."""
    resources = Resources()
    broker = RabbitmqBroker(
        url=os.environ["ATUM_AMQP_URL"], confirm_delivery=True, middleware=[Retries(max_retries=3), resources]
    )
    declare = dramatiq.actor(actor_name="send_mail", queue_name="plain", broker=broker)
    return broker, declare(resources.send)
