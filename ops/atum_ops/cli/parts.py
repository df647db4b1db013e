"""`relay`, `intake` and `worker`: the parts that run for ever."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, Final, Protocol

import click

from atum_ops import leash
from atum_schema import settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from atum_schema.settings import Settings

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

    loaded = settings.load(**given(metrics_port=metrics_port))
    log_to_stderr(loaded, service="relay")
    need_schema(loaded)
    run_until_signalled(Relay(loaded))


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

    loaded = settings.load(**given(metrics_port=metrics_port))
    log_to_stderr(loaded, service="intake")
    need_schema(loaded)
    run_until_signalled(Intake(loaded))


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

    loaded = settings.load(**given(threads=threads, metrics_port=metrics_port))
    log_to_stderr(loaded, service="worker")
    leash.hold()
    need_schema(loaded)
    run(loaded)


def need_schema(loaded: Settings) -> None:
    """Raise `MigrationError` where the database lacks what this version works on.

    A database that does not answer is no reason not to start: a part waits for it, and says so. Nor is one whose role may
    not read what was migrated.
    """
    from contextlib import suppress

    import psycopg

    from atum_schema import database, migrate

    with (
        suppress(psycopg.OperationalError, psycopg.errors.InsufficientPrivilege),
        database.connect(loaded.database_url.get_secret_value(), name="start") as connection,
    ):
        migrate.check_enough(connection)


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


def log_to_stderr(loaded: Settings, *, service: str) -> None:
    """Log as a part that runs for ever does: to stderr, in the way that the settings say."""
    from atum_schema import logs
    from atum_schema.log_secrets import secrets_of

    logs.configure(
        service=service, level=loaded.log_level, style=loaded.log_format, secrets=secrets_of(loaded)
    )
