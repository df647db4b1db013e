"""`api`: the HTTP ways in."""

from __future__ import annotations

import click

from atum_ops import leash
from atum_ops.cli.parts import log_to_stderr
from atum_schema import settings


@click.command()
@click.option("--host", help="Address to listen on (default: ATUM_API_HOST, 127.0.0.1).")
@click.option(
    "--port", type=click.IntRange(1, 65_535), help="Port to listen on (default: ATUM_API_PORT, 8025)."
)
def api(host: str | None, port: int | None) -> None:
    """Take mail by HTTP: the own API and the Postmark-compatible one. Run as many as you like.

    It speaks plain HTTP; put a proxy that does TLS in front of it where it leaves the machine. SIGTERM answers what was
    taken, then ends.

    \b
    Examples:
      atum-mailer client create shop --scope send --scope read
      ATUM_DATABASE_URL=… ATUM_CONTENT_KEYS_FILE=/run/keys atum-mailer api --port 8025
    """
    from atum_producers.api.server import serve

    log_to_stderr()
    leash.hold()
    given = {"api_host": host, "api_port": port}
    serve(settings.load(**{name: value for name, value in given.items() if value is not None}))
