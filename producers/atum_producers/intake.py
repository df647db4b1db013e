"""The intake: stores the jobs of `mail.intake`, many in one transaction, and only then takes them out of the queue.

Until a job is stored, the queue holds its only copy. So nothing is acknowledged before the commit, and nothing is taken while
Postgres is away. What the commit may have stored before the connection broke is found again by its id or key.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import pika.exceptions
import psycopg

from atum_producers import intake_store
from atum_producers.intake_queue import Queue
from atum_producers.intake_rejections import Rejection, Rejections
from atum_producers.metering import IntakeMetering
from atum_schema import acceptance, database, job, traces
from atum_schema.accept import Accepted, Later
from atum_schema.acceptance import LanePolicy, Offer
from atum_schema.errors import AtumError, MailRejected
from atum_schema.garbage import look_for_garbage_seldom
from atum_schema.heartbeat import Heartbeat
from atum_schema.metrics import Meter, serving
from atum_schema.metrics_logs import counting_logs
from atum_schema.seldom import Seldom
from atum_schema.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from atum_producers.intake_queue import Delivery
    from atum_schema.accept import Answer
    from atum_schema.database import Connection
    from atum_schema.settings import Settings

log = logging.getLogger(__name__)

_GROUP_BYTES: Final = 20_000_000
_WAIT_S: Final = 0.25
# While rejections are on their way, their confirms are looked for more often.
_SOON_S: Final = 0.02
_RECONNECT_S: Final = 0.5
_LAST_CONFIRMS_S: Final = 2.0
_TRIES: Final = 5
# A job that has returned so often may be the reason; those that were taken together with it are suspect too.
_SUSPECT: Final = 3
# Errors of a job's own: its data (class 22), a constraint (23), a limit of Postgres (54; manual, Appendix A). Whatever else
# Postgres says of a job, it would say of any other too.
_OF_THE_JOB: Final = frozenset({"22", "23", "54"})


class _Pending(NamedTuple):
    """A job that was read and is not stored."""

    delivery: Delivery
    offer: Offer


class Intake:
    """Runs until `stop()`. Survives the loss of Postgres and RabbitMQ, in any order and for any time.

    Any number may run, and any may be killed. `stored` is called after each commit, before what it stored is
    acknowledged.
    """

    def __init__(self, settings: Settings, *, stored: Callable[[], None] | None = None) -> None:
        self._settings = settings
        self._stored = stored
        self._keyring = settings.keyring()
        self._lanes = LanePolicy(names=settings.lane_names)
        self._stopping = threading.Event()
        self._meter = Meter("intake")
        self._metering = IntakeMetering(self._meter, self._standing)
        #: Whether jobs come from RabbitMQ, as far as it is to blame.
        self._attached = False
        self._heart = Heartbeat(
            settings.database_url.get_secret_value(), "intake", broker=lambda: self._standing().value
        )
        self._complaints = Seldom()
        self._rejecting = Seldom()
        self._rejections = Rejections(
            settings.need_amqp_url(), timeout_s=settings.publish_timeout_s, opened=self._metering.opened
        )

    def stop(self) -> None:
        """Ask the intake to stop; safe from a signal handler. `run` returns after the transaction in hand."""
        self._stopping.set()

    def run(self) -> None:
        """Serve until `stop()` is called. Raises `SettingsError` when metrics cannot be served."""
        serving(self._meter, self._settings)
        look_for_garbage_seldom()
        with counting_logs(self._meter):
            self._run()

    def _standing(self) -> Standing:
        """How both connections fare: only that of the rejections ever publishes, so only that can be blocked."""
        return self._rejections.standing if self._attached else Standing.AWAY

    def _run(self) -> None:
        self._rejections.start()
        self._heart.start()
        try:
            while not self._stopping.is_set():
                self._serve_and_survive()
        finally:
            self._rejections.stop()
            self._heart.close()

    def _serve_and_survive(self) -> None:
        level, reason, about = logging.WARNING, "", {}
        try:
            # Postgres first: without it, no job is taken.
            with (
                database.connect(self._settings.database_url.get_secret_value(), name="intake") as connection,
                Queue(self._settings.need_amqp_url(), prefetch=2 * self._settings.intake_jobs) as queue,
            ):
                self._attached = True
                self._metering.opened()
                self._serve(connection, queue)
            return
        except psycopg.Error as error:
            if not database.is_transient(error):
                level = logging.ERROR
            reason, about = "database", traces.kind(error)
        except (pika.exceptions.ChannelClosed, pika.exceptions.ConnectionClosed) as error:
            self._attached = False
            reason, about = "broker", {**traces.kind(error), "detail": str(error)}
        except (pika.exceptions.AMQPError, OSError) as error:
            self._attached = False
            reason, about = "broker", traces.kind(error)
        except Exception as error:  # noqa: BLE001 - jobs wait for the one who mends it, and are not lost
            level, reason, about = logging.ERROR, "an error of ours", traces.where(error)
        if self._complaints.due():
            # Not the error's own text: it may quote a job.
            log.log(level, "intake: jobs wait, trying again", extra={"reason": reason, **about})
        self._stopping.wait(_RECONNECT_S)

    def _serve(self, connection: Connection, queue: Queue) -> None:
        self._rejections.begin()
        log.info("serving")
        later: list[_Pending] = []
        while not self._stopping.is_set():
            deliveries = queue.take(
                wait_s=_SOON_S if later or self._rejections.pending else _WAIT_S,
                number=self._settings.intake_jobs - len(later),
                size=_GROUP_BYTES,
            )
            others = [each for each in deliveries if each.returned < _SUSPECT]
            later = self._store(connection, queue, [*later, *self._read(others)])
            for each in _suspects(deliveries):
                later += self._store(connection, queue, self._read([each]))
            self._heart.worked()
        deadline = time.monotonic() + _LAST_CONFIRMS_S
        while self._rejections.pending and time.monotonic() < deadline:
            self._store(connection, queue, [])
            time.sleep(_SOON_S)

    def _read(self, deliveries: Iterable[Delivery]) -> list[_Pending]:
        now = datetime.now(UTC)
        return [pending for each in deliveries if (pending := self._read_one(each, now)) is not None]

    def _read_one(self, delivery: Delivery, now: datetime) -> _Pending | None:
        try:
            client = job.client_of(delivery.properties.app_id)
            read = job.read(delivery.body, now=now)
            rows = acceptance.prepare([read.mail], lanes=self._lanes, keyring=self._keyring, ids=[read.id])
        except MailRejected as error:
            self._reject(delivery, Rejection.of(error))
            return None
        except Exception as error:  # noqa: BLE001 - one job that nobody foresaw must not block all others
            self._reject(
                delivery, Rejection(field="document", reason=f"an error of ours: {type(error).__name__}")
            )
            return None
        return _Pending(delivery, Offer(client=client, rows=rows, repeats=read.id is not None))

    def _reject(self, delivery: Delivery, rejection: Rejection) -> None:
        self._rejections.reject(delivery, rejection)
        if self._rejecting.due():
            log.warning("intake: rejecting jobs; see mail.rejected", extra={"reason": rejection.kind})

    def _store(self, connection: Connection, queue: Queue, group: Sequence[_Pending]) -> list[_Pending]:
        """Store a group and acknowledge what is settled; give what is to be offered again."""
        self._rejections.push()
        rejected = self._rejections.confirmed()
        if not group and not rejected:
            return []
        began = time.perf_counter()
        try:
            answers = self._commit(connection, [each.offer for each in group], Counter(rejected.values()))
        except psycopg.Error as error:
            if not _is_of_the_job(error):
                raise
            return self._store_one_by_one(connection, queue, group)
        self._count(answers, began, rejected=len(rejected))
        if self._stored is not None:
            self._stored()
        later = [each for each, answer in zip(group, answers, strict=True) if isinstance(answer, Later)]
        queue.ack([*rejected, *self._settled(group, answers)])
        self._rejections.settle(rejected)
        return later

    def _store_one_by_one(
        self, connection: Connection, queue: Queue, group: Sequence[_Pending]
    ) -> list[_Pending]:
        """Store each job by itself, so that the one that the database refuses harms no other."""
        later: list[_Pending] = []
        for each in group:
            began = time.perf_counter()
            try:
                (answer,) = self._commit(connection, [each.offer], Counter())
            except psycopg.Error as error:
                if not _is_of_the_job(error):
                    raise
                self._reject(each.delivery, _refused(error))
                continue
            self._count([answer], began)
            if isinstance(answer, Later):
                later.append(each)
            else:
                queue.ack(self._settled([each], [answer]))
        return later

    def _count(self, answers: Sequence[Answer], began: float, *, rejected: int = 0) -> None:
        """Count what is committed; a job that is refused counts once it is in `mail.rejected`."""
        accepted = [answer for answer in answers if isinstance(answer, Accepted)]
        known = sum(answer.replayed for answer in accepted)
        self._metering.committed(
            stored=len(accepted) - known,
            known=known,
            rejected=rejected,
            later=sum(isinstance(answer, Later) for answer in answers),
            seconds=time.perf_counter() - began,
        )

    def _settled(self, group: Sequence[_Pending], answers: Sequence[Answer]) -> list[int]:
        """Give the delivery tags of what is stored; reject what is refused."""
        stored = []
        for each, answer in zip(group, answers, strict=True):
            if isinstance(answer, AtumError):
                self._reject(each.delivery, Rejection.of(answer))
            elif not isinstance(answer, Later):
                stored.append(each.delivery.tag)
        return stored

    def _commit(
        self, connection: Connection, offers: Sequence[Offer], rejected: Counter[str]
    ) -> list[Answer]:
        """Commit, again where another transaction was in the way."""
        for _ in range(_TRIES - 1):
            try:
                return intake_store.store(connection, offers, key_id=self._keyring.active, rejected=rejected)
            except psycopg.Error as error:
                if not _was_in_the_way(error):
                    raise
        return intake_store.store(connection, offers, key_id=self._keyring.active, rejected=rejected)


def _suspects(deliveries: Sequence[Delivery]) -> list[Delivery]:
    """Give those that may have killed an intake, and will perhaps kill this one: to be stored alone, after all others.

    Their order is random, so that the one that does it is not always before the same innocent ones.
    """
    suspects = [each for each in deliveries if each.returned >= _SUSPECT]
    return random.sample(suspects, len(suspects))


def _is_of_the_job(error: psycopg.Error) -> bool:
    # Without a SQLSTATE, a DataError is the driver's own: a value that cannot be sent.
    if error.sqlstate is None:
        return isinstance(error, psycopg.DataError)
    return error.sqlstate[:2] in _OF_THE_JOB


def _was_in_the_way(error: psycopg.Error) -> bool:
    """Whether the next try sees more: a deadlock (40), or somebody who stored the same id at the same time (23505)."""
    return error.sqlstate is not None and (error.sqlstate[:2] == "40" or error.sqlstate == "23505")


def _refused(error: psycopg.Error) -> Rejection:
    if isinstance(error, psycopg.errors.UniqueViolation):
        return Rejection(field="id", reason="is the id of another mail")
    return Rejection(field="document", reason=f"the database refuses it: SQLSTATE {error.sqlstate}")
