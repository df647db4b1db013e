"""The matrix as a table in `docs/reliability.md`, between two markers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atum_schema.steps import Step
from tests.matrix.cells import CELLS, Cell, Effect
from tests.system import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.matrix.runner import Result

PAGE = ROOT / "docs" / "reliability.md"
BEGIN = "<!-- crash matrix: begin -->"
END = "<!-- crash matrix: end -->"
HEAD = """
Three mails (one, where it says *SMTP relay*: to that they go one by one), and one part that is killed (SIGKILL) or frozen (SIGSTOP) the first time it reaches the point. Others carry on; what was
frozen is continued when all is over, and must change nothing. Points are those of `atum_schema/steps.py`. *Committed* is the state of
the mails' batch at that moment (without a batch, the status of the mails), *accepted* what the provider had of each mail by then;
*recovery* names the causes in the mails' events. The table is written by `ATUM_WRITE_MATRIX=1 make matrix`, and a test compares
it with a run, all but the seconds: they are of one run with scaled settings (claim lease 1 s, posting lease 2.5 s, one search after
0.3 s) from the crash to the end of the last mail, the start of the other part included. With the defaults, leases are 15 s and 90 s.

| part | point | effect | committed | accepted | recovery | end | copies | seconds |
|---|---|---|---|---|---|---|---|---|
"""
TAIL = """
An application that dies in `enqueue` is left with all of its mails or none of them; what its caller may believe is tested in
`tests/integration/test_mailer_uncertain.py`.
"""


def section(results: Mapping[Cell, Result]) -> str:
    """Write the section, markers excluded."""
    return HEAD + "".join(f"{row(cell, results[cell])}\n" for cell in CELLS) + TAIL


def row(cell: Cell, result: Result) -> str:
    """Write one row."""
    about = [cell.when] if cell.when else ["SMTP relay"] if cell.smtp else []
    point = ", ".join([f"`{cell.step}`", *about])
    cells = (
        cell.part,
        point,
        "killed" if cell.effect is Effect.KILLED else "frozen",
        result.committed,
        _number(result.accepted, sure=not (cell.smtp and cell.step is Step.BODY_SENT)),
        ", ".join(f"`{cause}`" for cause in result.story) or "–",
        result.status,
        _number(result.copies, sure=cell.copies is not None),
        f"{result.seconds:.1f}",
    )
    return f"| {' | '.join(cells)} |"


def _number(copies: int, *, sure: bool) -> str:
    # A server that has the end of a message takes it when it comes to it.
    return str(copies) if sure else "0 or 1"


def without_seconds(text: str) -> list[str]:
    """Give the lines without the last column of the rows."""
    return [line.rpartition(" | ")[0] if line.startswith("| ") else line for line in text.splitlines()]


def read() -> str:
    """Give the section of the page."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0]


def write(text: str) -> None:
    """Replace the section of the page."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}{text}{END}{after}")
