"""Which provider accounts there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atum_schema.fallback import SMTP

if TYPE_CHECKING:
    from atum_schema.settings import Settings


def known_accounts(settings: Settings) -> tuple[str, ...]:
    """Give the names of the accounts that mails can be bound to: that of the lanes, and the SMTP relay's if there is one."""
    return (settings.account, SMTP) if settings.smtp_server else (settings.account,)
