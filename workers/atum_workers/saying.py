"""Saying in the log what a request to the provider came to: a line per request, and none of good news unless asked for."""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from atum_workers.outcome import Accepted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from atum_workers.outcome import Outcome

log = logging.getLogger(__name__)

_NAMED: Final = 10


def say(mails: Sequence[UUID], outcomes: Sequence[Outcome], began: float) -> None:
    """Say what became of the mails of one request that began at `began` by `time.monotonic`."""
    bad = [(mail, one) for mail, one in zip(mails, outcomes, strict=True) if not isinstance(one, Accepted)]
    if bad:
        log.info("deliver: mails were not accepted", extra=_trouble(bad, len(outcomes), began))
    elif log.isEnabledFor(logging.DEBUG):
        log.debug("deliver: accepted", extra=_about(mails, len(outcomes), began))


def _trouble(bad: Sequence[tuple[UUID, Any]], count: int, began: float) -> dict[str, Any]:
    first = bad[0][1]
    return {
        **_about([mail for mail, _ in bad], count, began),
        "outcomes": dict(Counter(one.reason for _, one in bad)),
        "http_status": first.http_status,
        "code": first.code,
        "detail": first.detail,
    }


def _about(mails: Sequence[UUID], count: int, began: float) -> dict[str, Any]:
    about: dict[str, Any] = {"count": count, "duration_s": round(time.monotonic() - began, 3)}
    return {**about, "mail": mails[0]} if count == 1 else {**about, "mails": list(mails[:_NAMED])}
