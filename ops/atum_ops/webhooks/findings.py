"""What a check of the way back finds, and what it means. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from atum_ops import show
from atum_ops.webhooks.registration import NEEDED, standing
from atum_producers.webhooks import sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from atum_ops.webhooks.freshness import Freshness
    from atum_ops.webhooks.live import Live
    from atum_schema.settings import Settings
    from atum_workers.postmark_webhooks import Webhook

#: Seconds after which an event that waits to be applied means that nobody applies.
_WAITS_S: Final = 300.0
_SET_UP: Final = "atum-mailer webhook setup --yes"


class Level(StrEnum):
    """How grave a finding is."""

    GOOD = "good"
    """As it should be."""
    NOTE = "note"
    """Worth knowing."""
    BAD = "bad"
    """Events are lost, not applied, or anybody could tell them."""
    AWAY = "away"
    """It could not be looked at: nobody answers."""


class Finding(NamedTuple):
    """One thing that was looked at."""

    about: str
    level: Level
    says: str
    remedy: str | None = None


def status(findings: Iterable[Finding]) -> int:
    """Give the exit status: 1 when anything is bad, 3 when somebody does not answer."""
    levels = {each.level for each in findings}
    return 1 if Level.BAD in levels else 3 if Level.AWAY in levels else 0


def of_settings(settings: Settings, live: Live) -> list[Finding]:
    """Say what the endpoint demands. Raises `SettingsError` where it would not start."""
    known = sources.known(settings)
    allowed = "all addresses" if known.allowed is None else f"{len(known.allowed)} addresses or networks"
    proxies = len(known.proxies)
    found = [
        Finding("credentials", Level.GOOD, live.words),
        Finding("allow-list", Level.GOOD, allowed),
        Finding("proxies", Level.GOOD, f"{proxies} trusted" if proxies else "none: the peer is the client"),
        Finding("path", Level.GOOD, settings.webhook_path),
    ]
    if settings.webhook_url is None:
        remedy = "set ATUM_WEBHOOK_URL to where the provider reaches the endpoint"
        return [*found, Finding("url", Level.NOTE, "not set", remedy)]
    if not settings.webhook_url.endswith(settings.webhook_path):
        text = "ATUM_WEBHOOK_URL does not end with ATUM_WEBHOOK_PATH; right only if a proxy rewrites it"
        return [*found, Finding("url", Level.NOTE, text)]
    return [*found, Finding("url", Level.GOOD, settings.webhook_url)]


def of_inbox(fresh: Freshness) -> list[Finding]:
    """Say whether events come, and are applied."""
    found = []
    if fresh.last_s is None:
        found.append(Finding("last event", Level.NOTE, "none has ever come"))
    elif fresh.silent:
        text = f"{show.age(fresh.last_s)} ago, though mails were sent since"
        remedy = f"look at the registration below; then: {_SET_UP}, and: atum-mailer catch-up --yes"
        found.append(Finding("last event", Level.BAD, text, remedy))
    else:
        found.append(Finding("last event", Level.GOOD, f"{show.age(fresh.last_s)} ago"))
    counts = ", ".join(f"{state}: {number:,}" for state, number in sorted(fresh.day.items())) or "none"
    found.append(Finding("last 24 h", Level.GOOD, counts + (" (the newest only)" if fresh.capped else "")))
    if fresh.waits_s is not None and fresh.waits_s > _WAITS_S:
        text = f"the oldest has waited for {show.age(fresh.waits_s)}"
        found.append(
            Finding("applying", Level.BAD, text, "see that a worker and a relay run, and their logs")
        )
    else:
        found.append(Finding("applying", Level.GOOD, "nothing waits for long"))
    for state, words in _UNAPPLIED.items():
        if fresh.day.get(state):
            found.append(Finding(state, Level.NOTE, f"{fresh.day[state]:,} {words}"))
    return found


_UNAPPLIED: Final = {
    "parked": "events wait for their mail",
    "unmatched": "events found no mail; another system may send through the same server",
    "unreadable": "events could not be read; something other than the provider may tell us",
}


def of_registration(
    stream: str,
    url: str,
    registered: Sequence[Webhook],
    live: Live,
    statuses: Mapping[int, Mapping[str, str]],
) -> list[Finding]:
    """Say whether a stream's events are sent to the endpoint, all types, with credentials that it takes."""
    about = f"stream {stream}"
    ours = next((each for each in registered if each.stream == stream and each.url == url), None)
    if ours is None:
        return [Finding(about, Level.BAD, "no webhook with ATUM_WEBHOOK_URL is registered", _SET_UP)]
    found = []
    off = [name for name in NEEDED if name not in ours.triggers]
    if off:
        found.append(Finding(about, Level.BAD, f"not sent: {', '.join(off)}", _SET_UP))
    idle: dict[str, list[str]] = {}
    for name, word in statuses.get(ours.id, {}).items():
        if word != "Active":
            idle.setdefault(word, []).append(name)
    found += [
        Finding(about, Level.BAD, f"{word}: {', '.join(names)}", _SET_UP) for word, names in idle.items()
    ]
    match standing(ours, live):
        case "none":
            found.append(Finding(about, Level.BAD, "it sends credentials that the endpoint refuses", _SET_UP))
        case "second":
            text = "it sends the credential that is about to go"
            found.append(Finding(about, Level.NOTE, text, _SET_UP))
    return found or [
        Finding(about, Level.GOOD, f"webhook {ours.id} is active: {', '.join(sorted(ours.triggers))}")
    ]
