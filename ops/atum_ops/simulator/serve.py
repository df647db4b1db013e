"""Running a simulator: one process, one event loop, one port, and one more for control if wanted."""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import uvloop

from atum_ops.simulator.control import Control
from atum_ops.simulator.entrance import Entrance
from atum_ops.simulator.listener import Listener
from atum_ops.simulator.rules import BATCH_BYTES
from atum_ops.simulator.service import Service
from atum_ops.simulator.stage import Stage
from atum_ops.simulator.state import State
from atum_ops.simulator.wire import Connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from atum_ops.simulator.config import SimulatorConfig
    from atum_ops.simulator.wire import Handler


class Addresses(NamedTuple):
    """Base URLs of a running simulator; both are the same when there is no control port."""

    url: str
    control_url: str


async def serve(
    config: SimulatorConfig,
    on_ready: Callable[[Addresses], None],
    *,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve until `stop` is set or the task is cancelled; `on_ready` gets the URLs once connections are taken.

    Raises OSError when an address is taken or the ledger file cannot be used.
    """
    state = State(config)
    listener, side = Listener(config.host, config.port), Entrance()
    stage = Stage(state, listener, reachable=config.control_port is not None)
    control = Control(state, stage)
    control_listener = Listener(config.host, config.control_port or 0)
    try:
        state.lives.resume()
        url = control_url = await listener.open(_connections(Service(state, control), state.entrance))
        if config.control_port is not None:
            control_url = await control_listener.open(_connections(control, side))
        on_ready(Addresses(url, control_url))
        await (stop or asyncio.Event()).wait()
    finally:
        stage.clear()
        state.lives.stop()
        state.courier.stop()
        for one in (listener, control_listener):
            await one.close()
        for entrance in (state.entrance, side):
            entrance.close_all()
        state.ledger.close()


def _connections(handler: Handler, entrance: Entrance) -> Callable[[], Connection]:
    return partial(Connection, handler, body_limit=BATCH_BYTES, entrance=entrance)


def run(
    config: SimulatorConfig, on_ready: Callable[[Addresses], None], *, stop_fd: int | None = None
) -> None:
    """Serve until SIGTERM or SIGINT, or until the other end of `stop_fd` is closed. Blocks; errors as `serve`."""
    uvloop.run(_until_told(config, on_ready, stop_fd))


async def _until_told(
    config: SimulatorConfig, on_ready: Callable[[Addresses], None], stop_fd: int | None
) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if stop_fd is not None:
        loop.add_reader(stop_fd, stop.set)
    try:
        await serve(config, on_ready, stop=stop)
    finally:
        if stop_fd is not None:
            loop.remove_reader(stop_fd)
