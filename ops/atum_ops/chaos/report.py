"""What people read at the end of a run."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import click

from atum_ops import show
from atum_ops.percentiles import percentile, rounded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_ops.chaos.run import Outcome

_LINES: Final = 50


def as_document(outcome: Outcome) -> dict[str, Any]:
    """Give the result for machines."""
    verdict = outcome.verdict
    return {
        "seed": outcome.seed,
        "acknowledged": verdict.acknowledged,
        "sent": verdict.sent,
        "dead": verdict.by_status["dead"],
        "held": verdict.by_status["held"],
        "lost": verdict.lost,
        "duplicates": verdict.duplicates,
        "undetectable_duplicates": verdict.undetectable_duplicates,
        "unexplained": verdict.unexplained,
        "kills": outcome.kills,
        "recovery_p50_s": rounded(percentile(outcome.recoveries, 0.50), 3),
        "recovery_p99_s": rounded(percentile(outcome.recoveries, 0.99), 3),
    }


def print_tables(outcome: Outcome) -> None:
    """Print what was done, what fired, the settings and what became of the mails."""
    done = Counter((one.kind.value, one.target) for one in outcome.done)
    show.table(
        "Disturbances", ["what", "whom", "times"], [(*what, times) for what, times in sorted(done.items())]
    )
    fired = sorted((item for item in outcome.faults.items() if item[1]), key=lambda item: (-item[1], item[0]))
    show.table("Faults of the provider", ["fault", "times"], fired)
    settings = [(name.removeprefix("ATUM_").lower(), value) for name, value in outcome.settings.items()]
    show.table("Settings", ["setting", "value"], settings)
    statuses = [(status, count) for status, count in sorted(outcome.verdict.by_status.items())]
    notes = [
        ("acknowledged", outcome.verdict.acknowledged),
        ("refused, nothing stored", outcome.notes.failed),
        ("uncertain, repeated", outcome.notes.uncertain),
    ]
    show.table("Mails", ["", "mails"], [*statuses, *notes])
    for server in outcome.servers:
        click.echo(server)
    click.echo(f"drained {outcome.drained_s:.1f} s after the last fault")


def print_findings(outcome: Outcome) -> None:
    """Print what is wrong, what lies inside the bound, and the timelines of the offenders."""
    _print_some(outcome.verdict.findings)
    _print_some([f"inside the bound: {line}" for line in outcome.verdict.evidence])
    for view in outcome.stories:
        click.echo(f"mail {view.mail['id']} is {view.mail['status']}")
        show.timeline(view.events)


def _print_some(lines: Sequence[str]) -> None:
    for line in lines[:_LINES]:
        click.echo(f"  {line}")
    if len(lines) > _LINES:
        click.echo(f"  … and {len(lines) - _LINES:,} more")
