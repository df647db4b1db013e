"""`alerts`: the conditions under which operators are told, for Prometheus and without it."""

from __future__ import annotations

import click

from atum_ops.cli.alerts_render import render


@click.group()
def alerts() -> None:
    """Alerts: render them for Prometheus, or watch and tell without it."""


alerts.add_command(render)
