"""Ways in for applications, and the relay that publishes tickets."""

from typing import TYPE_CHECKING, Any

from atum_producers.async_mailer import AsyncMailer
from atum_producers.interface import AnyAsyncMailer, AnyMailer
from atum_producers.mailer import Mailer
from atum_producers.store import MailState

if TYPE_CHECKING:
    from atum_producers.broker_mailer import BrokerMailer as BrokerMailer

__all__ = ["AnyAsyncMailer", "AnyMailer", "AsyncMailer", "MailState", "Mailer"]


def __getattr__(name: str) -> Any:
    """Import `BrokerMailer` when it is asked for: it needs the extra `broker`, which the base does without."""
    if name == "BrokerMailer":
        from atum_producers.broker_mailer import BrokerMailer

        return BrokerMailer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
