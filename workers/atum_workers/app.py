"""The composition root of the worker: settings in, broker with actors out.

The stock command line works with it: ``dramatiq atum_workers.app:setup``.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any
from uuid import UUID

import dramatiq
from dramatiq.middleware import Middleware

from atum_schema import database, settings, topology
from atum_schema.formats import DELIVER_ACTOR
from atum_workers.broker import TicketBroker
from atum_workers.deliver import Delivery, go_on
from atum_workers.postmark import Postmark
from atum_workers.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from atum_schema.settings import Settings


def setup() -> None:
    """Build the broker from the environment and make it Dramatiq's; for the stock command line."""
    dramatiq.set_broker(build(settings.load()))


def build(configured: Settings, *, reached: Callable[[str], None] | None = None) -> TicketBroker:
    """Build a broker with the actors declared. Nothing is opened before a worker boots.

    `reached` is told the steps of every delivery (`atum_workers.deliver.STEPS`).

    Raises `SettingsError` when something that a worker needs is missing or wrong.
    """
    runtime = Runtime(configured, reached)
    broker = TicketBroker(configured.need_amqp_url(), middleware=[runtime])
    for lane in configured.lane_names:
        broker.declare_queue(topology.deliver_queue(lane))
    declare = dramatiq.actor(
        actor_name=DELIVER_ACTOR, queue_name=topology.deliver_queue(configured.lane_names[0]), broker=broker
    )
    declare(runtime.deliver)
    return broker


class Runtime(Middleware):
    """Opens what the actors need when the first worker of a process boots, and closes it after the last.

    Dramatiq forks before it boots workers, so nothing may be open earlier.
    """

    def __init__(self, configured: Settings, reached: Callable[[str], None] | None = None) -> None:
        self._settings = configured
        self._reached = reached or go_on
        self._keyring = configured.keyring()
        self._token = configured.need_postmark_token()
        self._delivery: Delivery | None = None
        self._workers = 0

    def deliver(self, batch: str) -> None:
        """Actor: deliver the batch of a ticket. Has no retries: Postgres issues lost tickets again."""
        if self._delivery is None:
            raise RuntimeError("no worker has booted")
        self._delivery.deliver(UUID(batch))

    def before_worker_boot(self, broker: Any, worker: Any) -> None:
        del broker
        self._workers += 1
        if self._delivery is None:
            self._delivery = self._open(worker.worker_threads)

    def after_worker_shutdown(self, broker: Any, worker: Any) -> None:
        del broker, worker
        self._workers -= 1
        if self._workers == 0 and self._delivery is not None:
            self._delivery.provider.close()
            self._delivery.pool.close()
            self._delivery = None

    def _open(self, threads: int) -> Delivery:
        configured = self._settings
        size = threads * len(configured.lane_names) + 2
        pool = database.pool(configured.database_url.get_secret_value(), name="worker", size=size)
        pool.open()
        return Delivery(
            pool=pool,
            provider=Postmark(base_url=configured.postmark_url, token=self._token),
            keyring=self._keyring,
            policy=RetryPolicy(
                attempts=configured.attempts,
                tries=configured.tries,
                base=configured.retry_base_s,
                maximum=configured.retry_max_s,
            ),
            worker=f"{socket.gethostname()}:{os.getpid()}",
            request_timeout_s=configured.request_timeout_s,
            claim_lease_s=configured.claim_lease_s,
            posting_lease_s=configured.posting_lease_s,
            drop_content=configured.privacy == "metadata",
            record_patience_s=configured.stop_timeout_s,
            reached=self._reached,
        )
