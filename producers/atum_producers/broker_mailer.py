"""`BrokerMailer`: an application that knows only RabbitMQ hands over mail."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, TypeAlias, overload
from urllib.parse import urlsplit
from uuid import UUID

import pika

from atum_producers.line import Line, Message, Outcome
from atum_schema import job, topology
from atum_schema.acceptance import OWN_KEY
from atum_schema.errors import EnqueueFailed, EnqueueUncertain, MailRejected, SettingsError
from atum_schema.ids import new_mail_id
from atum_schema.mail import Mail

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

# What of the time a connection may take to confirm: the rest is for another one, if it turns out to be dead.
_SHARE: Final = 0.4
_PAUSE_S: Final = 0.1
# So much is on its way at a time: a long list must not be in memory twice, or wait in a socket for its confirms.
_PART_JOBS: Final = 500
_PART_BYTES: Final = 4_000_000
_SOMEWHERE: Final = frozenset({Outcome.CONFIRMED, Outcome.UNCERTAIN})
_WORDS: Final = {
    Outcome.REFUSED: "RabbitMQ refused the job",
    Outcome.RETURNED: f"RabbitMQ has no queue {topology.INTAKE}",
}


class BrokerMailer:
    """Hands mail over through RabbitMQ, as jobs in `mail.intake`. Thread-safe: all threads share one connection.

    `amqp_url` is all it needs; no settings are read. `client` names the application in the log and is the scope of its
    idempotency keys. `timeout`, in seconds, is how long an `enqueue` takes at most. It connects at the first use,
    keeps the connection alive with heartbeats, and connects again by itself; make one per process, after forking, and
    close it with `close()` or a `with` block. Raises `SettingsError` for a URL or a timeout that makes no sense, and
    `MailRejected` for a client name that does not.
    """

    def __init__(self, amqp_url: str, *, client: str = job.DEFAULT_CLIENT, timeout: float = 5.0) -> None:
        if not client:
            raise MailRejected("client", "is empty")
        if urlsplit(amqp_url).scheme not in {"amqp", "amqps"}:
            # pika would take it for the name of a virtual host on this machine.
            raise SettingsError("the URL of RabbitMQ must begin with amqp:// or amqps://")
        if not timeout > 0:
            raise SettingsError(f"the timeout is {timeout}, must be above 0")
        self._client = job.client_of(client)
        self._timeout = timeout
        self._closed = False
        self._starting = threading.Lock()
        self._started = False
        try:
            self._line: Line[_About] = Line(
                amqp_url,
                name="broker-mailer",
                queues=[topology.INTAKE],
                timeout_s=timeout * _SHARE,
                told=_told,
            )
        except (ValueError, TypeError):
            # The library's own message may quote the URL, password included.
            raise SettingsError("the URL of RabbitMQ cannot be read") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection for good; twice is once. An `enqueue` under way ends with an error."""
        with self._starting:
            self._closed = True
        self._line.stop()

    @overload
    def enqueue(self, mail: Mail, keys: Sequence[str] = ()) -> UUID: ...
    @overload
    def enqueue(self, mail: Sequence[Mail], keys: Sequence[str] = ()) -> list[UUID]: ...
    def enqueue(self, mail: Mail | Sequence[Mail], keys: Sequence[str] = ()) -> UUID | list[UUID]:
        """Hand over one mail or a list; give its id or their ids, in order, once RabbitMQ has confirmed all.

        From then on the queue `mail.intake` holds the mail, until an intake has stored it. What only the log knows is
        not checked here: an unknown lane, or a key that is known with other content, sends the job to
        `mail.rejected`. A mail whose `idempotency_key` is known keeps the id of the first one, whatever is given here.

        A list is *not* handed over as a whole or not at all: each mail is a job of its own, and after an error some
        may be on their way.

        Raises, after `timeout` seconds at most: `EnqueueFailed` if RabbitMQ certainly has none of them (no
        connection, refused, no queue); `EnqueueUncertain` if it has, or may have, some: then repeat the call with
        `keys=error.keys`, which is safe, because every mail keeps its id. `MailRejected` for a mail that is too large
        for a job, or for a key twice in the list.
        """
        deadline = time.monotonic() + self._timeout
        mails = [mail] if isinstance(mail, Mail) else list(mail)
        ids = _ids(mails, keys)
        _check_keys(mails)
        bodies = _written(ids, mails)
        self._start()
        hand_over = _HandOver(self._line, self._client, tuple(f"{OWN_KEY}{one}" for one in ids), deadline)
        for part in _parts(bodies):
            hand_over.deliver(part)
        return ids[0] if isinstance(mail, Mail) else ids

    def _start(self) -> None:
        with self._starting:
            if self._closed:
                raise EnqueueFailed("the mailer is closed")
            if not self._started:
                self._line.start()
                self._started = True


class _Round:
    """What became of jobs that were handed over together. Told on the line's thread, asked on the caller's."""

    def __init__(self, ids: Iterable[UUID]) -> None:
        self._lock = threading.Lock()
        self._open = set(ids)
        self._outcomes: dict[UUID, Outcome] = {}
        self._done = threading.Event()

    def note(self, mail_id: UUID, outcome: Outcome) -> None:
        with self._lock:
            self._outcomes[mail_id] = outcome
            self._open.discard(mail_id)
            if not self._open:
                self._done.set()

    def wait(self, seconds: float) -> None:
        self._done.wait(max(0.0, seconds))

    def close(self, unwritten: Iterable[UUID]) -> dict[UUID, Outcome]:
        """Give all outcomes; what was written and nothing is told of is uncertain."""
        with self._lock:
            outcomes = {**dict.fromkeys(self._open, Outcome.UNCERTAIN), **self._outcomes}
        return {**outcomes, **dict.fromkeys(unwritten, Outcome.UNWRITTEN)}


_About: TypeAlias = tuple[_Round, UUID]


def _told(about: _About, outcome: Outcome) -> None:
    round_, mail_id = about
    round_.note(mail_id, outcome)


@dataclass(slots=True)
class _HandOver:
    """One call of `enqueue`: tries until everything is confirmed, or the time is over."""

    line: Line[_About]
    client: str
    #: For the error: repeats the call.
    keys: tuple[str, ...]
    deadline: float
    #: Whether RabbitMQ has, or may have, something of it.
    begun: bool = False
    refusal: str = ""

    def deliver(self, bodies: Mapping[UUID, bytes]) -> None:
        """Publish jobs until all are confirmed; a job may be published twice. Raises when the time is over."""
        left = dict(bodies)
        while left:
            if not self.line.await_connected(max(0.0, self._seconds())) or self._seconds() <= 0:
                raise self._error()
            outcomes = self._publish(left)
            self.begun = self.begun or not _SOMEWHERE.isdisjoint(outcomes.values())
            left = {one: body for one, body in left.items() if outcomes[one] is not Outcome.CONFIRMED}
            words = [_WORDS[outcome] for outcome in outcomes.values() if outcome in _WORDS]
            if words:
                self.refusal = words[0]
                time.sleep(max(0.0, min(_PAUSE_S, self._seconds())))

    def _publish(self, bodies: Mapping[UUID, bytes]) -> dict[UUID, Outcome]:
        round_ = _Round(bodies)
        messages = [
            Message(
                queue=topology.INTAKE,
                body=body,
                properties=_properties(one, self.client),
                about=(round_, one),
            )
            for one, body in bodies.items()
        ]
        if not self.line.hand_over(messages):
            return dict.fromkeys(bodies, Outcome.UNWRITTEN)
        round_.wait(self._seconds())
        return round_.close(message.about[1] for message in self.line.withdraw(messages))

    def _seconds(self) -> float:
        return self.deadline - time.monotonic()

    def _error(self) -> EnqueueFailed | EnqueueUncertain:
        why = self.refusal or self.line.trouble or "no answer in time"
        if self.begun:
            return EnqueueUncertain(self.keys, why=f"RabbitMQ did not confirm all of it ({why})")
        return EnqueueFailed(f"RabbitMQ did not take the mails: {why}")


def _ids(mails: Sequence[Mail], keys: Sequence[str]) -> list[UUID]:
    """Give each mail its id: the one of its key, or a new one."""
    if not keys:
        return [new_mail_id() for _ in mails]
    if len(keys) != len(mails):
        raise MailRejected("keys", f"has {len(keys)} entries for {len(mails)} mails")
    try:
        ids = [UUID(key.removeprefix(OWN_KEY)) for key in keys]
    except ValueError:
        raise MailRejected("keys", "are not those of an error of a BrokerMailer") from None
    if len(set(ids)) != len(ids):
        raise MailRejected("keys", "has an entry twice")
    return ids


def _check_keys(mails: Sequence[Mail]) -> None:
    seen: set[str] = set()
    for place, mail in enumerate(mails):
        key = mail.idempotency_key
        if key in seen:
            raise MailRejected("idempotency_key", f"{key!r} appears twice in one list", index=place)
        if key is not None:
            seen.add(key)


def _written(ids: Sequence[UUID], mails: Sequence[Mail]) -> dict[UUID, bytes]:
    """Write the job of each mail. Raises `MailRejected`, with the mail's index if there are several."""
    bodies = {}
    for place, (mail_id, mail) in enumerate(zip(ids, mails, strict=True)):
        try:
            bodies[mail_id] = job.write(mail, mail_id)
        except MailRejected as rejection:
            raise rejection.at(place) if len(mails) > 1 else rejection from None
    return bodies


def _parts(bodies: Mapping[UUID, bytes]) -> Iterator[dict[UUID, bytes]]:
    part: dict[UUID, bytes] = {}
    size = 0
    for mail_id, body in bodies.items():
        if part and (len(part) == _PART_JOBS or size + len(body) > _PART_BYTES):
            yield part
            part, size = {}, 0
        part[mail_id] = body
        size += len(body)
    if part:
        yield part


def _properties(mail_id: UUID, client: str) -> pika.BasicProperties:
    return pika.BasicProperties(
        delivery_mode=2, content_type="application/json", app_id=client, message_id=str(mail_id)
    )
