"""Alerts about the provider: what it takes, and what it tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from atum_ops.alerts import conditions as on
from atum_ops.alerts import promql as q
from atum_ops.alerts.alert import FEW, MINUTE, Alert, Area, Severity
from atum_schema import metrics_catalogue as m

if TYPE_CHECKING:
    from atum_schema.settings import Settings

_THROTTLED_PERCENT: Final = 10.0
_REFUSED_LEAST: Final = 10
_REFUSED_PERCENT: Final = 50.0
# Who is not the provider is no news about it. Who was refused too often may well be: it is not known any more.
_STRANGERS: Final = frozenset({"stranger"})
_COMPLAINTS: Final = 2
_EVENTS_S: Final = 900


def provider() -> list[Alert]:
    """Tell what the provider takes."""

    def of_window(
        name: str, severity: Severity, whys: tuple[str, ...], for_s: int, summary: str, says: str
    ) -> Alert:
        return Alert(
            name=name,
            severity=severity,
            area=Area.PROVIDER,
            summary=summary,
            description=f'{{{{ $value | printf "%.0f" }}}} {says}',
            expr=f"{q.total(m.WINDOW_WHY, why='|'.join(whys))} > 0",
            for_s=for_s,
            threshold=0,
            unit="windows",
            look=on.of_now(lambda now: on.stopped(now, *whys)),
        )

    refused = q.total(m.RECENT_DEFERRALS, period="30m", why="rate_limited")
    sent = q.total(m.RECENT, period="30m", result="sent")
    return [
        of_window(
            "AtumProviderDown",
            Severity.CRITICAL,
            ("provider",),
            5 * MINUTE,
            "The provider is down.",
            "windows are closed because the provider does not answer well.",
        ),
        of_window(
            "AtumProviderAuthFailing",
            Severity.CRITICAL,
            ("account",),
            MINUTE,
            "The provider refuses us.",
            "windows are paused because the provider refuses the token, the account or the caller.",
        ),
        of_window(
            "AtumLaneStopped",
            Severity.WARNING,
            ("sender", "mail", "rate_limited", "other"),
            5 * MINUTE,
            "A lane stopped by itself.",
            "windows are closed or paused; a sender, a stream or a limit is to be mended.",
        ),
        Alert(
            name="AtumMailsPutOff",
            severity=Severity.WARNING,
            area=Area.PROVIDER,
            summary="Mails are put off for reasons that only a person mends.",
            description=f'{{{{ $value | printf "%.0f" }}}} attempts of half an hour were put off: a sender, a stream, a content key; the threshold is {FEW}.',
            expr=f"{q.total(m.RECENT_DEFERRALS, period='30m', why='sender|other')} >= {FEW}",
            for_s=10 * MINUTE,
            threshold=FEW,
            unit="attempts",
            look=on.at_least(lambda now: on.put_off(now, "sender", "other"), FEW),
        ),
        Alert(
            name="AtumProviderThrottling",
            severity=Severity.WARNING,
            area=Area.PROVIDER,
            summary="The provider takes less than is offered.",
            description=f'{{{{ $value | printf "%.1f" }}}} % of the attempts of half an hour were too many; the threshold is {q.number(_THROTTLED_PERCENT)} %.',
            expr=f"100 * ({refused} >= {FEW}) / ({refused} + {sent}) >= {q.number(_THROTTLED_PERCENT)}",
            for_s=10 * MINUTE,
            threshold=_THROTTLED_PERCENT,
            unit="percent",
            look=on.at_least(lambda now: on.throttled_percent(now, least=FEW), _THROTTLED_PERCENT),
        ),
    ]


def way_back(settings: Settings) -> list[Alert]:
    """Tell what the provider tells of mail, and what recipients think of it."""
    silence_s = settings.alert_webhook_silence_seconds
    bounces, complaints = settings.alert_bounce_rate_threshold, settings.alert_complaint_rate_threshold
    least = settings.alert_failure_rate_least
    others = "|".join(sorted(_STRANGERS))
    refused = (
        f'sum(max by (webhook) (increase({m.WEBHOOK_REFUSED_TOTAL.full_name}{{webhook!~"{others}"}}[15m])))'
    )
    stored = f"max(increase({m.WEBHOOK_STORED_TOTAL.full_name}[15m]))"
    return [
        Alert(
            name="AtumWebhookSilence",
            severity=Severity.WARNING,
            area=Area.WEBHOOKS,
            summary="Nothing is told of the mails that are sent.",
            description=f"The last event of a webhook came {{{{ $value | humanizeDuration }}}} ago, and mails were sent; the threshold is {silence_s} s.",
            expr=f"{q.silence(m.WEBHOOK_LAST)} >= {silence_s} and {q.total(m.RECENT, period='1h', result='sent')} >= {FEW}",
            for_s=15 * MINUTE,
            threshold=silence_s,
            unit="seconds",
            look=on.at_least(lambda now: on.silent(now, least=FEW), silence_s),
        ),
        Alert(
            name="AtumWebhookRejecting",
            severity=Severity.WARNING,
            area=Area.WEBHOOKS,
            summary="Events of the provider are refused.",
            description='{{ $value | printf "%.0f" }} requests to the webhook endpoint were not taken in 15 minutes, half of all or more.',
            expr=f"{refused} >= {_REFUSED_LEAST} and 100 * {refused} / ({refused} + {stored}) >= {q.number(_REFUSED_PERCENT)}",
            for_s=0,
            threshold=_REFUSED_LEAST,
            unit="requests",
            look=lambda seen: on.refused(
                seen, least=_REFUSED_LEAST, percent=_REFUSED_PERCENT, but=_STRANGERS
            ),
        ),
        Alert(
            name="AtumWebhookEventsWaiting",
            severity=Severity.WARNING,
            area=Area.WEBHOOKS,
            summary="Events of the provider are not applied.",
            description=f"The oldest event has waited for {{{{ $value | humanizeDuration }}}}; the threshold is {_EVENTS_S} s.",
            expr=f"{q.age(m.INBOX_OLDEST)} >= {_EVENTS_S}",
            for_s=MINUTE,
            threshold=_EVENTS_S,
            unit="seconds",
            look=on.at_least(lambda now: on.age(now, now.inbox_new.oldest_at), _EVENTS_S),
        ),
        Alert(
            name="AtumBounceRateHigh",
            severity=Severity.WARNING,
            area=Area.REPUTATION,
            summary="Many mails bounce.",
            description=f'{{{{ $value | printf "%.2f" }}}} % of the mails of 24 hours bounced for good; the threshold is {q.number(bounces)} %.',
            expr=f"{q.percent(m.RECENT, 'bounced', period='24h', least=least)} >= {q.number(bounces)}",
            for_s=5 * MINUTE,
            threshold=bounces,
            unit="percent",
            look=on.at_least(lambda now: on.percent_of_sent(now, "bounced", least=least), bounces),
        ),
        Alert(
            name="AtumComplaintRateHigh",
            severity=Severity.WARNING,
            area=Area.REPUTATION,
            summary="Recipients call our mail spam.",
            description=f'{{{{ $value | printf "%.3f" }}}} % of the mails of 24 hours were called spam; the threshold is {q.number(complaints)} %.',
            expr=f"{q.percent(m.RECENT, 'complained', period='24h', least=least, few=_COMPLAINTS)} >= {q.number(complaints)}",
            for_s=5 * MINUTE,
            threshold=complaints,
            unit="percent",
            look=on.at_least(
                lambda now: on.percent_of_sent(now, "complained", least=least, few=_COMPLAINTS), complaints
            ),
        ),
    ]
