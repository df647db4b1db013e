"""Whom Alertmanager tells, and how: each purpose is a receiver, each channel an integration in it. Pure.

Secrets are never in it: it names the files that hold them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from atum_ops.alerts.receivers.mail import SMTPS_PORT, server
from atum_ops.alerts.rule_file import comment, dumped

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from atum_schema.settings import Settings

CHANNELS: Final = ("slack", "email", "webhook", "watchdog")
"""What notices can go to."""

SECRETS: Final = "/etc/prometheus/secrets"
"""Folder of the files with secrets; Alertmanager's user has to be able to read them, and nobody else."""

_WATCHDOG: Final = "A service that tells somebody when it has heard nothing for five minutes: then alerting itself is broken."


class _Integration(NamedTuple):
    kind: str
    remarks: tuple[str, ...]
    values: dict[str, Any]


def receivers(settings: Settings, channels: Collection[str]) -> str:
    """Render the list of receivers with these of `CHANNELS`."""

    def told(purpose: str) -> list[_Integration]:
        made = {"slack": _slack(), "email": _email(settings), "webhook": _webhook(purpose)}
        return [integration for name, integration in made.items() if name in channels]

    switch = [_switch()] if "watchdog" in channels else []
    return "receivers:\n" + "".join(
        (
            _receiver("atum-mailer-page", "Somebody looks now.", told("page")),
            _receiver("atum-mailer-ticket", "Somebody looks today.", told("ticket")),
            _receiver("atum-mailer-watchdog", _WATCHDOG, switch),
            _receiver("atum-mailer-nobody", "For what is there only to mute others.", []),
        )
    )


def _receiver(name: str, what: str, integrations: Sequence[_Integration]) -> str:
    parts = [comment([what], indent=2), f"  - name: {name}\n"]
    for one in integrations:
        parts += [f"    {one.kind}:\n", comment(one.remarks, indent=6), dumped([one.values], indent=6)]
    return "".join(parts)


def _slack() -> _Integration:
    remarks = ("The file holds the URL of an incoming webhook, which also says the channel.",)
    values = {
        "api_url_file": f"{SECRETS}/slack_url",
        "send_resolved": True,
        "title": '{{ template "atum_mailer.slack.title" . }}',
        "title_link": '{{ template "atum_mailer.slack.title_link" . }}',
        "color": '{{ template "atum_mailer.slack.color" . }}',
        "text": '{{ template "atum_mailer.slack.text" . }}',
        "fallback": '{{ template "atum_mailer.slack.title" . }}',
    }
    return _Integration("slack_configs", remarks, values)


def _email(settings: Settings) -> _Integration:
    remarks = [
        "Not through atum-mailer, nor the provider account that it uses: what is to say that mail is stuck must not be stuck."
    ]
    smarthost, user, over_tls = "smtp.example.com:587", "alerts@example.com", True
    if settings.alert_email_url is None:
        remarks += [
            "FILL IN the server and the user, or set ATUM_ALERT_EMAIL_URL; the password is in the file."
        ]
    else:
        to = server(settings.alert_email_url)
        smarthost = f"[{to.host}]:{to.port}" if ":" in to.host else f"{to.host}:{to.port}"
        user, over_tls = to.user or "", to.needs_tls
        if to.at_once and to.port != SMTPS_PORT:
            remarks += [f"Alertmanager speaks TLS from the first byte on port {SMTPS_PORT} alone."]
    if settings.alert_email_to is None or settings.alert_email_from is None:
        remarks += ["FILL IN the addresses, or set ATUM_ALERT_EMAIL_TO and ATUM_ALERT_EMAIL_FROM."]
    values = {
        "to": settings.alert_email_to or "operators@example.com",
        "from": settings.alert_email_from or "alerts@example.com",
        "smarthost": smarthost,
        **({"auth_username": user, "auth_password_file": f"{SECRETS}/smtp_password"} if user else {}),
        "require_tls": over_tls,
        "send_resolved": True,
        "headers": {"Subject": '{{ template "atum_mailer.email.subject" . }}'},
        "html": '{{ template "atum_mailer.email.html" . }}',
        "text": '{{ template "atum_mailer.email.text" . }}',
    }
    return _Integration("email_configs", tuple(remarks), values)


def _webhook(purpose: str) -> _Integration:
    remarks = ("FILL IN the URL: Alertmanager 0.25 reads none from a file, so keep the secret in the token.",)
    values = {
        "url": f"http://127.0.0.1:9095/{purpose}",
        "send_resolved": True,
        "http_config": {"authorization": {"credentials_file": f"{SECRETS}/webhook_token"}},
    }
    return _Integration("webhook_configs", remarks, values)


def _switch() -> _Integration:
    values = {"url": "http://127.0.0.1:9095/watchdog", "send_resolved": False}
    return _Integration("webhook_configs", ("FILL IN the URL.",), values)
