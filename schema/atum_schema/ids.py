"""Identifiers: UUIDv7 for mails (ordered by time of accept), UUIDv4 for batches and claim tokens."""

from __future__ import annotations

import uuid

import uuid_utils


def new_mail_id() -> uuid.UUID:
    """Make a mail's id: a UUIDv7 (RFC 9562 §5.7), so ids sort by time and partition by time."""
    return uuid.UUID(int=uuid_utils.uuid7().int)


def new_token() -> uuid.UUID:
    """Make a claim token: random, never a counter, so that a restored database cannot repeat one."""
    return uuid.uuid4()
