"""All receivers that the settings and the installed packages name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from atum_ops.alerts.receivers import command, entry_points, mail, slack, webhook
from atum_schema.errors import SettingsError
from atum_schema.settings_fields import variable

if TYPE_CHECKING:
    from atum_ops.alerts.receivers.entry_points import Broken
    from atum_ops.alerts.receivers.receiver import Receiver
    from atum_schema.settings import Settings

_EMAIL: Final = ("alert_email_to", "alert_email_from", "alert_email_url")


class Receivers(NamedTuple):
    """Who can be told, and which entry points cannot."""

    usable: tuple[Receiver, ...]
    broken: tuple[Broken, ...]


def receivers(settings: Settings) -> Receivers:
    """Make all receivers. Raises `SettingsError` where settings lack others, and where nobody at all can be told."""
    problems = _lacking(settings)
    if problems:
        raise SettingsError("; ".join(problems))
    points, broken = entry_points.load()
    usable = (*_of_settings(settings), *points)
    if not usable:
        groups = ", ".join(entry_points.GROUPS)
        hurt = "".join(f"; {one.name} {one.why}" for one in broken)
        raise SettingsError(
            "nobody is told of alerts: set ATUM_ALERT_WEBHOOK_URL, ATUM_ALERT_SLACK_URL, ATUM_ALERT_COMMAND, or"
            f" ATUM_ALERT_EMAIL_URL with _TO and _FROM, or install a package with an entry point in {groups}{hurt}"
        )
    return Receivers(usable, tuple(broken))


def _lacking(settings: Settings) -> list[str]:
    problems = []
    missing = [name for name in _EMAIL if getattr(settings, name) is None]
    if 0 < len(missing) < len(_EMAIL):
        given = [name for name in _EMAIL if name not in missing]
        problems.append(f"{_named(given)} needs {_named(missing)}")
    if settings.alert_webhook_token is not None and settings.alert_webhook_url is None:
        problems.append(f"{_named(['alert_webhook_token'])} needs {_named(['alert_webhook_url'])}")
    return problems


def _named(names: list[str]) -> str:
    return " and ".join(variable(name) for name in names)


def _of_settings(settings: Settings) -> list[Receiver]:
    found = []
    if settings.alert_webhook_url is not None:
        found.append(webhook.receiver(settings.alert_webhook_url, settings.alert_webhook_token))
    if settings.alert_slack_url is not None:
        found.append(slack.receiver(settings.alert_slack_url))
    to, sender, url = settings.alert_email_to, settings.alert_email_from, settings.alert_email_url
    if to is not None and sender is not None and url is not None:
        found.append(mail.receiver(url, sender=sender, recipients=to))
    if settings.alert_command is not None:
        found.append(command.receiver(settings.alert_command.get_secret_value()))
    return found
