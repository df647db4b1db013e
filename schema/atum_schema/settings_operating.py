"""Settings about operating: what operators change while the system runs, and how long things are kept.

A field that is marked `live` may be set in Postgres, where it goes before the environment (`atum_schema.live`).
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, Field, field_validator

LIVE: Final[dict[str, Any]] = {"live": True}
"""Marks a field that operators may change while the system runs."""

FALLBACK_MODES: Final = ("off", "auto", "on")


class OperatingSettings(BaseModel):
    """Retention, and the policy of the fallback provider."""

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
