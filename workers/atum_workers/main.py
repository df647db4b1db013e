"""The worker's own main: one pool of threads per lane, SIGTERM drains, a second one ends at once."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

from dramatiq.worker import Worker

from atum_schema import topology
from atum_schema.garbage import look_for_garbage_seldom
from atum_schema.metrics import serving
from atum_schema.metrics_logs import counting_logs
from atum_schema.steps import Reached, go_on
from atum_workers.app import MAINTAINERS, RECONCILERS, REVIVERS, build
from atum_workers.metering import worker_meter

if TYPE_CHECKING:
    from atum_schema.metrics import Meter
    from atum_schema.settings import Settings

log = logging.getLogger(__name__)

_KILLED = 3
_LOOK_S = 0.2


def run(settings: Settings, *, reached: Reached = go_on) -> None:
    """Serve all lanes until SIGTERM or SIGINT, then finish what is in flight within `stop_timeout_s` seconds.

    A second signal ends the process at once, with exit status 3; its batches are settled by the others. Raises
    `SettingsError` when something that a worker needs is missing or wrong, or metrics cannot be served.
    """
    meter = worker_meter(settings)
    with counting_logs(meter):
        _run(settings, reached, meter)


def _run(settings: Settings, reached: Reached, meter: Meter) -> None:
    stop = _on_signals()
    broker = build(settings, reached=reached, meter=meter)
    serving(meter, settings)
    threads = {topology.deliver_queue(lane): settings.threads for lane in settings.lane_names}
    threads[topology.RECONCILE] = RECONCILERS
    threads[topology.MAINTAIN] = MAINTAINERS
    threads[topology.REVIVE] = REVIVERS
    workers = [
        Worker(broker, queues={queue}, worker_threads=number, worker_timeout=200)
        for queue, number in threads.items()
    ]
    for worker in workers:
        worker.start()
    look_for_garbage_seldom()
    log.info("serving", extra={"lanes": settings.lane_names, "threads": settings.threads})
    # Python runs signal handlers in the main thread only, and the kernel may hand a signal to another one: a wait
    # without end would never notice.
    while not stop.wait(_LOOK_S):
        pass
    log.info("draining")
    stoppers = [
        threading.Thread(target=worker.stop, kwargs={"timeout": int(settings.stop_timeout_s * 1000)})
        for worker in workers
    ]
    for stopper in stoppers:
        stopper.start()
    while any(stopper.is_alive() for stopper in stoppers):
        time.sleep(_LOOK_S)
    broker.close()


def _on_signals() -> threading.Event:
    stop = threading.Event()

    def handle(signum: int, frame: Any) -> None:
        del signum, frame
        if stop.is_set():
            os._exit(_KILLED)
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return stop
