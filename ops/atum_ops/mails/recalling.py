"""Stopping everything that has not gone yet: counting first, then canceling in chunks that can be taken up again."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from uuid import UUID

from atum_ops import operations
from atum_ops.mails import orders_store, recall_store
from atum_ops.mails.deciding import Done, Order, Refused
from atum_ops.mails.ordering import in_transaction
from atum_ops.selection import Selection
from atum_schema.errors import AtumError
from atum_schema.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from atum_ops.operations import Operation
    from atum_schema.database import Connection

KIND: Final = "mail.recall"
_BEGINNING: Final = UUID(int=0)
_END: Final = UUID(int=(1 << 128) - 1)
# How long it waits for the answers to what is being posted while it comes by.
_PATIENCE_S: Final = 10.0
_POLL_S: Final = 0.2

STOPPABLE: Final = frozenset(
    status.value for status in (Status.QUEUED, Status.SCHEDULED, Status.SENDING, Status.RETRYING, Status.HELD)
)


@dataclass(slots=True, kw_only=True)
class Forecast:
    """What a recall would come to now."""

    #: By status as people see it: what would be stopped.
    stopped: Counter[str] = field(default_factory=Counter)
    posting: int = 0
    unknown: int = 0
    #: By status: what has gone, or has another end.
    gone: Counter[str] = field(default_factory=Counter)


def check(selection: Selection) -> None:
    """Refuse a recall of everything that there is. Raises `AtumError`."""
    narrowing = (selection.tag, selection.client, selection.lane, selection.since, selection.until)
    if all(value is None for value in narrowing):
        raise AtumError("say what is recalled: at least one of --tag, --client, --lane, --since and --until")


def forecast(connection: Connection, selection: Selection, told: Callable[[int], None]) -> Forecast:
    """Count what a recall would come to, a page of the log at a time; `told` hears how many matched so far."""
    counted, after, number = Forecast(), _BEGINNING, 0
    while True:
        page, following = recall_store.count(connection, selection, after=after)
        for each in page:
            number += each.number
            if each.posting:
                counted.posting += each.number
            elif each.status == Status.UNKNOWN:
                counted.unknown += each.number
            else:
                (counted.stopped if each.status in STOPPABLE else counted.gone)[each.status] += each.number
        told(number)
        if following is None:
            return counted
        after = following


def begin(connection: Connection, selection: Selection, *, by: str, note: str | None) -> Operation:
    """Begin a recall, in the audit log."""
    return operations.begin(
        connection, KIND, actor=f"operator:{by}", reason=note, selection=selection.document()
    )


def carry_on(
    connection: Connection, operation: Operation, *, by: str, told: Callable[[Mapping[str, int]], None]
) -> dict[str, int]:
    """Stop what matches and has not gone, from where the operation stands to its end; give what became of the mails.

    When this returns, no later POST is made of a mail that it stopped. What is being posted is looked at again for a
    while, because its answer may be "not now".
    """
    selection = Selection.of(operation.selection)
    # Who was being posted when it came by is counted as that, and looked at once more, also after an interruption.
    counts = Counter(operation.counts)
    last = operation.last or {}
    late = [UUID(one) for one in last.get("late", ())]
    for ids, position in _chunks(connection, selection, UUID(last.get("after", str(_BEGINNING)))):
        late += _stop(connection, operation, ids, position, late, counts, by)
        told(counts)
    _again(connection, operation, late, counts, by, told)
    ended = {name: number for name, number in counts.items() if number}
    operations.end(connection, operation.id, actor=f"operator:{by}", counts=ended)
    return ended


def _chunks(connection: Connection, selection: Selection, after: UUID) -> Iterator[tuple[list[UUID], UUID]]:
    while found := recall_store.candidates(connection, selection, after=after):
        after = found[-1].id
        yield [each.id for each in found if each.matches], after


def _stop(
    connection: Connection,
    operation: Operation,
    ids: Sequence[UUID],
    position: UUID,
    late: Sequence[UUID],
    counts: Counter[str],
    by: str,
) -> list[UUID]:
    """Cancel mails and keep how far it is, in one transaction; give those that are being posted."""

    def work() -> tuple[Counter[str], list[UUID]] | None:
        answers = orders_store.carry_out(connection, Order.CANCEL, ids, by=by, sure=False) if ids else {}
        if answers is None:
            return None
        number = Counter(map(_outcome, answers.values()))
        posting = [mail for mail, answer in answers.items() if _outcome(answer) == "posting"]
        operations.advance(
            connection,
            operation.id,
            last={"after": str(position), "late": [str(mail) for mail in (*late, *posting)]},
            counts=counts + number,
        )
        return number, posting

    number, posting = in_transaction(connection, work)
    counts.update(number)
    return posting


def _again(
    connection: Connection,
    operation: Operation,
    late: list[UUID],
    counts: Counter[str],
    by: str,
    told: Callable[[Mapping[str, int]], None],
) -> None:
    """Stop those that were being posted and are not any more, without having gone."""
    deadline = time.monotonic() + _PATIENCE_S
    while late:
        counts["posting"] -= len(late)
        late = _stop(connection, operation, late, _END, (), counts, by)
        told(counts)
        if not late or time.monotonic() > deadline:
            return
        time.sleep(_POLL_S)


def _outcome(answer: object) -> str:
    if isinstance(answer, Done):
        return "canceled"
    if isinstance(answer, Refused):
        return answer.reason if answer.reason in {"posting", "unknown"} else "gone"
    return "gone"
