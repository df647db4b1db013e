"""`alerts`: the conditions under which operators are told, for Prometheus and without it."""

from __future__ import annotations

import click

from atum_ops.cli import alerts_telling


@click.group()
def alerts() -> None:
    """Alerts: render them for Prometheus, or watch and tell without it."""


alerts.add_command(alerts_telling.watch)
alerts.add_command(alerts_telling.test)
alerts.add_command(alerts_telling.status)
alerts.add_command(alerts_telling.history)
