"""What a run came to: what was acknowledged, beside the log, beside the provider's ledger. Pure.

A copy too many is a duplicate unless the evidence shows that it lies inside the honest bound.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from atum_ops import audit
from atum_ops.chaos import bound
from atum_ops.chaos.orders import ORDER_KEY
from atum_schema.status import PROVEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from atum_ops.chaos.bound import Limits
    from atum_ops.reading import Audited
    from atum_ops.simulator.records import LedgerRecord

_PROVEN: Final = frozenset(status.value for status in PROVEN)


@dataclass(slots=True, kw_only=True)
class Verdict:
    """The counts of a run; `findings` has a line for each thing that is wrong, `evidence` for each copy in the bound."""

    acknowledged: int
    by_status: Counter[str]
    lost: int = 0
    duplicates: int = 0
    undetectable_duplicates: int = 0
    unexplained: int = 0
    findings: list[str] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)
    #: Mails whose timelines are worth reading, offenders first.
    offenders: list[UUID] = field(default_factory=list)

    @property
    def sent(self) -> int:
        """Mails that are proven to be accepted."""
        return sum(count for status, count in self.by_status.items() if status in _PROVEN)

    @property
    def sound(self) -> bool:
        """Whether nothing is lost, doubled outside the bound, or unexplained."""
        return not (self.lost or self.duplicates or self.unexplained)

    def blame(self, finding: str, *mails: UUID) -> None:
        """Note what is wrong, and with which mails."""
        self.findings.append(finding)
        self.offenders.extend(mails)


def judge(
    *,
    acknowledged: Mapping[UUID, str],
    rows: Iterable[Audited],
    ledger: Sequence[LedgerRecord],
    story: Callable[[UUID], Sequence[Mapping[str, Any]]],
    limits: Limits,
) -> Verdict:
    """Compare the mails that `enqueue` returned (with their order numbers) with the log and with the provider."""
    log = {row.id: row for row in rows}
    copies = Counter(record.mail_id for record in ledger if record.mail_id)
    # Copies are judged here, one by one; the audit is asked about everything else.
    report = audit.check(log.values(), dict.fromkeys(copies, 1))
    verdict = Verdict(
        acknowledged=len(acknowledged),
        by_status=report.by_status,
        lost=report.lost,
        unexplained=report.unexplained + report.foreign,
        findings=list(report.findings),
        offenders=_named(report.findings),
    )
    for mail_id in acknowledged.keys() - log.keys():
        verdict.lost += 1
        verdict.blame(f"{mail_id} was acknowledged and is not in the log", mail_id)
    _check_ids(verdict, log, ledger)
    _check_copies(verdict, ledger, story, limits)
    return verdict


def _named(findings: Iterable[str]) -> list[UUID]:
    named = []
    for finding in findings:
        try:
            named.append(UUID(finding.partition(" ")[0]))
        except ValueError:
            continue
    return named


def _check_ids(verdict: Verdict, log: Mapping[UUID, Audited], ledger: Iterable[LedgerRecord]) -> None:
    """Check that the MessageID of every sent mail is one that the provider gave to this very mail."""
    given: dict[str, set[str]] = defaultdict(set)
    for record in ledger:
        given[record.mail_id or ""].add(record.message_id)
    for row in log.values():
        known = given.get(str(row.id), set())
        if row.status in _PROVEN and known and row.provider_message_id not in known:
            verdict.unexplained += 1
            verdict.blame(f"{row.id} carries a MessageID that the provider gave to no copy of it", row.id)


def _check_copies(
    verdict: Verdict,
    ledger: Iterable[LedgerRecord],
    story: Callable[[UUID], Sequence[Mapping[str, Any]]],
    limits: Limits,
) -> None:
    orders: dict[str, list[LedgerRecord]] = defaultdict(list)
    for record in ledger:
        orders[record.metadata.get(ORDER_KEY) or record.mail_id or ""].append(record)
    for order, records in orders.items():
        if len(records) == 1:
            continue
        mails = sorted({UUID(record.mail_id) for record in records if record.mail_id})
        if len(mails) > 1:
            verdict.duplicates += 1
            verdict.blame(f"order {order} was sent as {len(mails)} mails", *mails)
            continue
        cases = bound.cases(records, story(mails[0]), limits)
        if None in cases:
            verdict.duplicates += 1
            verdict.blame(f"{mails[0]} was accepted {len(records)} times: {_copies(records)}", *mails)
        else:
            verdict.undetectable_duplicates += 1
            verdict.evidence += [f"{mails[0]}: {case}; {_copies(records)}" for case in cases]


def _copies(records: Iterable[LedgerRecord]) -> str:
    return ", ".join(
        f"request {one.request} of batch {one.batch_id} at {one.accepted_at:.3f}"
        for one in sorted(records, key=lambda one: one.accepted_at)
    )
