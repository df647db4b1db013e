"""Serving HTTP until SIGTERM: what was taken is stored and answered first."""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING

import uvicorn

from atum_producers.api.listening import bound
from atum_producers.api.protocol import Waiting, protocol
from atum_schema.garbage import look_for_garbage_seldom
from atum_schema.heartbeat import Heartbeat
from atum_schema.metrics import serving
from atum_schema.metrics_logs import counting_logs

if TYPE_CHECKING:
    import socket

    from starlette.types import ASGIApp

    from atum_schema.metrics import Meter
    from atum_schema.settings import Settings

log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """Says where it serves, once it does."""

    def __init__(self, config: uvicorn.Config, name: str, heart: Heartbeat) -> None:
        super().__init__(config)
        self._name = name
        self._heart = heart

    async def on_tick(self, counter: int) -> bool:
        """Say that the loop turns, ten times a second."""
        self._heart.worked()
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the port."""
        await super().startup(sockets)
        look_for_garbage_seldom()
        log.info("serving", extra={"url": f"http://{self.config.host}:{self.config.port}"})


def serve(
    app: ASGIApp, settings: Settings, *, meter: Meter, name: str, host: str, port: int, setting: str
) -> None:
    """Serve an application until SIGTERM or SIGINT; returns when everything that was taken is answered.

    `name` is the server's in the log, `meter` what it is counted by, and `setting` the variable that has the port. Raises
    `SettingsError` when the port, or that of the metrics, cannot be had.
    """
    waiting = Waiting(timeout_s=settings.api_head_timeout_s, connections=settings.api_connections)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=protocol(waiting),
        ws="none",
        loop="uvloop",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        # Longer than any head, so that only our own limits count.
        timeout_keep_alive=int(settings.api_head_timeout_s) + 1,
        timeout_graceful_shutdown=int(settings.api_store_timeout_s) + 1,
        backlog=2048,
    )
    # uvicorn raises the signal again when it has shut down: then it must not end the process with its status.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _ignored)
    with bound(host, port, setting=setting) as sockets:
        serving(meter, settings)
        with counting_logs(meter), Heartbeat(settings.database_url.get_secret_value(), name) as heart:
            Server(config, name, heart).run(sockets)


def _ignored(signum: int, frame: object) -> None:
    del signum, frame
