"""Ways in for applications, and the relay that publishes tickets."""

from atum_producers.async_mailer import AsyncMailer
from atum_producers.mailer import Mailer
from atum_producers.store import MailState

__all__ = ["AsyncMailer", "MailState", "Mailer"]
