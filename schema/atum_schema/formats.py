"""What travels through RabbitMQ: tickets and dead letters, as Dramatiq messages (JSON).

The producer side builds them without importing Dramatiq; a test decodes each with Dramatiq's own decoder.
Field names follow `dramatiq.Message` 2.x: queue_name, actor_name, args, kwargs, options, message_id,
message_timestamp (milliseconds since the epoch).
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import orjson

from atum_schema import topology

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

DELIVER_ACTOR: Final = "deliver"
RECONCILE_ACTOR: Final = "reconcile"
MAINTAIN_ACTOR: Final = "maintain"
REVIVE_ACTOR: Final = "revive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One message for the publisher. Carries ids only: no address, no subject, no body."""

    #: Routing key on the default exchange.
    queue: str
    #: The Dramatiq message, JSON.
    body: bytes
    #: AMQP message id, for people who look at the queue.
    message_id: str
    #: AMQP headers.
    headers: Mapping[str, str | int] = field(default_factory=dict)
    #: What is confirmed when RabbitMQ confirms: a batch id, or a (mail id, cycle) pair.
    confirms: UUID | tuple[UUID, int]


def ticket(batch_id: UUID, lane: str) -> Outgoing:
    """Make the ticket of a batch: the batch id, nothing more."""
    queue = topology.deliver_queue(lane)
    return Outgoing(
        queue=queue,
        body=_message(queue, DELIVER_ACTOR, [str(batch_id)]),
        message_id=str(batch_id),
        confirms=batch_id,
    )


def reconcile_ticket(batch_id: UUID) -> Outgoing:
    """Make the ticket that asks for a search of an unknown batch. Nobody notes its confirm: the search does."""
    return Outgoing(
        queue=topology.RECONCILE,
        body=_message(topology.RECONCILE, RECONCILE_ACTOR, [str(batch_id)]),
        message_id=f"reconcile/{batch_id}",
        confirms=batch_id,
    )


def maintain_ticket(task_id: UUID) -> Outgoing:
    """Make the ticket of a task that is due. Nobody notes its confirm: the task does."""
    return Outgoing(
        queue=topology.MAINTAIN,
        body=_message(topology.MAINTAIN, MAINTAIN_ACTOR, [str(task_id)]),
        message_id=f"maintain/{task_id}",
        confirms=task_id,
    )


def dead_letter(*, mail_id: UUID, cycle: int, reason: str, code: int | None, attempts: int) -> Outgoing:
    """Make the message of a dead mail: moved to `mail.revive`, it replays this cycle and no other."""
    headers: dict[str, str | int] = {"reason": reason, "attempts": attempts, "cycle": cycle}
    if code is not None:
        headers["code"] = code
    return Outgoing(
        queue=topology.DEAD,
        body=_message(topology.REVIVE, REVIVE_ACTOR, [str(mail_id), cycle]),
        message_id=f"{mail_id}/{cycle}",
        headers=headers,
        confirms=(mail_id, cycle),
    )


def _message(queue: str, actor: str, args: list[str | int]) -> bytes:
    return orjson.dumps(
        {
            "queue_name": queue,
            "actor_name": actor,
            "args": args,
            "kwargs": {},
            "options": {},
            "message_id": str(uuid.uuid4()),
            "message_timestamp": int(time.time() * 1000),
        }
    )
