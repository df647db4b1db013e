"""The command line: one module per group of commands, imported only when it is used."""

from __future__ import annotations

import importlib
import sys
from typing import Any, Final

import click

from atum_schema.errors import AtumError, Unreachable

UNREACHABLE: Final = 3
"""Exit status where a server that is needed does not answer."""

_COMMANDS: Final = {
    "alerts": "atum_ops.cli.alerts",
    "api": "atum_ops.cli.api",
    "api-bench": "atum_ops.cli.api_bench",
    "audit": "atum_ops.cli.audit",
    "bench": "atum_ops.cli.bench",
    "catch-up": "atum_ops.cli.catch_up",
    "chaos": "atum_ops.cli.chaos",
    "client": "atum_ops.cli.client",
    "dashboards": "atum_ops.cli.dashboards",
    "dead": "atum_ops.cli.dead",
    "completion": "atum_ops.cli.completion",
    "demo": "atum_ops.cli.demo",
    "enqueue": "atum_ops.cli.enqueue",
    "exporter": "atum_ops.cli.exporter",
    "health": "atum_ops.cli.health",
    "fallback": "atum_ops.cli.fallback",
    "intake": "atum_ops.cli.parts",
    "keys": "atum_ops.cli.keys",
    "logs": "atum_ops.cli.logs",
    "mail": "atum_ops.cli.mail",
    "migrate": "atum_ops.cli.migrate",
    "outage": "atum_ops.cli.outage",
    "queue": "atum_ops.cli.queue",
    "relay": "atum_ops.cli.parts",
    "replay-bench": "atum_ops.cli.replay_bench",
    "report": "atum_ops.cli.report",
    "restored": "atum_ops.cli.restored",
    "retention": "atum_ops.cli.retention",
    "settings": "atum_ops.cli.settings",
    "simulator": "atum_ops.cli.simulator",
    "suppressions": "atum_ops.cli.suppressions",
    "test-send": "atum_ops.cli.test_send",
    "verify": "atum_ops.cli.verify",
    "webhook": "atum_ops.cli.webhook",
    "webhook-bench": "atum_ops.cli.webhook_bench",
    "worker": "atum_ops.cli.parts",
}


class _Lazy(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(
            importlib.import_module(_COMMANDS[cmd_name]), cmd_name.replace("-", "_")
        )
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"no command {args[0]!r}; there are: {', '.join(sorted(_COMMANDS))}")
        return super().resolve_command(ctx, args)


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="atum-mailer", message="%(prog)s %(version)s")
def cli() -> None:
    """Mail that is never lost, never blindly sent twice, and always explained.

    Settings come from the environment (ATUM_DATABASE_URL, ATUM_AMQP_URL, ATUM_CONTENT_KEYS,
    ATUM_POSTMARK_TOKEN …; each also as …_FILE). See docs/settings.md.

    \b
    Exit status: 0 good, 1 something needs attention, 2 wrong usage, 3 a server does not answer.
    """


def main(args: list[str] | None = None) -> Any:
    """Run the command line; errors made on purpose are one line on stderr and exit status 1, or 3 for `Unreachable`."""
    try:
        cli(args=args, prog_name="atum-mailer")
    except AtumError as error:
        click.echo(f"atum-mailer: {error}", err=True)
        sys.exit(UNREACHABLE if isinstance(error, Unreachable) else 1)
