"""`alerts`: the conditions under which operators are told, for Prometheus and without it."""

from __future__ import annotations

import click


@click.group()
def alerts() -> None:
    """Alerts: render them for Prometheus, or watch and tell without it."""
