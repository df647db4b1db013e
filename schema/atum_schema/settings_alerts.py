"""Settings about alerts: from where on operators are told, how often, and who is told.

The same thresholds are rendered into the rules of Prometheus (`atum-mailer alerts render`) and evaluated without it
(`atum-mailer alerts watch`).
"""

from __future__ import annotations

import shlex
from typing import Final
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, Field, SecretStr, ValidationInfo, field_validator

from atum_schema.addresses import parse_addresses
from atum_schema.errors import MailRejected
from atum_schema.settings_operating import LIVE

LESS: Final = {
    "alert_failure_rate_critical_threshold": "alert_failure_rate_threshold",
    "alert_queue_backlog_critical_threshold": "alert_queue_backlog_threshold",
    "alert_oldest_age_critical_seconds": "alert_oldest_age_seconds",
}
"""What is worse has to be set higher, and the setting that it is compared with."""


class AlertSettings(BaseModel):
    """From where on operators are told, how often, and who is told."""

    alert_failure_rate_threshold: float = Field(
        10.0,
        ge=0.1,
        le=100,
        json_schema_extra=LIVE,
        description="Percent of finished mails that failed in 24 hours, from which operators are told.",
    )
    alert_failure_rate_critical_threshold: float = Field(
        25.0, ge=0.1, le=100, json_schema_extra=LIVE, description="The same, from which it is urgent."
    )
    alert_queue_backlog_threshold: int = Field(
        100,
        ge=1,
        le=1_000_000_000,
        json_schema_extra=LIVE,
        description="Mails that are due or sending, from which operators are told.",
    )
    alert_queue_backlog_critical_threshold: int = Field(
        1000, ge=1, le=1_000_000_000, json_schema_extra=LIVE, description="The same, from which it is urgent."
    )
    alert_cooldown_seconds: int = Field(
        3600, ge=60, le=86_400, json_schema_extra=LIVE, description="How long an alert is not repeated."
    )
    alert_failure_rate_least: int = Field(
        50,
        ge=1,
        le=1_000_000_000,
        json_schema_extra=LIVE,
        description="Mails that have to finish in 24 hours before a failure rate means something.",
    )
    alert_oldest_age_seconds: int = Field(
        900,
        ge=10,
        le=604_800,
        json_schema_extra=LIVE,
        description="How long the oldest mail may be due or sending, until operators are told.",
    )
    alert_oldest_age_critical_seconds: int = Field(
        3600, ge=10, le=604_800, json_schema_extra=LIVE, description="The same, until it is urgent."
    )
    alert_dead_letters_threshold: int = Field(
        10,
        ge=1,
        le=1_000_000_000,
        json_schema_extra=LIVE,
        description="Mails that died in one hour, from which operators are told.",
    )
    alert_unknown_age_seconds: int = Field(
        3600,
        ge=60,
        le=2_592_000,
        json_schema_extra=LIVE,
        description="How long the outcome of a mail may be unknown, until operators are told.",
    )
    alert_bounce_rate_threshold: float = Field(
        5.0,
        ge=0.01,
        le=100,
        json_schema_extra=LIVE,
        description="Percent of sent mails that bounced for good in 24 hours, from which operators are told.",
    )
    alert_complaint_rate_threshold: float = Field(
        0.1,
        ge=0.001,
        le=100,
        json_schema_extra=LIVE,
        description="Percent of sent mails that recipients called spam in 24 hours, from which operators are told.",
    )
    alert_webhook_silence_seconds: int = Field(
        3600,
        ge=300,
        le=604_800,
        json_schema_extra=LIVE,
        description="How long no event may come while mails are sent, until operators are told.",
    )

    alert_runbook_url: str = Field(
        "docs/runbooks",
        description="Where the pages of docs/runbooks are published, so that alerts link to them.",
    )
    alert_dashboard_url: str | None = Field(
        None, description="URL of the dashboard that alerts link to, if there is one."
    )

    alert_webhook_url: SecretStr | None = Field(
        None, description="'alerts watch' POSTs each notice as JSON to this URL."
    )
    alert_webhook_token: SecretStr | None = Field(None, description="Sent along with it, as a bearer token.")
    alert_slack_url: SecretStr | None = Field(
        None, description="Incoming webhook of Slack that 'alerts watch' tells."
    )
    alert_email_to: str | None = Field(
        None, description="Addresses that 'alerts watch' mails, separated by commas; not through this system."
    )
    alert_email_from: str | None = Field(None, description="Sender of those mails.")
    alert_email_url: SecretStr | None = Field(
        None,
        description="SMTP server for those mails, as smtp[s]://[user:password@]host[:port].",
    )
    alert_command: SecretStr | None = Field(
        None,
        description="Command that 'alerts watch' runs for each notice, which comes as JSON on its input; no shell.",
    )

    @field_validator(*LESS)
    @classmethod
    def _above_warning(cls, value: float, info: ValidationInfo) -> float:
        less = LESS[info.field_name or ""]
        bound = info.data.get(less, 0)
        if value < bound:
            raise ValueError(f"is {value:g}, below ATUM_{less.upper()} ({bound:g})")
        return value

    @field_validator("alert_webhook_url", "alert_slack_url")
    @classmethod
    def _is_alert_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parts = urlsplit(value.get_secret_value())
            # The value itself is a secret: who knows it can post.
            if parts.scheme not in {"http", "https"} or not parts.hostname or not _has_good_port(parts):
                raise ValueError("must be an http or https URL")
        return value

    @field_validator("alert_email_to", "alert_email_from")
    @classmethod
    def _are_addresses(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                if not parse_addresses(value):
                    raise ValueError("is empty")
            except MailRejected as error:
                raise ValueError(str(error)) from None
        return value

    @field_validator("alert_email_url")
    @classmethod
    def _is_email_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parts = urlsplit(value.get_secret_value())
            if parts.scheme not in {"smtp", "smtps"} or not parts.hostname or not _has_good_port(parts):
                raise ValueError("must be smtp[s]://[user:password@]host[:port]")
        return value

    @field_validator("alert_command")
    @classmethod
    def _is_command(cls, value: SecretStr | None) -> SecretStr | None:
        # A secret, since its arguments may hold one.
        if value is not None:
            try:
                words = shlex.split(value.get_secret_value())
            except ValueError as error:
                raise ValueError(f"cannot be split into words: {error}") from None
            if not words:
                raise ValueError("is empty")
        return value


def _has_good_port(parts: SplitResult) -> bool:
    # The error's own words would show a piece of the secret.
    try:
        return parts.port != 0
    except ValueError:
        return False
