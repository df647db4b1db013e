"""The server that is measured: a private PostgreSQL with fsync, and one process of ours on one core of its own."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import uvloop

from atum_ops.service import Service
from atum_schema.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from atum_ops.bench.http import Measured

_STARTED_S: Final = 30.0


@contextmanager
def pinned(arguments: Sequence[str], environment: Mapping[str, str], *, says: str) -> Iterator[None]:
    """Run a process of ours, which has one core of its own if there are several, from when it says so."""
    with ExitStack() as stack:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="atum-bench-")))
        service = stack.enter_context(
            Service(list(arguments), environment=dict(environment), log=logs / "served.log")
        )
        _await_serving(service, says)
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(service.pid, cores[:1])
        os.sched_setaffinity(0, cores[1:] or cores)
        stack.callback(os.sched_setaffinity, 0, cores)
        yield


def run(work: Callable[[], Any]) -> Measured:
    """Run a load to its end."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        measured: Measured = runner.run(work())
    return measured


def _await_serving(service: Service, says: str) -> None:
    deadline = time.monotonic() + _STARTED_S
    while says not in service.output():
        if not service.running or time.monotonic() > deadline:
            raise StackError(f"the server did not start: {service.output()[-2000:]}")
        time.sleep(0.05)
