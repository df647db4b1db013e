"""Which provider accounts there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from atum_schema.settings import Settings

SMTP: Final = "smtp"
"""Name of the account of the fallback by SMTP."""


def known_accounts(settings: Settings) -> tuple[str, ...]:
    """Give the names of the accounts that mails can be bound to: that of the lanes first."""
    return tuple(dict.fromkeys((settings.account, SMTP)))
