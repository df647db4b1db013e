"""Times as Postmark writes and reads them. Ours are UTC throughout."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from atum_schema.ids import milliseconds_of

if TYPE_CHECKING:
    from uuid import UUID

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# In a query, the "+" of an offset stands for a space.
_LOST_PLUS: Final = re.compile(r" (\d\d:?\d\d)$")


def timestamp(moment: datetime) -> str:
    """Write a moment in UTC with seven fractional digits."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"


def stored_at(mail_id: UUID) -> datetime:
    """Give the moment in a UUIDv7, to the millisecond."""
    return _EPOCH + timedelta(milliseconds=milliseconds_of(mail_id))


def moment(text: str, *, end_of_day: bool = False) -> datetime | None:
    """Read a date, or a date with a time, UTC unless it says otherwise; None when it is none.

    A date alone is its beginning, or its end.
    """
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return _with_time(text)
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    try:
        return begin + timedelta(days=1) if end_of_day else begin
    except OverflowError:
        return None


def _with_time(text: str) -> datetime | None:
    for form in (text, _LOST_PLUS.sub(r"+\1", text)):
        try:
            when = datetime.fromisoformat(form)
            return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    return None
