"""Identifiers: UUIDv7 for mails (ordered by time of accept), UUIDv4 for batches and claim tokens."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Final

from uuid_utils import compat

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_TIME_BITS: Final = 48
_OTHER_BITS: Final = 80


def new_mail_id() -> uuid.UUID:
    """Make a mail's id: a UUIDv7 (RFC 9562 §5.7), so ids sort by time and partition by time."""
    return compat.uuid7()


def first_mail_id(moment: datetime) -> uuid.UUID:
    """Give the smallest UUIDv7 of an aware moment's millisecond (RFC 9562 §5.7); moments before 1970 have that of its beginning."""
    milliseconds = (moment - _EPOCH) // _MILLISECOND
    return uuid.UUID(int=min(max(milliseconds, 0), (1 << _TIME_BITS) - 1) << _OTHER_BITS)


def milliseconds_of(mail_id: uuid.UUID) -> int:
    """Give the time in a UUIDv7: milliseconds since 1970, UTC (RFC 9562 §5.7)."""
    return mail_id.int >> _OTHER_BITS


def new_token() -> uuid.UUID:
    """Make a claim token: random, never a counter, so that a restored database cannot repeat one."""
    return uuid.uuid4()
