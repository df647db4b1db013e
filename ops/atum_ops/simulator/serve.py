"""Running a simulator: one process, one event loop, one port."""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from typing import TYPE_CHECKING

import uvloop

from atum_ops.simulator.rules import BATCH_BYTES
from atum_ops.simulator.service import Service
from atum_ops.simulator.state import State
from atum_ops.simulator.wire import Connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from atum_ops.simulator.config import SimulatorConfig

_BACKLOG = 1024


async def serve(
    config: SimulatorConfig,
    on_ready: Callable[[str], None],
    *,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve until `stop` is set or the task is cancelled; `on_ready` gets the URL once connections are taken.

    Raises OSError when the address is taken or the ledger file cannot be used.
    """
    state = State(config)
    connections: set[Connection] = set()
    factory = partial(Connection, Service(state), body_limit=BATCH_BYTES, open_connections=connections)
    try:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(factory, config.host, config.port, backlog=_BACKLOG)
        try:
            host, port = server.sockets[0].getsockname()[:2]
            on_ready(f"http://{host}:{port}" if ":" not in host else f"http://[{host}]:{port}")
            await (stop or asyncio.Event()).wait()
        finally:
            server.close()
            for connection in tuple(connections):
                connection.close()
            await server.wait_closed()
    finally:
        state.ledger.close()


def run(config: SimulatorConfig, on_ready: Callable[[str], None], *, stop_fd: int | None = None) -> None:
    """Serve until SIGTERM or SIGINT, or until the other end of `stop_fd` is closed. Blocks; errors as `serve`."""
    uvloop.run(_until_told(config, on_ready, stop_fd))


async def _until_told(config: SimulatorConfig, on_ready: Callable[[str], None], stop_fd: int | None) -> None:
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
