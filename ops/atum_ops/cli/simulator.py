"""`simulator`: a Postmark that keeps a ledger of what it really accepted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from atum_ops.simulator.presets import PRESETS


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8025, show_default=True, help="0 takes a free one."
)
@click.option(
    "--latency-ms", type=click.FloatRange(min=0), default=0.0, show_default=True, help="Per request."
)
@click.option(
    "--latency-per-item-ms", type=click.FloatRange(min=0), default=0.0, show_default=True, help="Per message."
)
@click.option("--index-lag", type=click.FloatRange(min=0), default=0.0, show_default=True, help="Seconds.")
@click.option("--faults", type=click.Choice(sorted(PRESETS)), default="none", show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same faults.")
@click.option(
    "--ledger", type=click.Path(dir_okay=False, path_type=Path), help="Append accepted messages here."
)
def simulator(
    host: str,
    port: int,
    latency_ms: float,
    latency_per_item_ms: float,
    index_lag: float,
    faults: str,
    seed: int,
    ledger: Path | None,
) -> None:
    """Run a simulated Postmark. See docs/simulator.md.

    Tokens come from ATUM_SIMULATOR_TOKEN (what clients must send) and ATUM_SIMULATOR_CONTROL_TOKEN.

    \b
    Examples:
      atum-mailer simulator
      atum-mailer simulator --latency-ms 100 --faults default --seed 7 --ledger ledger.jsonl
    """
    from atum_ops import leash
    from atum_ops.simulator.config import SimulatorConfig
    from atum_ops.simulator.serve import run

    tokens: dict[str, Any] = {
        name: value
        for name, variable in (
            ("token", "ATUM_SIMULATOR_TOKEN"),
            ("control_token", "ATUM_SIMULATOR_CONTROL_TOKEN"),
        )
        if (value := os.environ.get(variable))
    }
    leash.hold()
    config = SimulatorConfig(
        host=host,
        port=port,
        latency_ms=latency_ms,
        latency_per_item_ms=latency_per_item_ms,
        index_lag_s=index_lag,
        faults=faults,
        seed=seed,
        ledger_path=ledger,
        **tokens,
    )
    run(config, lambda url: click.echo(f"simulated Postmark on {url}", err=True))
