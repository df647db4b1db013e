"""`exporter`: metrics of the whole system."""

from __future__ import annotations

import click

from atum_ops.cli.parts import given, log_to_stderr, run_until_signalled
from atum_schema import settings


@click.command()
@click.option("--host", help="Address to listen on (default: ATUM_EXPORTER_HOST, 127.0.0.1).")
@click.option(
    "--port",
    type=click.IntRange(1, 65_535),
    help="Port to listen on (default: ATUM_EXPORTER_PORT, 8027).",
)
def exporter(host: str | None, port: int | None) -> None:
    """Serve Prometheus what is true of the whole system, read from the database every ten seconds.

    It needs a database URL and nothing else, best one of a role that can only read (deploy/postgres/exporter.sql) in
    ATUM_EXPORTER_DATABASE_URL. While the database cannot be read it serves atum_mailer_exporter_up 0, and nothing that
    was true once. One is enough; a second one does no harm. SIGTERM ends it.

    \b
    Examples:
      ATUM_EXPORTER_DATABASE_URL_FILE=/run/exporter-database atum-mailer exporter
      ATUM_DATABASE_URL=… atum-mailer exporter --host 10.0.0.5 --port 9127
    """
    from atum_ops.exporter.exporter import Exporter

    loaded = settings.load_for_exporter(**given(exporter_host=host, exporter_port=port))
    log_to_stderr(loaded, service="exporter")
    run_until_signalled(Exporter(loaded))
