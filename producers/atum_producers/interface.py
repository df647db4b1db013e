"""What application code may ask of a mailer, whichever it was given: the real one, or the one for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, overload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    import psycopg

    from atum_producers.store import MailState
    from atum_schema.mail import Mail


class AnyMailer(Protocol):
    """`Mailer` or `testing.InMemoryMailer`: the type to annotate code with that takes either."""

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

    def get(self, mail_id: UUID, *, connection: psycopg.Connection[Any] | None = None) -> MailState:
        """Give the mail's state now. Raises `MailNotFound`."""

    def cancel(self, mail_id: UUID) -> MailState:
        """Stop a mail; the state says whether that was possible. Raises `MailNotFound`."""

    def wait(self, mail_id: UUID, *, timeout: float) -> MailState:
        """Wait at most `timeout` seconds until the mail has an end. Raises `MailNotFound`."""

    def close(self) -> None:
        """Close it for good."""


class AnyAsyncMailer(Protocol):
    """`AsyncMailer` or `testing.InMemoryAsyncMailer`: what `AnyMailer` is to threads, for asyncio."""

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

    async def get(
        self, mail_id: UUID, *, connection: psycopg.AsyncConnection[Any] | None = None
    ) -> MailState:
        """Give the mail's state now. Raises `MailNotFound`."""

    async def cancel(self, mail_id: UUID) -> MailState:
        """Stop a mail; the state says whether that was possible. Raises `MailNotFound`."""

    async def wait(self, mail_id: UUID, *, timeout: float) -> MailState:  # noqa: ASYNC109 (the twin's name)
        """Wait at most `timeout` seconds until the mail has an end. Raises `MailNotFound`."""

    async def close(self) -> None:
        """Close it for good."""
