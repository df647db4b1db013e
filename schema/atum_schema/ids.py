"""Identifiers: UUIDv7 for mails (ordered by time of accept), UUIDv4 for batches and claim tokens."""

from __future__ import annotations

import uuid

from uuid_utils import compat


def new_mail_id() -> uuid.UUID:
    """Make a mail's id: a UUIDv7 (RFC 9562 §5.7), so ids sort by time and partition by time."""
    return compat.uuid7()


def new_token() -> uuid.UUID:
    """Make a claim token: random, never a counter, so that a restored database cannot repeat one."""
    return uuid.uuid4()
