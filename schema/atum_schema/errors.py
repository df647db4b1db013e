"""Every error that a caller of atum-mailer may meet, in one small tree.

::

    AtumError
    ├── MailRejected          the mail breaks a rule; nothing was stored
    ├── IdempotencyConflict   the key is known with other content; nothing was stored
    ├── EnqueueFailed         the store said no; nothing was stored
    ├── EnqueueUncertain      the connection died during COMMIT; repeat with the same key
    ├── MailNotFound          no mail has that id
    ├── SettingsError         a setting is missing or wrong; raised at start
    ├── ContentUnreadable     stored content cannot be decrypted (unknown key id, or it was moved or altered)
    ├── MigrationError        the schema is not what this version expects
    ├── Unreachable           a server that a command needs does not answer
    └── StackError            the local stack cannot start, and what to do about it

An expected "no" of the provider (rejected, suppressed) is a value, never an exception.
"""

from __future__ import annotations


class AtumError(Exception):
    """Base of all errors raised on purpose by atum-mailer."""


class MailRejected(AtumError, ValueError):
    """A mail breaks a rule of the contract or a limit of the provider. Nothing was stored.

    `field` names the offending field ("to[2]", "attachments[0].name", …), `reason` says in words what is
    wrong and includes the limit and the value where there are any, `index` is the place of the mail in the
    list that was handed over (None for a single mail).
    """

    def __init__(self, field: str, reason: str, *, index: int | None = None) -> None:
        self.field = field
        self.reason = reason
        self.index = index
        where = f"mail {index}: {field}" if index is not None else field
        super().__init__(f"{where}: {reason}")

    def at(self, index: int) -> MailRejected:
        """Give the same rejection, with the mail's place in its list."""
        return MailRejected(self.field, self.reason, index=index)


class IdempotencyConflict(AtumError):
    """The idempotency key is known to this client with different content. Nothing was stored."""

    def __init__(self, client: str, key: str) -> None:
        self.client = client
        self.key = key
        super().__init__(
            f"idempotency key {key!r} of client {client!r} was used before with different content"
        )


class EnqueueFailed(AtumError):
    """The store refused or was not reachable, and it is certain that nothing was stored."""


class EnqueueUncertain(AtumError):
    """The connection died during COMMIT (or before a confirm), so the mails may or may not be stored.

    Repeating the same call with the same `keys` is safe: what was stored is found again by its key.
    """

    def __init__(self, keys: tuple[str, ...], *, why: str = "the connection died during COMMIT") -> None:
        self.keys = keys
        super().__init__(f"{why}; repeat with the same idempotency keys ({len(keys)} in .keys)")


class MailNotFound(AtumError, LookupError):
    """No mail with this id is in the log."""


class SettingsError(AtumError):
    """A setting is missing or wrong. The message names the variable, the limit and the (masked) value."""


class ContentUnreadable(AtumError):
    """Stored content cannot be decrypted: its key id is not in the keyring, or the row was moved or altered."""


class MigrationError(AtumError):
    """The database schema is not what this version expects; the message says what to run."""


class Unreachable(AtumError):
    """A server that a command needs (the database, RabbitMQ, the provider) does not answer; the message names it."""


class StackError(AtumError):
    """The local stack cannot start; the message says what to install or to change."""
