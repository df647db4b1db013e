"""`relay`, `intake` and `worker`: the parts that run for ever."""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING, Any, Final, Protocol

import click

from atum_ops import leash
from atum_schema import settings

if TYPE_CHECKING:
    from collections.abc import Callable

_HELP: Final = "Port that metrics are served on; 0 is any that is free (default: ATUM_METRICS_PORT, none)."


def metrics_port(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option that says where its metrics are served."""
    return click.option("--metrics-port", type=click.IntRange(0, 65_535), help=_HELP)(command)


def given(**values: Any) -> dict[str, Any]:
    """Give the settings that options have set."""
    return {name: value for name, value in values.items() if value is not None}


@click.command()
@metrics_port
def relay(metrics_port: int | None) -> None:
    """Move due mail into batches and publish their tickets. Run as many as you like.

    \b
    Example:
      ATUM_DATABASE_URL=… ATUM_AMQP_URL=… ATUM_CONTENT_KEYS_FILE=/run/keys atum-mailer relay
    """
    from atum_producers.relay import Relay

    log_to_stderr()
    run_until_signalled(Relay(settings.load(**given(metrics_port=metrics_port))))


@click.command()
@metrics_port
def intake(metrics_port: int | None) -> None:
    """Store the jobs that producers put into the queue mail.intake. Run as many as you like.

    SIGTERM finishes the transaction in hand; what is not stored stays in the queue.

    \b
    Example:
      ATUM_DATABASE_URL=… ATUM_AMQP_URL=… ATUM_CONTENT_KEYS_FILE=/run/keys atum-mailer intake
    """
    from atum_producers.intake import Intake

    log_to_stderr()
    run_until_signalled(Intake(settings.load(**given(metrics_port=metrics_port))))


@click.command()
@click.option("--threads", type=click.IntRange(1, 256), help="Threads per lane (default: ATUM_THREADS, 8).")
@metrics_port
def worker(threads: int | None, metrics_port: int | None) -> None:
    """Deliver batches through Postmark. Run as many as you like.

    SIGTERM finishes what is in flight (at most ATUM_STOP_TIMEOUT_S seconds); a second one ends at once.

    \b
    Example:
      ATUM_POSTMARK_TOKEN_FILE=/run/token atum-mailer worker --threads 8
    """
    from atum_workers.main import run

    log_to_stderr()
    leash.hold()
    run(settings.load(**given(threads=threads, metrics_port=metrics_port)))


class _Part(Protocol):
    def run(self) -> None: ...

    def stop(self) -> None: ...


def run_until_signalled(part: _Part) -> None:
    """Run a part until it ends, or SIGTERM or SIGINT asks it to stop."""

    def stop(signum: int, frame: Any) -> None:
        del signum, frame
        part.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    leash.hold()
    part.run()


def log_to_stderr() -> None:
    """Log as a part that runs for ever does: to stderr, without the noise of libraries."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    # One line per request is noise, and names the provider's URL.
    logging.getLogger("httpx").setLevel(logging.WARNING)
