"""The ledger check: every accepted mail is in exactly one place, with an explanation, and the provider agrees.

Pure over what it is given: the audit's rows and, where there is one, the provider's own ledger.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from atum_schema.status import PROVEN, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from atum_ops.reading import Audited

_PROVEN: Final = frozenset(status.value for status in PROVEN)
_WAITING: Final = frozenset({"queued", "scheduled", "retrying"})
_KEPT: Final = _WAITING | {"unknown", "held", "dead"}
_MAX_FINDINGS: Final = 50


@dataclass(slots=True, kw_only=True)
class Report:
    """What the check found. `findings` names at most 50 mails."""

    mails: int = 0
    by_status: Counter[str] = field(default_factory=Counter)
    #: Mails that no part of the system owns, or whose acceptance the provider does not know.
    lost: int = 0
    #: Mails that the provider accepted more than once, and the copies beyond the first.
    duplicates: int = 0
    extra_copies: int = 0
    #: Mails whose records disagree with each other or with the provider.
    unexplained: int = 0
    #: Messages of the provider that the log has never heard of.
    foreign: int = 0
    findings: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing is lost, doubled or unexplained."""
        return not (self.lost or self.duplicates or self.unexplained or self.foreign)

    @property
    def sent(self) -> int:
        """Mails that the provider is proven to have accepted, whatever came later."""
        return sum(count for status, count in self.by_status.items() if status in _PROVEN)

    def note(self, finding: str) -> None:
        """Remember a finding, up to the limit."""
        if len(self.findings) < _MAX_FINDINGS:
            self.findings.append(finding)


def check(rows: Iterable[Audited], accepted: Mapping[str, int] | None) -> Report:
    """Check the log against itself and, if given, against the provider's ledger (mail id to number of copies).

    What the SMTP relay took is in no ledger; the attempts of the log count as copies, beside the provider's.
    """
    report = Report()
    known: set[str] = set()
    for row in rows:
        report.mails += 1
        report.by_status[row.status] += 1
        _check_places(row, report)
        if accepted is not None:
            known.add(str(row.id))
            _check_provider(row, accepted.get(str(row.id), 0) + row.by_smtp, report)
    if accepted is not None:
        report.foreign = len(accepted.keys() - known)
        if report.foreign:
            report.note(f"{report.foreign} messages of the provider carry ids that the log does not know")
    return report


def _check_places(row: Audited, report: Report) -> None:
    owners = row.in_ready + row.batches
    if row.status in _WAITING | {"unknown"} and owners != 1:
        report.lost += owners == 0
        report.unexplained += owners > 1
        report.note(f"{row.id} is {row.status} and has {owners} owners")
    for wrong in _disagreements(row, owners):
        report.unexplained += 1
        report.note(f"{row.id} is {row.status} and {wrong}")


def _disagreements(row: Audited, owners: int) -> list[str]:
    wrong = []
    if row.last_event != row.status:
        wrong.append(f"its last event says {row.last_event}")
    # A mail may be proven while another POST of it is under way or unresolved: that one is recorded or settled yet.
    excused = row.status in _PROVEN and row.batch_state in {"posting", "unknown"} and not row.in_ready
    if row.status not in _WAITING | {"unknown"} and owners and not excused:
        wrong.append("something still owns it")
    if row.status == "unknown" and row.batch_state not in {None, "unknown"}:
        wrong.append(f"its batch is {row.batch_state}")
    if row.status in _WAITING and row.batch_state == "unknown":
        wrong.append("its batch is unknown")
    if row.status in _KEPT and not row.has_content:
        wrong.append("its content is gone")
    if (row.status == Status.DEAD) != row.has_dead_letter:
        wrong.append("has a dead letter" if row.has_dead_letter else "has no dead letter")
    if row.status in _PROVEN and not row.provider_message_id:
        wrong.append("carries no MessageID")
    return wrong


def _check_provider(row: Audited, copies: int, report: Report) -> None:
    if copies > 1:
        report.duplicates += 1
        report.extra_copies += copies - 1
        report.note(f"{row.id} was accepted {copies} times")
    if row.status in _PROVEN and not copies:
        report.lost += 1
        report.note(f"{row.id} is {row.status} and the provider does not know it")
    # An unknown or held mail may be at the provider or not, and one that is posting may be there already.
    if copies and row.status not in _PROVEN | {"unknown", "held"} and row.batch_state != "posting":
        report.unexplained += 1
        report.note(f"{row.id} is {row.status} and the provider has accepted it")
