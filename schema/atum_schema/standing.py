"""How a process fares with RabbitMQ, in the words of `atum.part`."""

from __future__ import annotations

from enum import StrEnum


class Standing(StrEnum):
    """Each with the sentence that defines it."""

    CONNECTED = "connected"
    """There is a connection, and nobody has said that it is of no use."""
    BLOCKED = "blocked"
    """RabbitMQ takes nothing of those that publish: an alarm for memory or disk."""
    AWAY = "away"
    """There is no connection."""
