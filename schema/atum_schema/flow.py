"""How many batches of a lane may be in flight: a window that the provider's answers move. Pure.

::

                 failures reach the bar                    refused for a reason that a person must mend
       open ────────────────────────────▶ closed ────────────────────────────────────▶ paused
       ▲ ▲ ▲                              │   ▲ │                                      │ │  ▲
       │ │ └──────── a good probe ────────┘   └─┘ a failed probe doubles the distance  │ │  │
       │ └────────────────────────── a good probe, unless a person paused it ──────────┘ │  │
       └──────────────────────────── a person resumes what a person paused ──────────────┘  │
       open, closed ── a person pauses ─────────────────────────────────────────────────────┘

An open window grows as TCP's does: by one per good request up to `threshold`, then by one per window of good
requests. What is slow halves it, at most once per round: an answer to a request that began before the last cut says
nothing new. A failure halves nothing; failures count, and when they are many *and* a large share of what was answered
lately, the window closes. So one mail that always fails closes nothing where others succeed.

A closed or paused window lets one mail at a time try (`atum_schema.flow_allowance`). Only an answer to a request that
began since then opens it or puts the next probe off. A good answer to an older one brings the next probe of a closed
window forward: it proves that the provider works, and one mail asks again before all do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

OPEN: Final = "open"
CLOSED: Final = "closed"
PAUSED: Final = "paused"

OUTAGE: Final = "outage"
"""Reason of a window that failures or timeouts closed."""
RATE_LIMITED: Final = "rate_limited"
"""Reason of a window that 429 closed, although it had shrunk to one batch."""

_INITIAL: Final = 4
_RATE_HALF_LIFE_S: Final = 10.0
_LN2: Final = 0.6931471805599453
_MAX_SILENCE_S: Final = 3600.0


class Window(NamedTuple):
    """What `atum.flow` holds of a lane and account. Times are seconds since 1970 by the database's clock."""

    #: Batches that may be in flight; 0 unless open.
    size: int
    ceiling: int
    #: Growth is by request below, by round above.
    threshold: int
    #: Good requests since the window last grew.
    credit: float
    state: str
    #: Why it is closed or paused, in a stable word; an operator's own words when paused by one.
    reason: str | None
    paused_by: str | None
    since: float
    probe_at: float | None
    #: Probes that failed in a row.
    probes: int
    #: The provider asked for silence until then.
    not_before: float | None
    #: When it was last halved.
    cut_at: float | None
    #: Requests answered well and badly, decaying, as of `counted_at`.
    good: float
    bad: float
    counted_at: float
    #: Mails per second that may be issued; None: no limit.
    rate: float | None
    burst: float
    #: Mails that might be issued at once at `tokens_at`.
    tokens: float
    tokens_at: float
    #: Mails per second that were accepted lately, as of `counted_at`.
    sent_rate: float
    outage_at: float | None
    outage_end: float | None


class Good(NamedTuple):
    """The provider answered `requests` requests clearly, and took so many mails."""

    mails: int
    requests: int = 1


class Slow(NamedTuple):
    """The provider wants less: 429, or no answer in time."""

    reason: str
    #: Seconds of silence that it asked for.
    retry_after: float | None = None


class Failed(NamedTuple):
    """The request failed for a reason that is not in its mails: connection, 5xx, an answer that says nothing."""

    retry_after: float | None = None


class Halt(NamedTuple):
    """Refused for a reason that a person must mend.

    `sure` when it holds for the whole account; else (a sender, a stream) it may hold for this mail only, and counts
    like a failure until it is the rule.
    """

    reason: str
    sure: bool = True


Signal: TypeAlias = Good | Slow | Failed | Halt


class Report(NamedTuple):
    """What a request came to, and how many seconds ago it began."""

    signal: Signal
    lasted_s: float


class Policy(NamedTuple):
    """When a window closes and how it probes."""

    #: It closes when this share of the requests lately answered failed …
    share: float = 0.5
    #: … and so many of them did.
    requests: int = 5
    #: Seconds until the first probe of a closed window; doubles up to the maximum.
    probe_s: float = 1.0
    probe_max_s: float = 60.0
    #: Seconds between the probes of a window that paused itself.
    pause_probe_s: float = 30.0
    #: Seconds after which an answer counts half.
    half_life_s: float = 60.0

    @property
    def memory(self) -> float:
        """How many requests are "lately" at most, however fast they come."""
        return max(100.0, 2.0 * self.requests)


Uniform: TypeAlias = "Callable[[float, float], float]"


def new(*, ceiling: int, rate: float | None, burst: float, now: float) -> Window:
    """Make the window of a lane that has none: small, so that a cold provider is not met by a storm."""
    return Window(
        size=min(_INITIAL, ceiling),
        ceiling=ceiling,
        threshold=ceiling,
        credit=0.0,
        state=OPEN,
        reason=None,
        paused_by=None,
        since=now,
        probe_at=None,
        probes=0,
        not_before=None,
        cut_at=None,
        good=0.0,
        bad=0.0,
        counted_at=now,
        rate=rate,
        burst=burst,
        tokens=burst,
        tokens_at=now,
        sent_rate=0.0,
        outage_at=None,
        outage_end=None,
    )


def configured(window: Window, *, ceiling: int, rate: float | None, burst: float, now: float) -> Window:
    """Give the window the limits of the settings; what it has learnt stays."""
    fresh = window.rate is None and rate is not None
    return window._replace(
        size=min(window.size, ceiling),
        ceiling=ceiling,
        threshold=ceiling if window.threshold >= window.ceiling else min(window.threshold, ceiling),
        rate=rate,
        burst=burst,
        tokens=burst if fresh else min(window.tokens, burst),
        tokens_at=now if fresh else window.tokens_at,
    )


def after(window: Window, report: Report, now: float, policy: Policy, uniform: Uniform) -> Window:
    """Give the window after a request was answered. Total; `uniform` draws the jitter of probes."""
    window = decayed(window, now, policy)
    began = now - report.lasted_s
    signal = report.signal
    if isinstance(signal, Good):
        return _after_good(window, signal, began, now, policy)
    if not isinstance(signal, Halt) and signal.retry_after is not None:
        silence = now + min(signal.retry_after, _MAX_SILENCE_S)
        window = window._replace(not_before=max(silence, window.not_before or silence))
    if began < window.since or window.paused_by is not None:
        return window
    return _after_bad(window, signal, began, now, policy, uniform)


def decayed(window: Window, now: float, policy: Policy) -> Window:
    """Let the counters and the measured rate fade until `now`."""
    passed = max(0.0, now - window.counted_at)
    fade = 0.5 ** (passed / policy.half_life_s)
    return window._replace(
        good=window.good * fade,
        bad=window.bad * fade,
        sent_rate=window.sent_rate * 0.5 ** (passed / _RATE_HALF_LIFE_S),
        counted_at=max(now, window.counted_at),
    )


def is_steady(window: Window) -> bool:
    """Whether good answers change nothing but the counters."""
    return window.state == OPEN and window.size >= window.ceiling and window.bad < 0.5  # noqa: PLR2004  of a request


def paused(window: Window, *, reason: str, by: str, now: float) -> Window:
    """Give the window after a person paused it; nothing but a person opens it again."""
    return _shut(window, PAUSED, reason, now)._replace(paused_by=by, probe_at=None)


def resumed(window: Window, *, now: float) -> Window:
    """Give the window after a person resumed it.

    What a person paused opens, slowly. What closed or paused by itself may probe at once: whether it opens is up to
    the provider. Silence that the provider asked for is over.
    """
    window = window._replace(not_before=None)
    if window.state == OPEN:
        return window
    return _opened(window, now) if window.paused_by is not None else window._replace(probe_at=now)


def probing(window: Window, now: float, policy: Policy, uniform: Uniform) -> Window:
    """Set when the next probe is due: one distance from now, drawn from its upper half. A person's pause has none."""
    if window.paused_by is not None:
        return window
    if window.state == PAUSED:
        distance = policy.pause_probe_s
    else:
        distance = min(policy.probe_max_s, policy.probe_s * 2.0 ** min(window.probes, 62))
    return window._replace(probe_at=now + uniform(distance / 2, distance))


def _after_good(window: Window, good: Good, began: float, now: float, policy: Policy) -> Window:
    window = window._replace(sent_rate=window.sent_rate + good.mails * _LN2 / _RATE_HALF_LIFE_S)
    if window.state == OPEN:
        return _grown(_counted(window, good=good.requests, bad=0, policy=policy), good.requests)
    if window.paused_by is not None:
        return window
    if began >= window.since:
        return _opened(window, now)
    return window._replace(probe_at=now) if window.state == CLOSED else window


def _after_bad(
    window: Window, signal: Slow | Failed | Halt, began: float, now: float, policy: Policy, uniform: Uniform
) -> Window:
    if isinstance(signal, Halt) and signal.sure:
        return _halted(window, signal.reason, now, policy, uniform)
    if window.state != OPEN:
        return probing(window._replace(probes=window.probes + 1), now, policy, uniform)
    window = _counted(window, good=0, bad=1, policy=policy)
    if isinstance(signal, Slow):
        return _after_slow(window, signal, began, now, policy, uniform)
    if not _at_the_bar(window, policy):
        return window
    if isinstance(signal, Halt):
        return _halted(window, signal.reason, now, policy, uniform)
    return _closed(window, OUTAGE, now, policy, uniform)


def _grown(window: Window, requests: int) -> Window:
    size, credit = window.size, window.credit + requests
    quick = max(0.0, min(credit, min(window.threshold, window.ceiling) - size))
    size, credit = size + int(quick), credit - int(quick)
    while size < window.ceiling and credit >= size:
        size, credit = size + 1, credit - size
    return window._replace(size=size, credit=credit if size < window.ceiling else 0.0)


def _after_slow(
    window: Window, slow: Slow, began: float, now: float, policy: Policy, uniform: Uniform
) -> Window:
    if window.cut_at is not None and began < window.cut_at:
        return window
    if window.size <= 1 and _at_the_bar(window, policy):
        reason = RATE_LIMITED if slow.reason == RATE_LIMITED else OUTAGE
        return _closed(window, reason, now, policy, uniform)
    half = max(1, window.size // 2)
    return window._replace(size=half, threshold=half, credit=0.0, cut_at=now)


def _at_the_bar(window: Window, policy: Policy) -> bool:
    # Answers come one after the other and fade in between: the fifth of five still makes five.
    return window.bad > policy.requests - 0.5 and window.bad >= policy.share * (window.good + window.bad)


def _counted(window: Window, *, good: int, bad: int, policy: Policy) -> Window:
    goods, bads = window.good + good, window.bad + bad
    scale = min(1.0, policy.memory / (goods + bads))
    return window._replace(good=goods * scale, bad=bads * scale)


def _closed(window: Window, reason: str, now: float, policy: Policy, uniform: Uniform) -> Window:
    shut = _shut(window, CLOSED, reason, now)
    if reason == OUTAGE:
        shut = shut._replace(outage_at=now, outage_end=None)
    return probing(shut, now, policy, uniform)


def _halted(window: Window, reason: str, now: float, policy: Policy, uniform: Uniform) -> Window:
    if window.state == PAUSED:
        return probing(window._replace(reason=reason), now, policy, uniform)
    return probing(_shut(window, PAUSED, reason, now), now, policy, uniform)


def _shut(window: Window, state: str, reason: str, now: float) -> Window:
    return window._replace(
        size=0,
        threshold=max(1, window.size // 2) if window.state == OPEN else window.threshold,
        credit=0.0,
        state=state,
        reason=reason,
        since=now,
        probes=0,
        outage_end=_outage_end(window, now),
    )


def _opened(window: Window, now: float) -> Window:
    return window._replace(
        size=1,
        credit=0.0,
        state=OPEN,
        reason=None,
        paused_by=None,
        since=now,
        probe_at=None,
        probes=0,
        cut_at=None,
        good=0.0,
        bad=0.0,
        outage_end=_outage_end(window, now),
    )


def _outage_end(window: Window, now: float) -> float | None:
    """Say when the last outage ended: now, if it was still on."""
    over = window.outage_at is None or window.outage_end is not None
    return window.outage_end if over else now
