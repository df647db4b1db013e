"""For the tests of applications: a mailer that keeps its mails in memory, and says what was enqueued.

It needs no database, no settings and no keys. Its decisions are those of `Mailer`: the same checks, lanes,
idempotency and machine of statuses run, and each mail makes the way through its JSON document, so what a test sees is what
would have been stored.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, Self, overload

from atum_producers import testing_matching
from atum_producers.testing_delivery import Outcome, Outcomes
from atum_producers.testing_log import EnqueuedMail, MemoryLog
from atum_producers.testing_store import MemoryStore
from atum_schema.mail import Mail
from atum_schema.status import ENDED

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence
    from datetime import timedelta
    from uuid import UUID

    import psycopg

    from atum_producers.store import MailState
    from atum_schema.errors import EnqueueFailed, EnqueueUncertain
    from atum_schema.status import Status

__all__ = ["EnqueuedMail", "InMemoryAsyncMailer", "InMemoryMailer", "Outcome", "Outcomes"]

LANES: Final = ("transactional", "broadcast")
_POLL_S: Final = 0.05


class InMemoryMailer:
    """Stands for `Mailer` in tests: the same calls, answers and errors. Thread-safe.

    `lanes` are the lanes that exist, the first is the default, as in `ATUM_LANES`. With `inline`, mails are delivered
    as soon as they are enqueued and due, for code that waits for them; otherwise `drain` delivers.
    `asynchronous` is the same mailer for asyncio, in place of `AsyncMailer`; `with_client` gives another application's
    mailer on the same `log`.

    A mail exists as soon as `enqueue` returns. `connection=` is taken and not looked at: it takes part in no
    transaction, and a rollback does not take the mail back. Test that against Postgres.
    """

    def __init__(
        self,
        *,
        client: str = "default",
        lanes: tuple[str, ...] = LANES,
        inline: bool = False,
        log: MemoryLog | None = None,
    ) -> None:
        self._store = MemoryStore(client=client, lanes=lanes, inline=inline, log=log or MemoryLog())
        #: The same mailer for asyncio.
        self.asynchronous = InMemoryAsyncMailer(self._store)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def with_client(self, client: str) -> InMemoryMailer:
        """Give another application's mailer: it shares mails and time with this one, and has keys of its own."""
        return InMemoryMailer(
            client=client, lanes=self._store.lanes, inline=self._store.inline, log=self._store.log
        )

    def close(self) -> None:
        """Refuse every call from now on, as a closed `Mailer` does; what was enqueued can still be looked at."""
        self._store.closed = True

    @overload
    def enqueue(
        self, mail: Mail, *, connection: psycopg.Connection[Any] | None = None, keys: Sequence[str] = ()
    ) -> UUID: ...
    @overload
    def enqueue(
        self,
        mail: Sequence[Mail],
        *,
        connection: psycopg.Connection[Any] | None = None,
        keys: Sequence[str] = (),
    ) -> list[UUID]: ...
    def enqueue(
        self,
        mail: Mail | Sequence[Mail],
        *,
        connection: psycopg.Connection[Any] | None = None,
        keys: Sequence[str] = (),
    ) -> UUID | list[UUID]:
        """Accept one mail or a list, with the errors of `Mailer.enqueue`; give its id or their ids, in order."""
        ids = self._store.enqueue(mail, keys, durably=connection is None)
        return ids[0] if isinstance(mail, Mail) else ids

    def get(self, mail_id: UUID, *, connection: psycopg.Connection[Any] | None = None) -> MailState:
        """Give the mail's state now. Raises `MailNotFound`."""
        return self._store.get(mail_id, own=connection is None)

    def cancel(self, mail_id: UUID) -> MailState:
        """Stop a mail that was not delivered yet. Raises `MailNotFound`."""
        return self._store.cancel(mail_id)

    def wait(self, mail_id: UUID, *, timeout: float) -> MailState:
        """Wait for another thread to drain the mail, at most `timeout` real seconds; give the last state seen."""
        deadline = time.monotonic() + timeout
        changed = self._store.log.changed
        with changed:
            while True:
                state = self.get(mail_id)
                left = deadline - time.monotonic()
                if state.status in ENDED or left <= 0:
                    return state
                changed.wait(left)

    @property
    def mails(self) -> list[EnqueuedMail]:
        """Everything that was enqueued, in order, of all clients, each with its status now."""
        return self._store.log.mails()

    def assert_enqueued(self, **expected: Any) -> EnqueuedMail:
        """Give the first enqueued mail that is as expected, and fail if there is none.

        Only the fields that are named are compared: those of `Mail`, `recipients` (to, cc and bcc), and `id`, `client`,
        `status` and `lane` (the chosen one). What is expected may be

        - an address, as text or `Address`: one of the field's addresses; its display name counts if it has one
        - a list of addresses: exactly these, in any order
        - the name of an attachment or header; a mapping of headers or metadata that have to be among the mail's
        - a compiled pattern, which is searched in the field's text
        - a function, which is called with the field's value
        - any other value: equal to it

        Raises `AssertionError`, which lists what was enqueued, and `TypeError` for a field that no mail has.
        """
        __tracebackhide__ = True
        testing_matching.check_names(expected)
        mails = self.mails
        for mail in mails:
            if not testing_matching.differing(mail, expected):
                return mail
        what = f" with {testing_matching.wanted(expected)}" if expected else ""
        raise AssertionError(f"no mail was enqueued{what}\n{testing_matching.told(mails, expected)}")

    def refute_enqueued(self, **unexpected: Any) -> None:
        """Fail if a mail was enqueued that `assert_enqueued` would find."""
        __tracebackhide__ = True
        testing_matching.check_names(unexpected)
        found = [mail for mail in self.mails if not testing_matching.differing(mail, unexpected)]
        if found:
            what = f" with {testing_matching.wanted(unexpected)}" if unexpected else ""
            lines = [f"{testing_matching.counted(found)} enqueued{what}:", *testing_matching.listed(found)]
            raise AssertionError("\n".join(lines))

    def assert_nothing_enqueued(self) -> None:
        """Fail if anything was enqueued."""
        __tracebackhide__ = True
        self.refute_enqueued()

    def drain(self, outcome: Outcomes = "sent") -> Counter[Status]:
        """Deliver everything that is due, once; give how many mails ended in which status.

        `outcome` is what becomes of all of them, or a function that says it for each mail. What has a `send_at` ahead of
        this log's time waits, and what has an `expires_at` behind it becomes `expired`, whatever `outcome` says. A mail
        that becomes `retrying` is due again after 60 s: `advance` by that, and drain again.
        """
        return self._store.drain(outcome)

    def advance(self, by: timedelta) -> None:
        """Set this log's time ahead, for `send_at`, `expires_at` and mails that are retried."""
        self._store.log.advance(by)

    def fail_next(
        self, error: type[EnqueueFailed | EnqueueUncertain], *, stored: bool = False, times: int = 1
    ) -> None:
        """Let the next `times` calls of `enqueue` fail that would have stored their mails.

        `stored` says whether the mails are there after an `EnqueueUncertain`; code that handles it well stores each mail
        once either way. Calls with `connection=` do not fail, as those of `Mailer` never fail so. Raises `ValueError`
        for `EnqueueFailed` with `stored`, which would be a contradiction.
        """
        self._store.fail_next(error, stored=stored, times=times)


class InMemoryAsyncMailer:
    """Stands for `AsyncMailer` in tests: the calls of the `InMemoryMailer` whose `asynchronous` it is, to be awaited.

    What was enqueued is asked of that one.
    """

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the mailer, as `InMemoryMailer.close` does."""
        self._store.closed = True

    @overload
    async def enqueue(
        self, mail: Mail, *, connection: psycopg.AsyncConnection[Any] | None = None, keys: Sequence[str] = ()
    ) -> UUID: ...
    @overload
    async def enqueue(
        self,
        mail: Sequence[Mail],
        *,
        connection: psycopg.AsyncConnection[Any] | None = None,
        keys: Sequence[str] = (),
    ) -> list[UUID]: ...
    async def enqueue(
        self,
        mail: Mail | Sequence[Mail],
        *,
        connection: psycopg.AsyncConnection[Any] | None = None,
        keys: Sequence[str] = (),
    ) -> UUID | list[UUID]:
        """Accept one mail or a list, as `InMemoryMailer.enqueue` does."""
        ids = self._store.enqueue(mail, keys, durably=connection is None)
        return ids[0] if isinstance(mail, Mail) else ids

    async def get(
        self, mail_id: UUID, *, connection: psycopg.AsyncConnection[Any] | None = None
    ) -> MailState:
        """Give the mail's state now. Raises `MailNotFound`."""
        return self._store.get(mail_id, own=connection is None)

    async def cancel(self, mail_id: UUID) -> MailState:
        """Stop a mail that was not delivered yet. Raises `MailNotFound`."""
        return self._store.cancel(mail_id)

    async def wait(self, mail_id: UUID, *, timeout: float) -> MailState:  # noqa: ASYNC109 (the twin's name)
        """Wait for another task or thread to drain the mail, as `InMemoryMailer.wait` does."""
        deadline = time.monotonic() + timeout
        while True:
            state = await self.get(mail_id)
            left = deadline - time.monotonic()
            if state.status in ENDED or left <= 0:
                return state
            await asyncio.sleep(min(_POLL_S, left))
