"""What all connections of one port share: who is connected, and whether the door is open."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from atum_ops.simulator.wire import Connection

STALL_S = 120.0
_PRIVATE = tuple(f"{method} /_control/".encode() for method in ("GET", "POST", "DELETE"))


class Door(StrEnum):
    """What happens to a connection whose first bytes arrive: served, reset, or left without a reply and unread."""

    OPEN = "open"
    RESET = "reset"
    STALL = "stall"


@dataclass(slots=True, kw_only=True)
class Entrance:
    """The door of one port. Control requests pass even when it is shut.

    Kept-alive connections are closed `idle_s` seconds after their last answer, never if that is 0.
    """

    connections: set[Connection] = field(default_factory=set)
    door: Door = Door.OPEN
    idle_s: float = 0.0

    def open(self) -> None:
        """Open the door; who was left standing before it is reset."""
        self.door = Door.OPEN
        for connection in tuple(self.connections):
            if connection.stalled:
                connection.reset()

    def reset_all(self) -> None:
        """Reset every connection but those of the control side."""
        for connection in tuple(self.connections):
            if not connection.private:
                connection.reset()

    def close_all(self) -> None:
        """Drop every connection (the server stops)."""
        for connection in tuple(self.connections):
            connection.close()


def is_private(data: bytes) -> bool:
    """Say whether these are the first bytes of a control request."""
    return data.startswith(_PRIVATE)
