"""The composition root of the worker: settings in, broker with actors out.

The stock command line works with it: ``dramatiq atum_workers.app:setup``.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import dramatiq
from dramatiq.middleware import Middleware

from atum_schema import database, logs, restore, settings, topology
from atum_schema import metrics_catalogue as catalogue
from atum_schema.errors import SettingsError
from atum_schema.formats import DELIVER_ACTOR, MAINTAIN_ACTOR, RECONCILE_ACTOR, REVIVE_ACTOR
from atum_schema.heartbeat import Heartbeat
from atum_schema.live import Live
from atum_schema.log_secrets import secrets_of
from atum_schema.metrics import Meter, serving
from atum_schema.metrics_broker import BrokerMetering
from atum_schema.metrics_logs import LogCounter
from atum_schema.metrics_pools import watch_pools
from atum_schema.restore import Watch
from atum_schema.seldom import quieten
from atum_schema.standing import Standing
from atum_schema.steps import Reached, Step, go_on
from atum_workers import smtp
from atum_workers.broker import TicketBroker
from atum_workers.delivering import delivery
from atum_workers.flow_reporter import FlowReporter
from atum_workers.maintain import Maintenance
from atum_workers.metering import Metering, worker_meter
from atum_workers.postmark import Postmark
from atum_workers.postmark_api import PostmarkApi
from atum_workers.pull import OVERDUE_LANE, OVERDUE_SEARCHES, OVERDUE_TASKS, Puller
from atum_workers.reconcile import Reconciliation
from atum_workers.refresher import Refresher
from atum_workers.revive import Revival
from atum_workers.settling import SettlePolicy
from atum_workers.tasks import tasks

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg_pool import ConnectionPool

    from atum_schema.database import Connection
    from atum_schema.settings import Settings
    from atum_workers.deliver import Delivery

log = logging.getLogger(__name__)

RECONCILERS: Final = 2
"""Threads that search the provider for unknown mails, per process."""

MAINTAINERS: Final = 5
"""Threads that do what is due now and then, per process: one more than there are tasks that may take minutes, so that what
the provider tells is applied at once whatever else is being done."""

REVIVERS: Final = 2
"""Threads that replay dead letters which were moved to `mail.revive`, per process."""


def setup() -> None:
    """Build the broker from the environment and make it Dramatiq's; for the stock command line.

    It logs as our own command does: Dramatiq's lines would not have what stands beside an event, nor leave out what must not
    be in a log.
    """
    configured = settings.load()
    logs.configure(
        service="worker",
        level=configured.log_level,
        style=configured.log_format,
        secrets=secrets_of(configured),
    )
    dramatiq.set_broker(build(configured))


def build(configured: Settings, *, reached: Reached = go_on, meter: Meter | None = None) -> TicketBroker:
    """Build a broker with the actors declared. Nothing is opened before a worker boots.

    `reached` is told the steps of every delivery and every round of searches. `meter` is a `worker_meter` that the caller
    serves; without one, metrics are served as soon as a worker boots, where that port is free.

    Raises `SettingsError` when something that a worker needs is missing or wrong.
    """
    runtime = Runtime(configured, reached, meter)
    broker = TicketBroker(configured.need_amqp_url(), middleware=[runtime])
    runtime.consume_from(broker)
    for lane in configured.lane_names:
        broker.declare_queue(topology.deliver_queue(lane))
    first_queue = topology.deliver_queue(configured.lane_names[0])
    dramatiq.actor(actor_name=DELIVER_ACTOR, queue_name=first_queue, broker=broker)(runtime.deliver)
    dramatiq.actor(actor_name=RECONCILE_ACTOR, queue_name=topology.RECONCILE, broker=broker)(
        runtime.reconcile
    )
    dramatiq.actor(actor_name=MAINTAIN_ACTOR, queue_name=topology.MAINTAIN, broker=broker)(runtime.maintain)
    dramatiq.actor(actor_name=REVIVE_ACTOR, queue_name=topology.REVIVE, broker=broker)(runtime.revive)
    for queue in broker.queues:
        # Dramatiq tells of every call that a broker does not answer: two lines per queue and three seconds.
        quieten(f"dramatiq.worker.ConsumerThread({queue})")
    return broker


class Runtime(Middleware):
    """Opens what the actors need when the first worker of a process boots, and closes it after the last.

    Dramatiq forks before it boots workers, so nothing may be open earlier.
    """

    def __init__(self, configured: Settings, reached: Reached = go_on, meter: Meter | None = None) -> None:
        self._settings = configured
        self._serves = meter is None
        self._meter = meter or worker_meter(configured)
        self._metering = Metering(self._meter, configured.lane_names)
        self._consumed: set[str] = set()
        self._standing: Callable[[], Standing] = lambda: Standing.AWAY
        self._live = Live(configured)
        self._reached = reached
        self._keyring = configured.keyring()
        self._token = configured.need_postmark_token()
        self._delivery: Delivery | None = None
        self._reconciliation: Reconciliation | None = None
        self._maintenance: Maintenance | None = None
        self._revival: Revival | None = None
        self._api: PostmarkApi | None = None
        self._stopping = threading.Event()
        self._reporter: FlowReporter | None = None
        self._refresher: Refresher | None = None
        self._heart: Heartbeat | None = None
        self._pullers: list[Puller] = []
        self._watch = Watch()
        self._busy: Counter[str] = Counter()
        self._busy_lock = threading.Lock()
        self._workers = 0

    def consume_from(self, broker: TicketBroker) -> None:
        """Watch the consumers of this broker."""
        self._standing = lambda: broker.standing(self._consumed)
        broker.opened = BrokerMetering(self._meter, self._standing).opened

    def deliver(self, batch: str) -> None:
        """Actor: deliver the batch of a ticket. Has no retries: Postgres issues lost tickets again."""
        if self._delivery is None:
            raise RuntimeError("no worker has booted")
        self._delivery.deliver(UUID(batch))

    def reconcile(self, batch: str) -> None:
        """Actor: make one round of searches for an unknown batch. Has no retries: the next ticket comes by itself."""
        if self._reconciliation is None:
            raise RuntimeError("no worker has booted")
        self._reconciliation.reconcile(UUID(batch))

    def maintain(self, task: str) -> None:
        """Actor: do a task that is due now and then. Has no retries: the next ticket comes by itself."""
        if self._maintenance is None:
            raise RuntimeError("no worker has booted")
        self._maintenance.maintain(UUID(task))

    def revive(self, *args: Any) -> None:
        """Actor: replay the (mail id, cycle) of a dead letter. Has no retries: an old copy is worthless."""
        if self._revival is None:
            raise RuntimeError("no worker has booted")
        self._revival.revive(*args)

    def before_worker_boot(self, broker: Any, worker: Any) -> None:
        queues = set(worker.consumer_whitelist or broker.queues)
        self._consumed |= queues
        for lane in self._settings.lane_names:
            if topology.deliver_queue(lane) in queues:
                self._meter.of(catalogue.THREADS, lane=lane).inc(worker.worker_threads)
        self._workers += 1
        if self._delivery is None:
            self._open()

    def before_process_message(self, broker: Any, message: Any) -> None:
        del broker
        with self._busy_lock:
            self._busy[message.queue_name] += 1

    def after_process_message(
        self, broker: Any, message: Any, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        del broker, result, exception
        with self._busy_lock:
            self._busy[message.queue_name] -= 1

    def before_ack(self, broker: Any, message: Any) -> None:
        del broker
        if topology.is_deliver_queue(message.queue_name):
            self._reached(Step.ACKING)

    def after_ack(self, broker: Any, message: Any) -> None:
        del broker
        if topology.is_deliver_queue(message.queue_name):
            self._reached(Step.ACKED)

    def before_worker_shutdown(self, broker: Any, worker: Any) -> None:
        del broker, worker
        self._stopping.set()
        for puller in self._pullers:
            puller.stop()

    def after_worker_shutdown(self, broker: Any, worker: Any) -> None:
        del broker, worker
        self._workers -= 1
        if self._workers == 0 and self._delivery is not None:
            for puller in self._pullers:
                puller.join()
            self._pullers.clear()
            if self._refresher is not None:
                self._refresher.close()
            if self._reporter is not None:
                self._reporter.close()
            if self._heart is not None:
                self._heart.close()
            self._delivery.provider.close()
            if self._delivery.smtp is not None:
                self._delivery.smtp.close()
            if self._api is not None:
                self._api.close()
            self._delivery.pool.close()
            self._delivery = self._reconciliation = self._maintenance = self._reporter = None
            self._refresher = None
            self._revival = None

    def _noting(self, step: Step) -> None:
        """Pass a step on; a batch that is recorded is work done."""
        if step is Step.RECORDED:
            self._looked()
        self._reached(step)

    def _looked(self) -> None:
        if self._heart is not None:
            self._heart.worked()

    def _show(self) -> None:
        """Serve metrics in a process whose command knows nothing of them. Dramatiq may have started several."""
        logging.getLogger().addHandler(LogCounter(self._meter))
        try:
            serving(self._meter, self._settings)
        except SettingsError as error:
            about = {"reason": str(error)}
            log.error("worker: going on without metrics", extra=about)  # noqa: TRY400 (the message says it all)

    def _open(self) -> None:
        configured = self._settings
        if self._serves:
            self._show()
        self._heart = Heartbeat(
            configured.database_url.get_secret_value(),
            "worker",
            broker=lambda: self._standing().value,
            lanes=configured.lane_names,
        )
        self._heart.start()
        size = configured.threads * len(configured.lane_names) + RECONCILERS + 2 * MAINTAINERS + REVIVERS + 4
        pool = database.pool(
            configured.database_url.get_secret_value(),
            name="worker",
            size=size,
            check=self._check,
        )
        watch_pools(self._meter, [pool])
        pool.open()
        provider = Postmark(base_url=configured.postmark_url, token=self._token, reached=self._reached)
        self._reporter = FlowReporter(pool, lambda: self._live.now.flow_policy)
        self._reporter.start()
        self._refresher = Refresher(pool, self._live)
        self._refresher.start()
        self._delivery = delivery(
            self._live,
            pool=pool,
            provider=provider,
            smtp=smtp.build(configured, reached=self._reached),
            keyring=self._keyring,
            answered=self._reporter.report,
            marked=self._watch.note,
            reached=self._noting,
            observer=self._metering,
        )
        self._reconciliation = self._make_reconciliation(pool, provider)
        self._api = PostmarkApi(base_url=configured.postmark_url, token=self._token)
        self._maintenance = self._make_maintenance(pool, self._api)
        self._revival = Revival(pool=pool, wait=self._stopping.wait)
        self._pullers = self._make_pullers(pool, self._delivery, self._reconciliation, self._maintenance)
        for puller in self._pullers:
            puller.start()

    def _check(self, connection: Connection) -> None:
        """Let nobody use a new connection before a restored database was noticed, and the settings of now were read."""
        restore.look_through(connection, self._watch, self._settings)
        self._live.refresh(connection)

    def _settle_policy(self) -> SettlePolicy:
        settings = self._live.now
        return SettlePolicy(
            schedule=settings.settle_schedule,
            without_control=settings.settle_without_control_s,
            retention=settings.provider_retention_s,
            tries=settings.tries,
            crashes=settings.poison_crashes,
        )

    def _make_reconciliation(self, pool: ConnectionPool[Connection], provider: Postmark) -> Reconciliation:
        configured = self._settings
        return Reconciliation(
            pool=pool,
            provider=provider,
            policy=self._settle_policy,
            resend_lanes=lambda: frozenset(self._live.now.resend_lane_names),
            drop_content=configured.drops_content,
            request_timeout_s=configured.request_timeout_s,
            round_lease_s=configured.posting_lease_s,
            reached=self._reached,
            searched=self._metering.searched,
        )

    def _make_maintenance(self, pool: ConnectionPool[Connection], api: PostmarkApi) -> Maintenance:
        return Maintenance(
            pool=pool,
            tasks=tasks(self._live, pool=pool, api=api, keyring=self._keyring),
            stopping=self._stopping.is_set,
            ran=self._metering.ran,
        )

    def _make_pullers(
        self,
        pool: ConnectionPool[Connection],
        delivery: Delivery,
        reconciliation: Reconciliation,
        maintenance: Maintenance,
    ) -> list[Puller]:
        configured = self._settings
        of_lanes = [
            Puller(
                name=lane,
                statement=OVERDUE_LANE,
                work=delivery.deliver,
                pool=pool,
                threads=configured.threads,
                after_s=configured.pull_after_s,
                busy=partial(self._busy.__getitem__, topology.deliver_queue(lane)),
                looked=self._looked,
            )
            for lane in configured.lane_names
        ]
        of_searches = Puller(
            name="searches",
            statement=OVERDUE_SEARCHES,
            work=reconciliation.reconcile,
            pool=pool,
            threads=RECONCILERS,
            after_s=configured.pull_after_s,
            busy=partial(self._busy.__getitem__, topology.RECONCILE),
        )
        of_tasks = Puller(
            name="tasks",
            statement=OVERDUE_TASKS,
            work=maintenance.maintain,
            pool=pool,
            threads=MAINTAINERS,
            after_s=configured.pull_after_s,
            busy=partial(self._busy.__getitem__, topology.MAINTAIN),
        )
        return [*of_lanes, of_searches, of_tasks]
