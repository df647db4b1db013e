"""What an actor may ask of the world. It yields one before each effect, and gets the result, or an exception, back."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from tests.world.provider import Exchange

LAST_BYTES: Final = "sends the last bytes"
"""Name of the effect after which the provider can accept."""


class Query(NamedTuple):
    """Run a transaction; `Away` comes back where the database is."""

    name: str
    work: Callable[[], Any]
    synchronous: bool = True


class Do(NamedTuple):
    """Act on the broker, the provider or the process itself."""

    name: str
    work: Callable[[], Any]


class Rest(NamedTuple):
    """Go on in so many seconds."""

    seconds: float


class Park(NamedTuple):
    """Go on once the time that `due` says has come; it is asked again whenever something has changed."""

    due: Callable[[], float]


class Receive(NamedTuple):
    """Go on when the exchange has an answer or is broken, or so many seconds are over."""

    exchange: Exchange
    seconds: float


class Die(NamedTuple):
    """The process dies here."""

    why: str


Effect: TypeAlias = Query | Do | Rest | Park | Receive | Die
Steps: TypeAlias = Generator[Effect, Any, Any]
