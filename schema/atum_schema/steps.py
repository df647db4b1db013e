"""The named steps of a mail's journey: between two of them a crash has consequences of its own.

Every part takes a callable that is told each step it reaches. It does nothing unless somebody asks for more:
`tests/matrix` stops the process there.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TypeAlias


class Step(StrEnum):
    """What has just happened, or in the -ing form, what comes next."""

    # relay
    ISSUING = "issuing"
    ISSUED = "issued"
    # publisher; what arrived is in RabbitMQ, and its confirm was not looked at yet
    TICKET_HANDED_OVER = "ticket_handed_over"
    TICKET_ARRIVED = "ticket_arrived"
    TICKET_CONFIRMED = "ticket_confirmed"
    LETTER_HANDED_OVER = "letter_handed_over"
    LETTER_ARRIVED = "letter_arrived"
    LETTER_CONFIRMED = "letter_confirmed"
    # sweeper
    TICKET_NOTED = "ticket_noted"
    LETTER_TAKEN = "letter_taken"
    LETTER_NOTED = "letter_noted"
    LAPSED_LOCKED = "lapsed_locked"
    LAPSED_MOVED = "lapsed_moved"
    SWEPT = "swept"
    # delivery
    TICKET = "ticket"
    CLAIMED = "claimed"
    TAKING_OUT = "taking_out"
    TAKEN_OUT = "taken_out"
    MARKING = "marking"
    MARKED = "marked"
    BODY_BEGUN = "body_begun"
    BODY_SENT = "body_sent"
    ANSWERED = "answered"
    RECORDING = "recording"
    RECORDED = "recorded"
    ACKING = "acking"
    ACKED = "acked"
    # settling
    SEARCHING = "searching"
    CONTROLLED = "controlled"
    SEARCHED = "searched"
    PROVEN = "proven"
    CONCLUDED = "concluded"


Reached: TypeAlias = Callable[[Step], None]
"""Told each step that was reached. Called on any thread, inside transactions too; must not raise."""


def go_on(step: Step) -> None:
    """Do nothing at a step."""
    del step
