"""What a lane's window allows to issue now, and what issuing takes from it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from atum_schema.flow import OPEN, Policy, Uniform, decayed, probing

if TYPE_CHECKING:
    from atum_schema.flow import Window

# A backlog under a rate limit is issued about so often a second, not mail by mail.
_TURN_S: Final = 0.1
_STANDSTILL: Final = 0.01


class Allowance(NamedTuple):
    """What may be issued now."""

    batches: int
    #: In all batches together, and in each.
    mails: int
    batch_mails: int
    #: Seconds after which time alone may allow something, where nothing is allowed now; None: time alone never does.
    wait_s: float | None = None


def allowance(window: Window, *, in_flight: int, now: float, batch_mails: int) -> Allowance:
    """Say what may be issued with `in_flight` batches out; `batch_mails` is the most that a batch may hold."""
    if window.not_before is not None and now < window.not_before:
        return _nothing(window.not_before - now)
    if window.state != OPEN:
        return _probe(window, in_flight, now)
    batches = window.size - in_flight
    if batches <= 0:
        return _nothing(None)
    if window.rate is None:
        return Allowance(batches, batches * batch_mails, batch_mails)
    tokens, turn = refilled(window, now), _turn(window, window.rate)
    if tokens < turn:
        return _nothing((turn - tokens) / window.rate)
    return Allowance(batches, min(int(tokens), batches * batch_mails), batch_mails)


def issued(window: Window, *, mails: int, now: float, policy: Policy, uniform: Uniform) -> Window:
    """Give the window after so many mails were issued: tokens are spent, and a probe puts the next one off."""
    if mails == 0:
        return window
    if window.rate is not None:
        window = window._replace(tokens=max(0.0, refilled(window, now) - mails), tokens_at=now)
    return window if window.state == OPEN else probing(window, now, policy, uniform)


def spends(window: Window) -> bool:
    """Whether issuing changes the window."""
    return window.rate is not None or window.state != OPEN


def refilled(window: Window, now: float) -> float:
    """Give the tokens of now: they come at the rate, up to the burst."""
    passed = max(0.0, now - window.tokens_at)
    return min(window.burst, window.tokens + passed * (window.rate or 0.0))


def drain_estimate(window: Window, waiting: int, *, now: float, policy: Policy) -> float | None:
    """Estimate the seconds until `waiting` mails are accepted at the pace of late; None when there is no pace."""
    if waiting == 0:
        return 0.0
    pace = decayed(window, now, policy).sent_rate
    return waiting / pace if window.state == OPEN and pace >= _STANDSTILL else None


def _probe(window: Window, in_flight: int, now: float) -> Allowance:
    if window.paused_by is not None or window.probe_at is None or in_flight > 0:
        return _nothing(None)
    return Allowance(1, 1, 1) if now >= window.probe_at else _nothing(window.probe_at - now)


def _turn(window: Window, rate: float) -> float:
    return max(1.0, min(window.burst, rate * _TURN_S))


def _nothing(wait_s: float | None) -> Allowance:
    return Allowance(0, 0, 1, wait_s)
