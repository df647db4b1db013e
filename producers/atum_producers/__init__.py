"""Ways in for applications, and the relay that publishes tickets."""

from atum_producers.mailer import Mailer, MailState

__all__ = ["MailState", "Mailer"]
