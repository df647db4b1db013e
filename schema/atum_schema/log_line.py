"""The steps from a log record to a line: what is added, what is left out, and how it is written."""

from __future__ import annotations

import os
import re
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import orjson
import structlog

from atum_schema.log_context import bound
from atum_schema.log_keys import HEAD, KEYS, TAIL
from atum_schema.scrub import scrub
from atum_schema.traces import trace

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping

    Line = MutableMapping[str, Any]

SECRET: Final = "<secret>"  # noqa: S105 (what stands for one)
OURS: Final = ("atum_schema", "atum_producers", "atum_workers", "atum_ops")
"""Packages whose events are constant texts."""

_MOST_ITEMS: Final = 20
_MOST_TEXT: Final = 500
_MOST_LINES: Final = 200
#: JavaScript's and jq's numbers are exact up to here.
_EXACT: Final = 2**53
_AROUND: Final = frozenset({*HEAD, *TAIL})
#: uvicorn's own text again, with colours.
_NOISE: Final = frozenset({"color_message"})
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,40}")


class Head:
    """Adds what every line of the process has."""

    def __init__(self, *, service: str, version: str, process: str) -> None:
        self._service = service
        self._version = version
        self._process = process

    def __call__(self, _logger: Any, _method: str, line: Line) -> Line:
        record = line["_record"]
        at = datetime.fromtimestamp(record.created, UTC)
        line["ts"] = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line["level"] = record.levelname.lower()
        line["logger"] = record.name
        line["service"] = self._service
        line["version"] = self._version
        line["process"] = self._process
        return line


def context(_logger: Any, _method: str, line: Line) -> Line:
    """Add what the work in hand has bound; what the line itself says counts."""
    for key, value in bound().items():
        line.setdefault(key, value)
    return line


def exceptions(_logger: Any, _method: str, line: Line) -> Line:
    """Turn an error into where it came from."""
    info = line.pop("exc_info", None)
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        line.setdefault("error", type(error).__name__)
        line["exception"] = trace(error)
    line.pop("stack_info", None)
    return line


class Redaction:
    """The last step before writing: only keys of the list, and in no value an address, credentials or one of `secrets`."""

    def __init__(self, secrets: Iterable[str]) -> None:
        longest_first = sorted(set(secrets), key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, _logger: Any, _method: str, line: Line) -> Line:
        event = str(line.get("event", ""))
        if not str(line.get("logger", "")).startswith(OURS):
            # What follows may be the representation of anything, as in asyncio's.
            event = event.partition("\n")[0]
        kept: dict[str, Any] = {}
        for key in HEAD:
            kept[key] = self._text(event) if key == "event" else line.get(key)
        dropped = []
        for key, value in line.items():
            if key in _AROUND or key in _NOISE or key[:1] == "_":
                continue
            if key in KEYS:
                kept[key] = self._value(key, value)
            else:
                dropped.append(key if _NAME.fullmatch(key) else "?")
        if dropped:
            kept["dropped"] = sorted(dropped)[:_MOST_ITEMS]
        for key in TAIL:
            kept[key] = line.get(key)
        return kept

    def _value(self, key: str, value: Any) -> Any:
        if isinstance(value, str):
            return self._lines(value) if key == "exception" else self._text(value)
        if value is None or isinstance(value, float) or (isinstance(value, int) and abs(value) < _EXACT):
            return value
        if isinstance(value, int | UUID | datetime):
            return str(value)[:_MOST_TEXT]
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value("", one) for one in list(value)[:_MOST_ITEMS]]
        if isinstance(value, dict):
            items = list(value.items())[:_MOST_ITEMS]
            return {self._text(str(name)): self._value("", one) for name, one in items}
        # Its representation may be anything.
        return f"<{type(value).__name__}>"

    def _lines(self, text: str) -> str:
        return "\n".join(map(self._text, text.split("\n")[-_MOST_LINES:]))

    def _text(self, text: str) -> str:
        without = text if self._secrets is None else self._secrets.sub(SECRET, text)
        return scrub(without, _MOST_TEXT)


def as_json(_logger: Any, _method: str, line: Line) -> str:
    """Write a line as one JSON object."""
    return orjson.dumps(line).decode()


class AsText:
    """Writes a line for people."""

    def __init__(self, *, colors: bool) -> None:
        self._renderer = structlog.dev.ConsoleRenderer(colors=colors, timestamp_key="ts", pad_event_to=0)

    def __call__(self, logger: Any, method: str, line: Line) -> str:
        for key in TAIL:
            line.pop(key, None)
        return str(self._renderer(logger, method, line))


def last_words(error: BaseException | None) -> str:
    """Say as a line of JSON that a record could not be logged, without any of it."""
    place = "" if error is None else traceback.extract_tb(error.__traceback__)[-1].name
    line = {"level": "error", "event": "a log line is lost", "error": type(error).__name__, "detail": place}
    return orjson.dumps(line).decode() + os.linesep
