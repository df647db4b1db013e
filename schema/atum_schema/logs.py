"""Logging of processes: every record of ours and of libraries becomes one line of the same shape on standard error.

Modules log through the standard library, with a constant text and `extra=` for all that varies; see `log_keys`. Called once,
where a process begins. Needs structlog, which the extras `broker`, `api` and `worker` bring.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, TextIO

import structlog

from atum_schema.heartbeat import process_name
from atum_schema.log_line import OURS, AsText, Head, Redaction, as_json, context, exceptions, last_words

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

_LEVELS: Final = logging.getLevelNamesMapping()
_QUIET: Final = {
    # It tells each of its steps, at length; what matters we say ourselves.
    "pika": logging.CRITICAL,
    # One line per request is noise, and names the provider's URL.
    "httpx": logging.WARNING,
}
log = logging.getLogger(__name__)


def configure(
    *,
    service: str,
    level: str = "info",
    style: str = "auto",
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Log what is of this level or above, as the part `service`, to standard error; replaces what was set up before.

    `style` is `json`, `text`, or `auto`: text where a person looks on, else JSON. `secrets` are replaced wherever they turn
    up. `debug` is for our own modules; libraries stay at `info`, since their details may hold anything.
    """
    target = stream or sys.stderr
    number = _LEVELS[level.upper()]
    handler = _Handler(target)
    handler.setFormatter(formatter(service=service, style=style, secrets=secrets, stream=target))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(max(number, logging.INFO))
    for name in OURS:
        logging.getLogger(name).setLevel(number)
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(number, least))
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _ended
    sys.unraisablehook = _unraisable


def formatter(
    *, service: str, style: str = "json", secrets: Iterable[str] = (), stream: TextIO | None = None
) -> logging.Formatter:
    """Make what turns records into lines."""
    person = stream is not None and stream.isatty()
    as_text = style == "text" or (style == "auto" and person)
    head = Head(service=service, version=version("atum-mailer"), process=process_name())
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), context],
        processors=[
            head,
            exceptions,
            Redaction(secrets),
            AsText(colors=person and "NO_COLOR" not in os.environ) if as_text else as_json,
        ],
    )


class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines; where one cannot be made, it says so without any of it."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        del record
        try:
            self.stream.write(last_words(sys.exception()))
            self.flush()
        except (OSError, ValueError):
            # Nobody reads what we say: no reason to stop working.
            return


def _uncaught(kind: type[BaseException], error: BaseException, place: TracebackType | None) -> None:
    del place
    if issubclass(kind, KeyboardInterrupt):
        log.warning("interrupted")
        return
    log.critical("an error ends the process", exc_info=error)


def _ended(args: Any) -> None:
    if args.exc_type is not SystemExit:
        log.critical("an error ends a thread", exc_info=args.exc_value)


def _unraisable(args: Any) -> None:
    log.error("an error that cannot be raised", exc_info=args.exc_value)
