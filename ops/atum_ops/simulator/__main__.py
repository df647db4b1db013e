"""`python -m atum_ops.simulator`: run a simulator until it is told to stop.

Tokens come from the environment (`ATUM_SIMULATOR_TOKEN`, `ATUM_SIMULATOR_CONTROL_TOKEN`) or from a `--config` file,
never from arguments, which other users of the machine can read.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import orjson

from atum_ops.simulator.config import DEFAULT_STREAMS, SimulatorConfig
from atum_ops.simulator.faults import FaultPlan
from atum_ops.simulator.presets import PRESETS
from atum_ops.simulator.serve import run
from atum_schema.errors import SettingsError

TOKEN_VARIABLE = "ATUM_SIMULATOR_TOKEN"  # noqa: S105 - the name of a variable
CONTROL_TOKEN_VARIABLE = "ATUM_SIMULATOR_CONTROL_TOKEN"  # noqa: S105 - the name of a variable


def main(arguments: list[str] | None = None) -> int:
    """Run with the arguments of a command line; give the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        config = _config(options)
    except (OSError, ValueError, SettingsError) as error:
        parser.error(str(error))
    run(config, lambda url: _announce(url, options.ready_fd), stop_fd=options.stop_fd)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m atum_ops.simulator", description="A Postmark to test against."
    )
    add = parser.add_argument
    add(
        "--config",
        type=Path,
        metavar="FILE",
        help="read all settings from this JSON file; other options are ignored",
    )
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=8025, help="0 takes a free one (default %(default)s)")
    add("--latency-ms", type=float, default=0.0, metavar="MS")
    add("--latency-per-item-ms", type=float, default=0.0, metavar="MS")
    add(
        "--index-lag",
        type=float,
        default=0.0,
        metavar="S",
        help="seconds until an accepted message can be found",
    )
    add(
        "--faults",
        default="none",
        metavar="PRESET|FILE",
        help=f"{', '.join(PRESETS)}, or a JSON file with a plan",
    )
    add("--seed", type=int, default=0, help="of the fault preset")
    add(
        "--ledger",
        type=Path,
        metavar="FILE",
        help="keep the ledger in this file; it is loaded again at start",
    )
    add(
        "--stream",
        action="append",
        default=[],
        metavar="ID[:TYPE]",
        help="add a stream (default Transactional)",
    )
    add("--signatures", default="", metavar="LIST", help="confirmed addresses and domains, comma-separated")
    add(
        "--ready-fd",
        type=int,
        metavar="FD",
        help="write the URL to this descriptor once connections are taken",
    )
    add("--stop-fd", type=int, metavar="FD", help="stop when the other end of this descriptor is closed")
    return parser


def _config(options: argparse.Namespace) -> SimulatorConfig:
    if options.config is not None:
        return SimulatorConfig.from_document(orjson.loads(options.config.read_bytes()))
    added = dict(one.partition(":")[::2] for one in options.stream)
    values: dict[str, Any] = {
        "host": options.host,
        "port": options.port,
        "latency_ms": options.latency_ms,
        "latency_per_item_ms": options.latency_per_item_ms,
        "index_lag_s": options.index_lag,
        "faults": _faults(options.faults),
        "seed": options.seed,
        "ledger_path": options.ledger,
        "streams": DEFAULT_STREAMS | {name: kind or "Transactional" for name, kind in added.items()},
        "signatures": frozenset(one.strip().lower() for one in options.signatures.split(",") if one.strip()),
    }
    for name, variable in (("token", TOKEN_VARIABLE), ("control_token", CONTROL_TOKEN_VARIABLE)):
        if os.environ.get(variable):
            values[name] = os.environ[variable]
    return SimulatorConfig(**values)


def _faults(given: str) -> str | FaultPlan:
    if given in PRESETS:
        return given
    return FaultPlan.from_document(orjson.loads(Path(given).read_bytes()))


def _announce(url: str, ready_fd: int | None) -> None:
    if ready_fd is None:
        print(f"simulator listens on {url}", flush=True)
        return
    os.write(ready_fd, f"{url}\n".encode())
    os.close(ready_fd)


if __name__ == "__main__":
    sys.exit(main())
