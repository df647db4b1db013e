"""Whether a second copy lies inside the honest bound, and in which case of it: only what the evidence shows. Pure.

::

    (a) accepted in time, and searchable only after the last search that counted
    (b) accepted late, because a host was frozen for longer than settling takes
    (c) accepted later than allowed for, and so late that the last search that counted could not find it
    (d) Postgres lost acknowledged commits: never here, as it is killed and restarted with its data
    (e) a person sent it again
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from atum_schema.status import Cause

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from atum_ops.simulator.records import LedgerRecord

_BY_A_PERSON: Final = frozenset({Cause.RELEASED.value, Cause.REPLAYED.value})
_COUNTED: Final = re.compile(r"\(search \d+ of \d+\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the run allowed for; seconds, and unix seconds for the spans."""

    request_timeout_s: float
    index_lag_s: float
    #: When processes were frozen.
    freezes: tuple[tuple[float, float], ...] = ()


def cases(
    copies: Sequence[LedgerRecord], events: Sequence[Mapping[str, Any]], limits: Limits
) -> list[str | None]:
    """Explain each copy beyond the first, in the order of their POSTs: the case in words, or None outside the bound.

    `events` is the mail's timeline, in order: `at`, `cause`, `batch_id`, `detail`, `posting_at`.
    """
    posted = {
        str(event["batch_id"]): event["posting_at"] for event in events if event["posting_at"] is not None
    }

    def began(copy: LedgerRecord) -> float:
        at = posted.get(copy.batch_id or "")
        return copy.accepted_at if at is None else float(at.timestamp())

    ordered = sorted(copies, key=began)
    return [
        _case(earlier, later, began(later), events, limits, since=began(earlier))
        for earlier, later in pairwise(ordered)
    ]


def _case(
    earlier: LedgerRecord,
    later: LedgerRecord,
    later_began: float,
    events: Sequence[Mapping[str, Any]],
    limits: Limits,
    *,
    since: float,
) -> str | None:
    if earlier.batch_id == later.batch_id:
        return None
    allowed = [
        event
        for event in _before(events, later_began)
        if event["cause"] in {Cause.RESEND_ALLOWED.value, *_BY_A_PERSON} and _at(event) > since
    ]
    if not allowed:
        return None
    if allowed[-1]["cause"] in _BY_A_PERSON:
        return f"(e) a person sent it again at {_at(allowed[-1]):.3f}"
    unknown = [
        _at(event)
        for event in events
        if event["cause"] == Cause.OUTCOME_UNKNOWN.value and str(event["batch_id"]) == earlier.batch_id
    ]
    searches = [
        _at(event)
        for event in _before(events, _at(allowed[-1]))
        if event["cause"] == Cause.SEARCHED.value and _COUNTED.search(event["detail"] or "")
    ]
    if not unknown or not searches:
        return None
    return _late(
        earlier.accepted_at, max(unknown[0], since + limits.request_timeout_s), searches[-1], since, limits
    )


def _late(accepted: float, anchor: float, last_search: float, since: float, limits: Limits) -> str | None:
    if accepted + limits.index_lag_s <= last_search:
        return None
    times = f"accepted at {accepted:.3f}, anchor {anchor:.3f}, last counted search {last_search:.3f}"
    if accepted <= anchor:
        return f"(a) searchable only after the last counted search: {times}, lag {limits.index_lag_s:g} s"
    settling = last_search - anchor
    if any(end - begin > settling and begin < accepted and end > since for begin, end in limits.freezes):
        return f"(b) a process was frozen for longer than the settling: {times}"
    return f"(c) completed later than allowed for: {times}"


def _before(events: Iterable[Mapping[str, Any]], moment: float) -> list[Mapping[str, Any]]:
    return [event for event in events if _at(event) <= moment]


def _at(event: Mapping[str, Any]) -> float:
    return float(event["at"].timestamp())
