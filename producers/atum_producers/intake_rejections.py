"""Jobs that are no mail: into `mail.rejected` with the reason, and only then out of `mail.intake`.

They travel on a line of their own: an alarm of RabbitMQ blocks connections that publish, and must not keep the intake from
acknowledging what it has stored.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pika
import pika.data

from atum_producers.line import Line, Message, Outcome
from atum_schema import topology
from atum_schema.acceptance import OWN_KEY
from atum_schema.document import field_names
from atum_schema.errors import IdempotencyConflict, MailRejected
from atum_schema.job import BESIDE_THE_DOCUMENT
from atum_schema.scrub import scrub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from atum_producers.intake_queue import Delivery
    from atum_schema.errors import AtumError
    from atum_schema.standing import Standing

#: Longest reason and field in a header, in characters.
REASON_CHARACTERS: Final = 1000
FIELD_CHARACTERS: Final = 200
# All headers travel in one frame, whose size the other side may have bounded.
_OWN_HEADERS_BYTES: Final = 16_384
# What RabbitMQ itself writes or obeys: "CC" and "BCC" would send the copy to other queues too.
_BROKERS_OWN: Final = (
    "x-death",
    "x-first-death-",
    "x-last-death-",
    "x-delivery-count",
    "x-acquired-count",
    "cc",
    "bcc",
)
_FIELDS: Final = field_names() | BESIDE_THE_DOCUMENT
#: Fields whose values are of the mail itself, or may name somebody; those of all others are settings, such as the name of a lane.
_OF_PEOPLE: Final = frozenset(
    [
        "from",
        "to",
        "cc",
        "bcc",
        "reply_to",
        "subject",
        "text",
        "html",
        "headers",
        "attachments",
        "metadata",
        "tag",
        "idempotency_key",
    ]
)
# A single character in quotes is what is wrong with a value, and not the value.
_VALUE: Final = re.compile(r"(?P<quote>['\"])(?:(?!(?P=quote)).){2,}(?P=quote)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why a job is no mail."""

    #: What is wrong, as in `MailRejected`.
    field: str
    #: In words; may quote the sender's own values, so it never goes into a log as it is.
    reason: str

    @classmethod
    def of(cls, error: AtumError) -> Rejection:
        """Say it as a rejection."""
        if isinstance(error, MailRejected):
            return cls(field=error.field, reason=error.reason)
        if isinstance(error, IdempotencyConflict):
            own = error.key.startswith(OWN_KEY)
            return cls(field="id" if own else "idempotency_key", reason=str(error))
        return cls(field="document", reason=str(error))

    @property
    def kind(self) -> str:
        """The field without its place within: one of few, to be counted by."""
        name = self.field.partition("[")[0].partition(".")[0]
        return name if name in _FIELDS else "other"

    @property
    def told(self) -> str:
        """The reason for everybody who lists a queue: without what the job holds, which the body shows to those who may."""
        reason = _VALUE.sub("'…'", self.reason) if self.kind in _OF_PEOPLE else self.reason
        return scrub(reason, REASON_CHARACTERS)


_About: TypeAlias = tuple[int, int]


class Rejections:
    """Rejected jobs on their way. `begin` forgets them all, when the jobs have returned to the queue.

    `opened` is called after each connection that the line has made; it must not raise.
    """

    def __init__(self, amqp_url: str, *, timeout_s: float, opened: Callable[[], None] | None = None) -> None:
        self._lock = threading.Lock()
        self._generation = 0
        self._messages: dict[int, Message[_About]] = {}
        self._kinds: dict[int, str] = {}
        self._unsent: set[int] = set()
        self._confirmed: set[int] = set()
        self._line: Line[_About] = Line(
            amqp_url,
            name="intake",
            queues=[topology.REJECTED],
            timeout_s=timeout_s,
            told=self._told,
            opened=opened,
        )

    def start(self) -> None:
        """Start the line."""
        self._line.start()

    def stop(self) -> None:
        """End the line."""
        self._line.stop()

    def begin(self) -> None:
        """Start afresh with a new connection, whose delivery tags begin anew."""
        with self._lock:
            self._generation += 1
            self._messages.clear()
            self._kinds.clear()
            self._unsent.clear()
            self._confirmed.clear()

    def reject(self, delivery: Delivery, rejection: Rejection) -> None:
        """Take a job over, to publish it at the next `push`."""
        with self._lock:
            self._messages[delivery.tag] = Message(
                queue=topology.REJECTED,
                body=delivery.body,
                properties=rejected_properties(delivery.properties, rejection, at=datetime.now(UTC)),
                about=(self._generation, delivery.tag),
            )
            self._kinds[delivery.tag] = rejection.kind
            self._unsent.add(delivery.tag)

    def push(self) -> None:
        """Publish what is not on its way."""
        with self._lock:
            tags = sorted(self._unsent)
            messages = [self._messages[tag] for tag in tags]
            self._unsent.clear()
        if messages and not self._line.hand_over(messages):
            with self._lock:
                self._unsent.update(tags)

    @property
    def standing(self) -> Standing:
        """How the line fares with RabbitMQ."""
        return self._line.standing

    @property
    def pending(self) -> bool:
        """Whether any is not settled."""
        return bool(self._kinds)

    def confirmed(self) -> dict[int, str]:
        """Give the delivery tags that are in `mail.rejected` and not settled, each with its kind."""
        with self._lock:
            return {tag: self._kinds[tag] for tag in sorted(self._confirmed)}

    def settle(self, tags: Mapping[int, str]) -> None:
        """Forget those that were counted and acknowledged."""
        with self._lock:
            for tag in tags:
                self._confirmed.discard(tag)
                del self._kinds[tag]

    def _told(self, about: _About, outcome: Outcome) -> None:
        generation, tag = about
        with self._lock:
            if generation != self._generation:
                return
            if outcome is Outcome.CONFIRMED:
                self._confirmed.add(tag)
                del self._messages[tag]
            else:
                self._unsent.add(tag)


def rejected_properties(
    original: pika.BasicProperties, rejection: Rejection, *, at: datetime
) -> pika.BasicProperties:
    """Make the properties of a rejected job: the sender's own, and why it was rejected.

    What has an effect on RabbitMQ (expiration, user_id, CC …) is left out.
    """
    ours: dict[str, Any] = {
        "field": scrub(rejection.field, FIELD_CHARACTERS),
        "reason": rejection.told,
        "rejected_at": at.isoformat(timespec="seconds"),
    }
    return pika.BasicProperties(
        delivery_mode=2,
        content_type=original.content_type,
        content_encoding=original.content_encoding,
        app_id=original.app_id,
        message_id=original.message_id,
        type=original.type,
        timestamp=original.timestamp,
        headers={**dict(_kept(original.headers or {})), **ours},
    )


def _kept(headers: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    room = _OWN_HEADERS_BYTES
    for name, value in headers.items():
        if str(name).lower().startswith(_BROKERS_OWN):
            continue
        try:
            room -= int(pika.data.encode_table([], {name: value}))
        except Exception:  # noqa: BLE001, S112 - whatever a sender puts there, its job goes where it belongs
            continue
        if room < 0:
            return
        yield name, value
