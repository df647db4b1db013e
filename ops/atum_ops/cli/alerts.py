"""`alerts`: the conditions under which operators are told, for Prometheus and without it."""

from __future__ import annotations

import click

from atum_ops.cli import alerts_telling
from atum_ops.cli.alerts_render import render


@click.group()
def alerts() -> None:
    """Alerts: render them for Prometheus, or watch and tell without it."""


for command in (
    render,
    alerts_telling.watch,
    alerts_telling.test,
    alerts_telling.status,
    alerts_telling.history,
):
    alerts.add_command(command)
