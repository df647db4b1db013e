"""What the matrix consists of: where which part dies or freezes, and what the mails of the cell are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from atum_ops.simulator.faults import FaultKind
from atum_schema.steps import Step

if TYPE_CHECKING:
    from collections.abc import Mapping


class Effect(Enum):
    """What happens to the part; the value is the signal."""

    KILLED = "SIGKILL"
    FROZEN = "SIGSTOP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One run: three mails, and a part that meets its end at a point the first time it gets there."""

    #: `worker`, `relay`: which process.
    part: str
    #: Whether it is one mail, for the SMTP relay.
    smtp: bool = False
    step: Step
    effect: Effect = Effect.KILLED
    #: The situation, in words, where the point alone does not say it.
    when: str = ""
    #: What the first POST of the mails meets.
    fault: FaultKind | None = None
    #: For points of the sweeper: where a worker was killed before.
    worker_killed_at: Step | None = None
    #: Whether a fourth mail expires before it is claimed.
    expiring: bool = False
    status: str = "sent"
    #: None: 0 or 1. A server that is left between the end of a message and its reply may have heard the end or not.
    copies: int | None = 1

    @property
    def name(self) -> str:
        """Name of the test."""
        to = "smtp" if self.smtp else ""
        words = [self.part, self.step.value, self.effect.name.lower(), self.when.replace(" ", "_"), to]
        return "-".join(word for word in words if word)


DELIVERY = (
    Step.TICKET, Step.CLAIMED, Step.TAKING_OUT, Step.TAKEN_OUT, Step.MARKING, Step.MARKED, Step.BODY_BEGUN,
    Step.BODY_SENT, Step.ANSWERED, Step.RECORDING, Step.RECORDED, Step.ACKING, Step.ACKED,
)  # fmt: skip
SETTLING = (Step.SEARCHING, Step.CONTROLLED, Step.SEARCHED, Step.PROVEN, Step.CONCLUDED)
RELAY = (
    Step.ISSUING, Step.ISSUED, Step.TICKET_HANDED_OVER, Step.TICKET_ARRIVED, Step.TICKET_CONFIRMED,
    Step.TICKET_NOTED,
)  # fmt: skip
SWEEP = (Step.LAPSED_LOCKED, Step.LAPSED_MOVED, Step.SWEPT)
LETTERS = (
    Step.LETTER_TAKEN, Step.LETTER_HANDED_OVER, Step.LETTER_ARRIVED, Step.LETTER_CONFIRMED, Step.LETTER_NOTED,
)  # fmt: skip

# What happens between the mark and the record; the rest knows nothing of who is asked.
TALK = (Step.MARKED, Step.BODY_BEGUN, Step.BODY_SENT, Step.ANSWERED, Step.RECORDING, Step.RECORDED)
#: What SMTP left open is held: nobody can be asked. A late answer is proof all the same.
SMTP_END: Mapping[tuple[Step, Effect], tuple[str, int | None]] = {
    **{(step, effect): ("held", 0) for step in (Step.MARKED, Step.BODY_BEGUN) for effect in Effect},
    (Step.BODY_SENT, Effect.KILLED): ("held", None),
    **{(step, Effect.KILLED): ("held", 1) for step in (Step.ANSWERED, Step.RECORDING)},
}
TAKE_OUT = {Step.TAKING_OUT, Step.TAKEN_OUT}
OUTCOMES = {"accepted": FaultKind.RESET_AFTER, "not accepted": FaultKind.RESET_BEFORE}
LAPSED = {"claim ran out": Step.CLAIMED, "posting ran out": Step.MARKED}

CELLS: tuple[Cell, ...] = (
    *(Cell(part="relay", step=step) for step in RELAY),
    *(
        Cell(part="worker", step=step, effect=effect, expiring=step in TAKE_OUT)
        for step in DELIVERY
        for effect in Effect
    ),
    *(
        Cell(part="relay", step=step, when=when, worker_killed_at=at)
        for when, at in LAPSED.items()
        for step in SWEEP
    ),
    *(
        Cell(part="worker", step=step, effect=effect, when=when, fault=fault)
        for when, fault in OUTCOMES.items()
        for step in SETTLING
        for effect in Effect
    ),
    *(Cell(part="relay", step=step, fault=FaultKind.TOO_LARGE, status="dead", copies=0) for step in LETTERS),
    *(
        Cell(part="worker", smtp=True, step=step, effect=effect, status=status, copies=copies)
        for step in TALK
        for effect in Effect
        for status, copies in [SMTP_END.get((step, effect), ("sent", 1))]
    ),
)
