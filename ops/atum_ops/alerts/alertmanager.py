"""The configuration of Alertmanager, which is committed as deploy/alertmanager/alertmanager.yml. Pure.

::

    critical ──▶ atum-mailer-page      Slack, e-mail, webhook
    warning ───▶ atum-mailer-ticket    Slack, e-mail, webhook
    watchdog ──▶ atum-mailer-watchdog  a dead man's switch: tells somebody when nothing comes any more
    muting ────▶ atum-mailer-nobody

Only what Alertmanager 0.25 knows is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from atum_ops.alerts.alert import Severity
from atum_ops.alerts.alertmanager_receivers import CHANNELS, receivers
from atum_ops.alerts.inhibition import INHIBITIONS, MUTING
from atum_ops.alerts.rule_file import comment, dumped, duration

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from atum_schema.settings import Settings

_MOST_S: Final = 300
_LEAST_TICKS: Final = 4

_HEAD: Final = (
    "Alertmanager (0.25 and newer) for the alerts of atum-mailer.",
    "Made by `atum-mailer alerts render --what alertmanager`. Fill in what is marked with FILL IN, and the files with secrets.",
    "What you do not have, leave out: `--channel slack --channel email …`. A channel that is there and does not work counts as",
    "failed notices, and then AtumAlertDeliveryFailing fires.",
)
_OF_ROUTE: Final = (
    "The cooldown has two halves. keep_firing_for in the rules keeps an alert for so long after its condition has ended, so that",
    "a flap tells nobody anything. repeat_interval repeats an alert that stays. Alertmanager looks at it once every",
    "group_interval, so the cooldown is a multiple of that: else it would be rounded up to one. Where sending a notice took",
    "long, the next one comes one group_interval later; it never comes sooner.",
)
_OF_INHIBITION: Final = (
    "Who is told of the cause is not told of what follows from it. AtumMuting is there while the condition of its source is met;",
    "the source itself stays for the cooldown, and would mute others for so long after the end. No alert mutes itself.",
)


def configuration(settings: Settings, *, channels: Collection[str] = CHANNELS) -> str:
    """Render Alertmanager's configuration with the cooldown of these settings and these of `CHANNELS`."""
    return "".join(
        (
            comment(_HEAD),
            "\n",
            dumped({"templates": ["templates/atum-mailer.tmpl"]}),
            "\n",
            comment(_OF_ROUTE),
            dumped({"route": _route(settings.alert_cooldown_seconds)}),
            "\n",
            comment(_OF_INHIBITION),
            dumped({"inhibit_rules": inhibit_rules()}),
            "\n",
            receivers(settings, channels),
        )
    )


def group_interval_s(cooldown_s: int) -> int:
    """Give the most seconds that divide the cooldown: at most five minutes, and at most a quarter of it."""
    most = min(_MOST_S, cooldown_s // _LEAST_TICKS)
    return next(seconds for seconds in range(most, 0, -1) if cooldown_s % seconds == 0)


def _route(cooldown_s: int) -> dict[str, Any]:
    return {
        "receiver": "atum-mailer-ticket",
        "group_by": ["alertname"],
        "group_wait": "30s",
        "group_interval": duration(group_interval_s(cooldown_s)),
        "repeat_interval": duration(cooldown_s),
        "routes": [
            {
                "matchers": ['alertname="AtumWatchdog"'],
                "receiver": "atum-mailer-watchdog",
                "group_wait": "0s",
                "group_interval": "30s",
                "repeat_interval": "1m",
            },
            {"matchers": [f'alertname="{MUTING}"'], "receiver": "atum-mailer-nobody"},
            {"matchers": [f'severity="{Severity.CRITICAL.value}"'], "receiver": "atum-mailer-page"},
            {"matchers": [f'severity="{Severity.WARNING.value}"'], "receiver": "atum-mailer-ticket"},
        ],
    }


def inhibit_rules() -> list[dict[str, Any]]:
    """Give who mutes whom, as `atum_ops.alerts.inhibition` has it."""
    ours = 'alertname=~"Atum.+"'
    return [
        *(
            {
                "source_matchers": [f'alertname="{MUTING}"', f"source=~{_any_of(one.sources)}"],
                "target_matchers": [
                    ours,
                    f"area=~{_any_of([area.value for area in one.areas])}",
                    f"alertname!~{_any_of(one.sources)}",
                ],
            }
            for one in INHIBITIONS
        ),
        {
            "source_matchers": [ours, f'severity="{Severity.CRITICAL.value}"'],
            "target_matchers": [ours, f'severity="{Severity.WARNING.value}"'],
            "equal": ["area"],
        },
    ]


def _any_of(words: Sequence[str]) -> str:
    return f'"{"|".join(words)}"'
