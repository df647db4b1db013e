"""`python -m atum_ops.simulator`: the command `atum-mailer simulator`, without the others."""

from __future__ import annotations

from atum_ops.cli.simulator import simulator

if __name__ == "__main__":
    simulator(prog_name="python -m atum_ops.simulator")
