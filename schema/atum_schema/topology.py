"""The queues of the broker: names and arguments, in one place.

All are durable quorum queues (a quorum queue refuses priorities and lazy mode, so neither is asked for).
Arguments cannot be changed on an existing queue; a change here needs a new queue name. Tickets carry no
dead-letter exchange: a refused ticket is worthless, because Postgres issues a new one.
"""

from __future__ import annotations

from typing import Final

DELIVER_PREFIX: Final = "mail.deliver."
"""One ticket queue per lane follows this prefix."""

RECONCILE: Final = "mail.reconcile"
"""Tickets of unknown batches whose search is due."""

MAINTAIN: Final = "mail.maintain"
"""Tickets of tasks that are due now and then."""

DEAD: Final = "mail.dead"
"""One message per dead (mail, cycle); nobody consumes it, no TTL: it is a projection of Postgres."""

REVIVE: Final = "mail.revive"
"""Where an operator moves messages of `mail.dead` to have the mails replayed."""

INTAKE: Final = "mail.intake"
"""Jobs of producers that know only the broker. Until one is stored, this queue holds its only copy."""

REJECTED: Final = "mail.rejected"
"""Jobs that are no valid mail, with the reason in their headers; nobody consumes it, no TTL."""

UNSEEN: Final = (INTAKE, REJECTED)
"""Queues that hold what Postgres does not know: relays look how long they are."""

ARGUMENTS: Final[dict[str, str | int]] = {"x-queue-type": "quorum"}
"""Arguments of every queue. No TTL, no length limit and no delivery limit: nothing is ever dropped."""


def deliver_queue(lane: str) -> str:
    """Name the ticket queue of a lane."""
    return DELIVER_PREFIX + lane


def is_deliver_queue(name: str) -> bool:
    """Whether this is the ticket queue of a lane."""
    return name.startswith(DELIVER_PREFIX)
