"""Settings about operating: what operators change while the system runs, and how long things are kept.

A field that is marked `live` may be set in Postgres, where it goes before the environment (`atum_schema.live`).
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, Field, ValidationInfo, field_validator

LIVE: Final[dict[str, Any]] = {"live": True}
"""Marks a field that operators may change while the system runs."""

FALLBACK_MODES: Final = ("off", "auto", "on")

LESS: Final = {
    "alert_failure_rate_critical_threshold": "alert_failure_rate_threshold",
    "alert_queue_backlog_critical_threshold": "alert_queue_backlog_threshold",
}
"""What is worse has to be set higher, and the setting that it is compared with."""


class OperatingSettings(BaseModel):
    """Thresholds of alerts, retention, and the policy of the fallback provider."""

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

    retention_days: int = Field(
        90,
        ge=1,
        le=3650,
        json_schema_extra=LIVE,
        description="Days that ended mails stay in the log, at least; months are dropped whole.",
    )
    content_retention_days: int = Field(
        30,
        ge=1,
        le=3650,
        json_schema_extra=LIVE,
        description="Days that the content of ended mails stays where ATUM_PRIVACY is 'full'.",
    )

    fallback: str = Field(
        "off",
        json_schema_extra=LIVE,
        description="Whether the SMTP relay takes mail: 'off', 'auto' (while a window has been closed for long), 'on'.",
    )
    fallback_after_s: float = Field(
        900.0,
        ge=1,
        le=86_400,
        json_schema_extra=LIVE,
        description="How long a lane's window has been closed when 'auto' turns to the SMTP relay.",
    )

    @field_validator("fallback")
    @classmethod
    def _mode_known(cls, value: str) -> str:
        if value not in FALLBACK_MODES:
            raise ValueError(f"must be one of {', '.join(FALLBACK_MODES)}, not {value!r}")
        return value

    @field_validator(*LESS)
    @classmethod
    def _above_warning(cls, value: float, info: ValidationInfo) -> float:
        less = LESS[info.field_name or ""]
        bound = info.data.get(less, 0)
        if value < bound:
            raise ValueError(f"is {value:g}, below ATUM_{less.upper()} ({bound:g})")
        return value
