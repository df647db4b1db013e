"""What may never happen, whatever goes wrong outside."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from atum_schema import status as machine
from atum_schema.status import ENDED, WAITING, Cause, Status

if TYPE_CHECKING:
    from collections import Counter

    from tests.world.rows import Batch, Event, Mail
    from tests.world.store import Store


class Promise(StrEnum):
    """The promises, each with the sentence that defines it."""

    NONE_LOST = "none lost"
    """An accepted mail comes to an end, or is held with a reason; who is sent was accepted by the provider."""
    ONE_COPY = "one copy"
    """The provider accepts a mail once."""
    PROOF_FOUND = "proof found"
    """A mail that the provider has accepted is `sent` in the end."""
    ONE_OWNER = "one owner"
    """A mail is in `ready`, in one batch, in one unknown batch, or at an end."""
    MARKED = "marked"
    """A POST carries the mails of a committed posting mark with its token."""
    NOT_BESIDE = "not beside an open one"
    """No POST is marked while an earlier one is unresolved, unless a settling has allowed it."""
    FREE_OUTAGE = "an outage is free"
    """No more attempts are charged than the mail itself has failed."""
    CANCEL_HOLDS = "cancel holds"
    """After an acknowledged cancel the provider accepts nothing."""
    PAUSE_HOLDS = "pause holds"
    """After an acknowledged pause nothing of the lane is marked."""
    WINDOW = "window"
    """Never more batches in flight than the window allows."""
    IN_TIME = "in time"
    """Once nothing fails any more, all mails end within a bounded time: no lane stays closed."""
    EXPIRED_STAYS = "expired stays"
    """What is over is neither marked after a claim that saw it, nor resent."""
    EXPLAINED = "explained"
    """The events of a mail, by the status machine, lead to its status."""
    INNOCENT = "innocent"
    """A mail that never killed a worker is not taken for one that does."""
    KEYS = "keys"
    """No statement violates a constraint of the schema."""


class Broken(Exception):
    """A promise was broken."""

    def __init__(self, promise: Promise, what: str) -> None:
        super().__init__(f"{promise.value}: {what}")
        self.promise = promise


def owned_once(store: Store) -> None:
    """Check that every mail has exactly one owner. Raises `Broken`."""
    held: dict[int, list[Batch]] = {}
    for batch in store.batch.values():
        for mail_id in batch.mails:
            held.setdefault(mail_id, []).append(batch)
    for mail in store.mail.values():
        batches = held.get(mail.id, [])
        if not _is_owned(mail, batches, ready=mail.id in store.ready):
            where = [(batch.id, batch.state) for batch in batches]
            raise Broken(
                Promise.ONE_OWNER,
                f"mail {mail.id} is {mail.status}, ready: {mail.id in store.ready}, batches: {where}",
            )


def _is_owned(mail: Mail, batches: list[Batch], *, ready: bool) -> bool:
    if mail.status in WAITING:
        return len(batches) + ready == 1 and all(batch.state != "unknown" for batch in batches)
    if mail.status is Status.UNKNOWN:
        return not ready and len(batches) == 1 and batches[0].state == "unknown"
    # Proof may end a mail while it is being posted again; the batch lets go of it when that POST is over.
    return not ready and all(batch.state in {"posting", "unknown"} for batch in batches)


def may_be_posted(store: Store, batch: Batch) -> None:
    """Check at the posting mark that no earlier POST of its mails is open. Raises `Broken`."""
    for mail_id in batch.mails:
        mail = store.mail[mail_id]
        unresolved = sum(1 for a in store.attempt.values() if a.mail == mail_id and a.outcome == "unknown")
        events = store.events_of(mail_id)
        allowed = sum(
            1 for event in events if event.cause is Cause.RESEND_ALLOWED and event.was is Status.UNKNOWN
        )
        # Several POSTs may be open once a settling has covered them all.
        if mail.status not in WAITING or (unresolved and not _covered(events, allowed)):
            raise Broken(
                Promise.NOT_BESIDE,
                f"mail {mail_id} is marked in batch {batch.id} while {mail.status}, {unresolved} unresolved",
            )


def _covered(events: list[Event], allowed: int) -> bool:
    became_unknown = sum(
        1 for event in events if event.cause is Cause.OUTCOME_UNKNOWN and event.was in WAITING
    )
    answered = sum(1 for event in events if event.was is Status.UNKNOWN and event.status is Status.RETRYING)
    return allowed + answered >= became_unknown


def explained(store: Store, mail: Mail) -> None:
    """Replay the events of a mail. Raises `Broken`."""
    status: Status | None = None
    for event in store.events_of(mail.id):
        follows = machine.BIRTH[event.cause] if status is None else machine.after(status, event.cause)
        if event.was != status or event.status != follows:
            raise Broken(
                Promise.EXPLAINED, f"mail {mail.id}: {event} follows {status}, which gives {follows}"
            )
        status = event.status
    if status != mail.status:
        raise Broken(Promise.EXPLAINED, f"mail {mail.id} is {mail.status}, its events say {status}")


def ended(mail: Mail, copies: int) -> None:
    """Check the end of a mail. Raises `Broken`."""
    if mail.status not in ENDED and mail.status is not Status.HELD:
        raise Broken(Promise.IN_TIME, f"mail {mail.id} is still {mail.status}: {mail.reason}")
    if mail.status is Status.SENT and copies == 0:
        raise Broken(Promise.NONE_LOST, f"mail {mail.id} is sent, and the provider does not have it")
    if mail.status is not Status.SENT and mail.reason is None:
        raise Broken(Promise.NONE_LOST, f"mail {mail.id} is {mail.status} for no reason")


def fair(mail: Mail, own_failures: Counter[int]) -> None:
    """Check that only its own failures are charged to a mail. Raises `Broken`."""
    if mail.attempts > own_failures[mail.id]:
        raise Broken(
            Promise.FREE_OUTAGE,
            f"mail {mail.id} is charged {mail.attempts} attempts, and failed {own_failures[mail.id]} times",
        )
