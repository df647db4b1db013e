"""The conditions of alerts in Python: each gives what was measured where it is met, else None. Pure and total."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atum_ops.signals.snapshot import FAILED

if TYPE_CHECKING:
    from collections.abc import Callable

    from atum_ops.alerts.alert import Look, Seen
    from atum_ops.signals.snapshot import PartSignal, Snapshot


def of_now(measure: Callable[[Snapshot], float | None]) -> Look:
    """Make a condition of the moment; without a database it is not met."""
    return lambda seen: None if seen.now is None else measure(seen.now)


def at_least(measure: Callable[[Snapshot], float | None], threshold: float) -> Look:
    """Make a condition that is met from a threshold on."""

    def look(now: Snapshot) -> float | None:
        value = measure(now)
        return value if value is not None and value >= threshold else None

    return of_now(look)


def failure_percent(now: Snapshot, period: str, *, least: int) -> float | None:
    """Give the percent of failures among what finished in a period; None where too few mails did either."""
    failed = now.recently(period, *FAILED)
    base = max(now.recently(period, "finished"), failed)
    return None if base < max(least, 1) else 100 * failed / base


def burn(long: str, short: str, threshold: float, *, least: int) -> Look:
    """Make a condition that is met while both a long and a short period are at a threshold; it gives the long one's percent."""

    def look(now: Snapshot) -> float | None:
        slow = failure_percent(now, long, least=least)
        if slow is None or slow < threshold or not failures_reach(now, short, threshold):
            return None
        return slow

    return of_now(look)


def failures_reach(now: Snapshot, period: str, percent: float) -> bool:
    """Whether so many percent or more of what finished in a period failed, and at least one mail did."""
    failed = now.recently(period, *FAILED)
    return failed > 0 and 100 * failed >= percent * now.recently(period, "finished")


def percent_of_sent(now: Snapshot, result: str, *, least: int, few: int = 1) -> float | None:
    """Give the percent of mails that came to a result in a day, of those that were sent."""
    sent, part = now.recently("24h", "sent"), now.recently("24h", result)
    return None if sent < least or part < few else 100 * part / sent


def throttled_percent(now: Snapshot, *, least: int) -> float | None:
    """Give the percent of attempts of half an hour that the provider found too many."""
    refused = now.recent_deferrals.get(("30m", "rate_limited"), 0)
    return None if refused < least else 100 * refused / (refused + now.recently("30m", "sent"))


def put_off(now: Snapshot, *whys: str) -> float:
    """Count the attempts of half an hour that came to 'not now' for these reasons."""
    return sum(now.recent_deferrals.get(("30m", why), 0) for why in whys)


def age(now: Snapshot, at: float | None) -> float | None:
    """Give the seconds since then; None since never."""
    return None if at is None else now.at - at


def stopped(now: Snapshot, *whys: str) -> float | None:
    """Count the windows that stopped by themselves for one of these reasons; None: there is none."""
    return sum(window.why in whys for window in now.windows) or None


def silent(now: Snapshot, *, least: int) -> float | None:
    """Give the seconds since the last event of a webhook; None where none ever came, or too few mails were sent."""
    return age(now, now.webhook_last_at) if now.recently("1h", "sent") >= least else None


def refused(seen: Seen, *, least: int, percent: float, but: frozenset[str]) -> float | None:
    """Give the requests to the webhook endpoint that were not taken lately, where they are a large part of all."""
    if seen.now is None or seen.before is None:
        return None
    then = seen.before.webhooks_refused
    number = sum(
        max(0, count - then.get(word, 0))
        for word, count in seen.now.webhooks_refused.items()
        if word not in but
    )
    stored = max(0, seen.now.webhooks_stored - seen.before.webhooks_stored)
    return number if number >= least and 100 * number >= percent * (number + stored) else None


def none_alive(now: Snapshot, kind: str) -> float | None:
    """Give 0 where no process of a kind is at work."""
    part = now.parts.get(kind)
    return 0.0 if part is None or part.alive == 0 else None


def count_parts(now: Snapshot, count: Callable[[PartSignal], int]) -> float | None:
    """Sum over all processes; None: nothing."""
    return sum(map(count, now.parts.values())) or None


def in_queue(now: Snapshot, name: str) -> float | None:
    """Count the messages that wait in a queue of RabbitMQ; None: there is none, or nobody can see it."""
    queue = now.queues.get(name)
    return None if queue is None else queue.messages or None


def untaken(now: Snapshot, name: str) -> float | None:
    """Count the messages of a queue that nobody consumes."""
    queue = now.queues.get(name)
    return in_queue(now, name) if queue is not None and not queue.consumers else None


def broker_away(now: Snapshot) -> float | None:
    """Give how many processes cannot reach RabbitMQ, where none can."""
    away = now.brokers.get("away", 0)
    return away if away and not now.brokers.get("connected") and not now.brokers.get("blocked") else None
