"""Durations and moments as people type them: 90, 90s, 15m, 2h, 7d; 2026-11-01, 2026-11-01T12:00Z."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNITS: Final[Mapping[str, int]] = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION: Final = re.compile(r"([0-9]{1,9})([smhd]?)")


class Duration(click.ParamType[timedelta]):
    """A whole number of seconds, or of minutes, hours or days with m, h or d behind it."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read a duration. Fails as click does."""
        if isinstance(value, timedelta):
            return value
        match = _DURATION.fullmatch(str(value).strip())
        seconds = int(match[1]) * _UNITS[match[2]] if match else 0
        if seconds < 1:
            self.fail(f"{value!r} is no duration; write 90, 90s, 15m, 2h or 7d", param, ctx)
        return timedelta(seconds=seconds)


class Moment(click.ParamType[datetime]):
    """A moment: a duration ago, or a date or time in ISO 8601, UTC where it has no offset. Gives it in UTC."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read a moment. Fails as click does."""
        if isinstance(value, datetime):
            return value
        text = str(value).strip()
        match = _DURATION.fullmatch(text)
        try:
            if match:
                return datetime.now(UTC) - timedelta(seconds=int(match[1]) * _UNITS[match[2]])
            read = datetime.fromisoformat(text)
            return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no moment; write 2h (ago), 2026-11-01 or 2026-11-01T12:00Z", param, ctx)
