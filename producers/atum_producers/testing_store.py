"""What stands behind both faces of the mailer in memory: one client's desk, the log, and the failures that are due."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

from atum_producers import store
from atum_producers.handing_over import Desk, closed, failure
from atum_producers.testing_delivery import delivering
from atum_schema.document import decode, encode
from atum_schema.encryption import Keyring, new_key
from atum_schema.errors import EnqueueFailed, EnqueueUncertain
from atum_schema.mail import Mail

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from atum_producers.store import MailState
    from atum_producers.testing_delivery import Outcomes
    from atum_producers.testing_log import MemoryLog
    from atum_schema.acceptance import Offer
    from atum_schema.status import Status


class MemoryStore:
    """Takes one client's mails into a log in memory. Thread-safe."""

    def __init__(self, *, client: str, lanes: tuple[str, ...], inline: bool, log: MemoryLog) -> None:
        self.log = log
        self.inline = inline
        self.closed = False
        self._desk = Desk(client=client, lanes=lanes, keyring=Keyring(new_key("memory")))
        self._failures: deque[tuple[type[EnqueueFailed | EnqueueUncertain], bool]] = deque()

    @property
    def lanes(self) -> tuple[str, ...]:
        """The lanes that exist."""
        return self._desk.lanes.names

    def enqueue(self, mail: Mail | Sequence[Mail], keys: Sequence[str], *, durably: bool) -> list[UUID]:
        """Accept mails, in a transaction of our own (`durably`) or as if in the caller's; give their ids."""
        mails = [mail] if isinstance(mail, Mail) else mail
        offer = self._desk.offer([decode(encode(each)) for each in mails], keys)
        ids = self._accept_durably(offer) if durably else self._accept(offer)
        if self.inline:
            self.drain("sent")
        return ids

    def get(self, mail_id: UUID, *, own: bool = True) -> MailState:
        """Give the mail's state now, over a connection of our `own` or as if over the caller's."""
        if own and self.closed:
            raise closed()
        return self.log.run(store.looking_up(mail_id))

    def cancel(self, mail_id: UUID) -> MailState:
        """Stop a mail that was not delivered yet."""
        if self.closed:
            raise closed()
        self.log.run(store.canceling(mail_id))
        return self.get(mail_id)

    def drain(self, outcome: Outcomes) -> Counter[Status]:
        """Deliver everything that is due, once; give how many mails ended in which status."""
        ended: Counter[Status] = Counter()
        for due in self.log.due():
            over = due.mail.expires_at is not None and due.mail.expires_at <= self.log.now()
            chosen = outcome(due.mail) if callable(outcome) and not over else outcome
            status = self.log.run(delivering(due.id, "expired" if over else str(chosen)))
            if status is not None:
                ended[status] += 1
        return ended

    def fail_next(self, error: type[EnqueueFailed | EnqueueUncertain], *, stored: bool, times: int) -> None:
        """Let calls fail that would have stored their mails."""
        if stored and issubclass(error, EnqueueFailed):
            raise ValueError("EnqueueFailed means that nothing was stored")
        self._failures.extend([(error, stored)] * times)

    def _accept_durably(self, offer: Offer) -> list[UUID]:
        if self.closed:
            raise failure(closed())
        try:
            error, stored = self._failures.popleft()
        except IndexError:
            return self._accept(offer)
        if stored:
            self._accept(offer)
        if issubclass(error, EnqueueUncertain):
            raise error(tuple(row.key for row in offer.rows))
        raise error("the test lets it fail")

    def _accept(self, offer: Offer) -> list[UUID]:
        return self.log.run(self._desk.storing(offer), [(row.id, row.mail) for row in offer.rows])
