"""Judging the way back: what is configured, what came lately, what is registered, and what test events met. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from atum_ops import show
from atum_ops.webhook_setup import live
from atum_producers.webhooks import access, sources
from atum_schema.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from atum_ops.webhook_freshness import Freshness
    from atum_ops.webhook_setup import Plan
    from atum_schema.settings import Settings

#: An event that waits for so long is not being applied.
STALE_S: Final = 60.0
#: So many mails of which nobody told are no accident.
SILENT: Final = 10


class Verdict(StrEnum):
    """What a finding says, each with the sentence that defines it."""

    GOOD = "good"
    """As it should be."""
    NOTE = "note"
    """Worth knowing; it may be meant."""
    BAD = "bad"
    """Events are lost, late or open to strangers."""
    UNKNOWN = "unknown"
    """Somebody did not answer, so nobody can say."""


class Finding(NamedTuple):
    """One thing that was looked at."""

    about: str
    verdict: Verdict
    says: str
    remedy: str | None = None


def status(findings: Iterable[Finding]) -> int:
    """Give the exit status: 0 all well, 1 something is bad, 3 somebody did not answer."""
    verdicts = {finding.verdict for finding in findings}
    if Verdict.BAD in verdicts:
        return 1
    return 3 if Verdict.UNKNOWN in verdicts else 0


def configured(settings: Settings) -> list[Finding]:
    """Judge the settings of the endpoint; values of credentials are nowhere."""
    return [
        _setting("credentials", lambda: _credentials(settings)),
        _setting("allow-list", lambda: _allowed(settings)),
        _setting("proxies", lambda: _proxies(settings)),
    ]


def _setting(about: str, says: Callable[[], str]) -> Finding:
    try:
        return Finding(about, Verdict.GOOD, says())
    except SettingsError as error:
        return Finding(about, Verdict.BAD, str(error), "the endpoint does not start with this setting")


def _credentials(settings: Settings) -> str:
    demanded = access.demanded(settings)
    kinds = {
        "Basic": len(demanded.basic),
        f"header {settings.webhook_secret_header}": len(demanded.secrets),
        "signature": len(demanded.signing_keys),
    }
    return ", ".join(f"{kind}: {number} live" for kind, number in kinds.items() if number)


def _allowed(settings: Settings) -> str:
    allowed = sources.known(settings).allowed
    return "everybody with credentials" if allowed is None else ", ".join(map(str, allowed))


def _proxies(settings: Settings) -> str:
    return ", ".join(map(str, sources.known(settings).proxies)) or "none; X-Forwarded-For is not believed"


def secrets(settings: Settings) -> list[str]:
    """Give what must not be shown, whoever quotes it."""
    given = [*live(settings.webhook_basic), *live(settings.webhook_secret)]
    return [*given, *(pair.partition(":")[2] for pair in live(settings.webhook_basic))]


def fresh(known: Freshness) -> list[Finding]:
    """Judge what came lately, and what became of it."""
    return [_last(known), _waiting(known), _states(known)]


def _last(known: Freshness) -> Finding:
    says = "none ever" if known.last_s is None else f"{show.age(known.last_s)} ago"
    if known.untold >= SILENT:
        return Finding(
            "last event",
            Verdict.BAD,
            f"{says}; nobody told of {known.untold:,} mails that were accepted since",
            "see what is registered, below; then: atum-mailer catch-up --yes",
        )
    return Finding("last event", Verdict.NOTE if known.last_s is None else Verdict.GOOD, says)


def _waiting(known: Freshness) -> Finding:
    says = f"{known.new:,} to be applied"
    if known.new:
        says += f", the oldest for {show.age(known.oldest_s)}"
    if known.new and known.oldest_s > STALE_S:
        return Finding(
            "waiting", Verdict.BAD, says, "are workers running (and the relay, where they get tickets)?"
        )
    return Finding("waiting", Verdict.GOOD, f"{says}; {known.parked:,} parked")


def _states(known: Freshness) -> Finding:
    says = ", ".join(f"{state}: {number:,}" for state, number in known.states.items()) or "none"
    odd = [state for state in ("unmatched", "unreadable") if known.states.get(state)]
    if odd:
        return Finding(
            "last 24 h", Verdict.NOTE, says, f"{' and '.join(odd)} events are kept; docs/events.md says why"
        )
    return Finding("last 24 h", Verdict.GOOD, says)


def registered(plan: Plan, statuses: Mapping[str, str]) -> Finding:
    """Judge what is registered in a stream; `statuses` are those of its types of event."""
    about = f"stream {plan.stream}"
    setup = "atum-mailer webhook setup --yes"
    if plan.name == "create":
        return Finding(about, Verdict.BAD, "our URL is not registered", setup)
    stopped = [f"{trigger} is {word.lower()}" for trigger, word in statuses.items() if word != "Active"]
    if stopped:
        return Finding(about, Verdict.BAD, ", ".join(stopped), f"{setup}; then: atum-mailer catch-up --yes")
    if plan.changes:
        says = ", ".join(f"{change.what}: {change.was}" for change in plan.changes)
        return Finding(about, Verdict.BAD, says, setup)
    on = ", ".join(statuses) or "no type of event"
    if plan.others:
        return Finding(about, Verdict.NOTE, f"active: {on}; also told: {', '.join(plan.others)}")
    return Finding(about, Verdict.GOOD, f"active: {on}")
