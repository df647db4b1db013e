"""`relay`, `intake` and `worker`: the parts that run for ever."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, Protocol

import click

from atum_ops import leash
from atum_schema import settings

if TYPE_CHECKING:
    from atum_schema.settings import Settings


@click.command()
def relay() -> None:
    """Move due mail into batches and publish their tickets. Run as many as you like.

    \b
    Example:
      ATUM_DATABASE_URL=… ATUM_AMQP_URL=… ATUM_CONTENT_KEYS_FILE=/run/keys atum-mailer relay
    """
    from atum_producers.relay import Relay

    loaded = settings.load()
    log_to_stderr(loaded, service="relay")
    _run_until_signalled(Relay(loaded))


@click.command()
def intake() -> None:
    """Store the jobs that producers put into the queue mail.intake. Run as many as you like.

    SIGTERM finishes the transaction in hand; what is not stored stays in the queue.

    \b
    Example:
      ATUM_DATABASE_URL=… ATUM_AMQP_URL=… ATUM_CONTENT_KEYS_FILE=/run/keys atum-mailer intake
    """
    from atum_producers.intake import Intake

    loaded = settings.load()
    log_to_stderr(loaded, service="intake")
    _run_until_signalled(Intake(loaded))


@click.command()
@click.option("--threads", type=click.IntRange(1, 256), help="Threads per lane (default: ATUM_THREADS, 8).")
def worker(threads: int | None) -> None:
    """Deliver batches through Postmark. Run as many as you like.

    SIGTERM finishes what is in flight (at most ATUM_STOP_TIMEOUT_S seconds); a second one ends at once.

    \b
    Example:
      ATUM_POSTMARK_TOKEN_FILE=/run/token atum-mailer worker --threads 8
    """
    from atum_workers.main import run

    loaded = settings.load(**({} if threads is None else {"threads": threads}))
    log_to_stderr(loaded, service="worker")
    leash.hold()
    run(loaded)


class _Part(Protocol):
    def run(self) -> None: ...

    def stop(self) -> None: ...


def _run_until_signalled(part: _Part) -> None:
    def stop(signum: int, frame: Any) -> None:
        del signum, frame
        part.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    leash.hold()
    part.run()


def log_to_stderr(loaded: Settings, *, service: str) -> None:
    """Log as a part that runs for ever does: to stderr, in the way that the settings say."""
    from atum_schema import logs
    from atum_schema.log_secrets import secrets_of

    logs.configure(
        service=service, level=loaded.log_level, style=loaded.log_format, secrets=secrets_of(loaded)
    )
