"""Plays scenarios, one at a time, and ends each when its time is over: whoever started it may be gone by then."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atum_ops.simulator.entrance import Door
from atum_ops.simulator.scenarios import SCENARIOS, Scenario
from atum_schema.errors import SettingsError

if TYPE_CHECKING:
    from atum_ops.simulator.listener import Listener
    from atum_ops.simulator.state import State

_LONG_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Playing:
    """A scenario on stage; `until` is on the loop's clock, None: until it is cleared."""

    name: str
    scenario: Scenario
    until: float | None


class Stage:
    """Starts and ends scenarios on a state and a listener. Needs a running loop only once something is played.

    Without `reachable`, the control side is on the port that scenarios close.
    """

    def __init__(self, state: State, listener: Listener, *, reachable: bool = False) -> None:
        self._state = state
        self._listener = listener
        self._reachable = reachable
        self._playing: Playing | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._flapping: asyncio.Task[None] | None = None

    def start(self, name: str, seconds: float | None) -> None:
        """Play a scenario for so many seconds, None: until it is cleared; what was played before ends.

        Raises SettingsError for a name or a time that makes no sense.
        """
        if name not in SCENARIOS:
            raise SettingsError(f"no scenario {name!r}; there are {', '.join(SCENARIOS)}")
        if seconds is not None and not 0 < seconds < math.inf:
            raise SettingsError(f"a scenario lasts more than 0 seconds, not {seconds}")
        scenario = SCENARIOS[name]
        if seconds is None and scenario.refused_s == math.inf and not self._reachable:
            raise SettingsError(f"{name} needs a duration: without a control port, nobody could end it")
        self.clear()
        loop = asyncio.get_running_loop()
        self._playing = Playing(
            name=name, scenario=scenario, until=None if seconds is None else loop.time() + seconds
        )
        if seconds is not None:
            self._timer = loop.call_later(seconds, self.clear)
        self._state.cover(scenario)
        self._state.entrance.door = scenario.door
        if scenario.refused_s:
            self._flapping = loop.create_task(self._flap(scenario, self._flapping))

    def clear(self) -> None:
        """End what is being played, if anything is."""
        if self._playing is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._playing = self._timer = None
        self._state.cover(None)
        if self._state.entrance.door is not Door.OPEN:
            self._state.entrance.open()
        if self._flapping is not None:
            self._flapping.cancel()

    def to_document(self) -> dict[str, Any] | None:
        """Say what is being played and for how many seconds still; None when nothing is. JSON-ready."""
        playing = self._playing
        if playing is None:
            return None
        left = None
        if playing.until is not None:
            left = max(playing.until - asyncio.get_running_loop().time(), 0.0)
        return {"name": playing.name, "says": playing.scenario.says, "remaining_s": left}

    async def _flap(self, scenario: Scenario, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait((before,))
        try:
            while True:
                await self._listener.refuse()
                self._state.entrance.reset_all()
                await asyncio.sleep(min(scenario.refused_s, _LONG_S))
                if scenario.listening_s:
                    # Once begun it must end, or a server would listen that nobody knows of.
                    await asyncio.shield(self._listener.listen())
                    await asyncio.sleep(scenario.listening_s)
        finally:
            await self._listener.listen()
