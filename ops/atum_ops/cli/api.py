"""`api`: the HTTP ways in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from atum_ops import leash
from atum_ops.cli.parts import given, log_to_stderr, metrics_port, need_schema
from atum_schema import settings

if TYPE_CHECKING:
    from atum_schema.settings import Settings


@click.command()
@click.option(
    "--only",
    type=click.Choice(["api", "webhooks"]),
    default="api",
    show_default=True,
    help="What to serve: the ways in, or what the provider tells of mails.",
)
@click.option(
    "--host", help="Address to listen on (default: ATUM_API_HOST or ATUM_WEBHOOK_HOST, both 127.0.0.1)."
)
@click.option(
    "--port",
    type=click.IntRange(1, 65_535),
    help="Port to listen on (default: ATUM_API_PORT, 8025, or ATUM_WEBHOOK_PORT, 8026).",
)
@metrics_port
def api(only: str, host: str | None, port: int | None, metrics_port: int | None) -> None:
    """Take mail by HTTP: the own API and the Postmark-compatible one. Run as many as you like.

    With --only webhooks it takes what the provider tells of mails instead, at ATUM_WEBHOOK_PATH, and nothing else.

    It speaks plain HTTP; put a proxy that does TLS in front of it where it leaves the machine. SIGTERM answers what was
    taken, then ends.

    \b
    Examples:
      atum-mailer client create shop --scope send --scope read
      ATUM_DATABASE_URL=… ATUM_CONTENT_KEYS_FILE=/run/keys atum-mailer api --port 8025
      ATUM_DATABASE_URL=… ATUM_WEBHOOK_BASIC_FILE=/run/webhook … atum-mailer api --only webhooks
    """
    leash.hold()
    prefix, serve = ("webhook", _serve_webhooks) if only == "webhooks" else ("api", _serve_api)
    options = {f"{prefix}_host": host, f"{prefix}_port": port, "metrics_port": metrics_port}
    loaded = settings.load(**given(**options))
    log_to_stderr(loaded, service="webhooks" if only == "webhooks" else "api")
    need_schema(loaded)
    serve(loaded)


def _serve_api(loaded: Settings) -> None:
    from atum_producers.api import app, server
    from atum_schema.metrics import Meter

    meter = Meter("api")
    server.serve(
        app.application(loaded, meter=meter),
        loaded,
        meter=meter,
        name="api",
        host=loaded.api_host,
        port=loaded.api_port,
        setting="ATUM_API_PORT",
    )


def _serve_webhooks(loaded: Settings) -> None:
    from atum_producers.api import server
    from atum_producers.webhooks import app
    from atum_schema.metrics import Meter

    meter = Meter(app.NAME)
    server.serve(
        app.application(loaded, meter=meter),
        loaded,
        meter=meter,
        name=app.NAME,
        host=loaded.webhook_host,
        port=loaded.webhook_port,
        setting="ATUM_WEBHOOK_PORT",
    )
