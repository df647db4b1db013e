"""Carries out a fault on a connection, once what it accepts has been accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atum_ops.simulator import oddities
from atum_ops.simulator.faults import FaultKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_ops.simulator.faults import FaultPlan
    from atum_ops.simulator.injector import Fault
    from atum_ops.simulator.sending import Document
    from atum_ops.simulator.wire import Connection

DRIP_EVERY_S = 0.2
_HANGS = frozenset({FaultKind.HANG_BEFORE, FaultKind.HANG_AFTER, FaultKind.HANG_HALFWAY})
_RESETS = frozenset({FaultKind.RESET_BEFORE, FaultKind.RESET_AFTER})


def misbehave(
    fault: Fault,
    connection: Connection,
    plan: FaultPlan,
    *,
    answers: Sequence[Document] = (),
    in_batch: bool = True,
) -> None:
    """Do to the client what the fault table says; `answers` are the honest ones, one per message.

    Whatever is to be accepted has been by now; of `plan`, only the times count.
    """
    kind = fault.rule.kind
    if kind in _HANGS:
        connection.hang(at_most_s=plan.hang_s)
    elif kind in _RESETS:
        connection.reset()
    elif (hiding := oddities.instead(fault)) is not None:
        connection.answer(hiding)
    else:
        answer = oddities.distort(kind, answers, in_batch=in_batch)
        match kind:
            case FaultKind.DRIP:
                connection.drip(answer, every_s=DRIP_EVERY_S, at_most_s=plan.hang_s)
            case FaultKind.CUT_BODY:
                connection.cut(answer)
            case FaultKind.CUT_CHUNKED:
                connection.cut_chunked(answer)
            case FaultKind.CLOSED_AFTER:
                connection.answer_and_close(answer)
            case FaultKind.ANSWER_LATE:
                connection.answer_later(answer, after_s=plan.late_s)
            case _:
                connection.answer(answer)
