"""Mails that try the whole way out: one per recipient, followed until the provider has them, or until they arrive."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from atum_producers import store
from atum_schema import audit
from atum_schema.addresses import folded, parse_address
from atum_schema.errors import AtumError, MailRejected
from atum_schema.mail import Mail
from atum_schema.script import run
from atum_schema.status import ENDED, PROVEN, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from atum_producers import Mailer
    from atum_producers.store import MailState
    from atum_schema.addresses import Address
    from atum_schema.database import Connection

TAG: Final = "atum-test"
"""The tag of every mail that only tries the way."""

MOST: Final = 20
"""Recipients of one test, at most."""

_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """What is sent to whom."""

    sender: str
    recipients: tuple[str, ...]
    stream: str
    subject: str
    lane: str | None = None


class Result(NamedTuple):
    """How far one test mail came."""

    recipient: str
    state: MailState
    #: Whether it came as far as was asked for.
    good: bool


def mails_of(test: Test) -> list[Mail]:
    """Make one mail for each recipient. Raises `MailRejected` for a bad address, and `AtumError` for too many."""
    recipients = _recipients(test.recipients)
    if len(recipients) > MOST:
        raise AtumError(f"{len(recipients)} recipients: a test goes to {MOST} at most")
    return [
        Mail(
            sender=test.sender,
            to=address,
            subject=test.subject,
            text="This is a test of atum-mailer. It came all the way; there is nothing to do.\n",
            stream=test.stream,
            lane=test.lane,
            tag=TAG,
        )
        for address in recipients
    ]


def _recipients(texts: Sequence[str]) -> list[Address]:
    """Read one address from each text, each once."""
    read: dict[str, Address] = {}
    for place, text in enumerate(texts):
        try:
            address = parse_address(text, field="to")
        except MailRejected as rejection:
            raise MailRejected(f"to[{place}]", rejection.reason) from None
        read.setdefault(folded(address.email), address)
    return list(read.values())


def send(mailer: Mailer, connection: Connection, mails: Sequence[Mail], *, by: str) -> list[UUID]:
    """Accept the mails and record who ordered them, in one transaction; give their ids."""
    with connection.transaction():
        ids = mailer.enqueue(list(mails), connection=connection)
        detail = {"mails": [str(mail) for mail in ids], "stream": mails[0].stream}
        audit.record(connection, f"operator:{by}", "mail.tested", detail)
    return ids


def follow(
    connection: Connection,
    mails: Sequence[tuple[str, UUID]],
    *,
    arrive: bool,
    timeout_s: float,
    told: Callable[[int], None],
) -> list[Result]:
    """Look at the mails until each has come as far as it is asked to, has failed, or the time is over.

    Queued is never far enough: the provider must have accepted a mail, or with `arrive` the recipient's server.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        states = [run(connection, store.looking_up(mail_id)) for _, mail_id in mails]
        open_ones = [state for state in states if not _is_over(state.status, arrive=arrive)]
        told(len(states) - len(open_ones))
        if not open_ones or time.monotonic() > deadline:
            return [
                Result(recipient, state, good=_is_good(state.status, arrive=arrive))
                for (recipient, _), state in zip(mails, states, strict=True)
            ]
        time.sleep(_POLL_S)


def _is_over(status: Status, *, arrive: bool) -> bool:
    return status in (ENDED | {Status.HELD}) - ({Status.SENT} if arrive else set())


def _is_good(status: Status, *, arrive: bool) -> bool:
    return status is Status.DELIVERED if arrive else status in PROVEN - {Status.BOUNCED, Status.COMPLAINED}
