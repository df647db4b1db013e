"""Settings about being looked at: metrics, the exporter, logs."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, Field, SecretStr, field_validator

LOG_FORMATS: Final = ("auto", "json", "text")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")


class MetricsSettings(BaseModel):
    """Where metrics are served, and how logs look."""

    metrics_host: str = Field(
        "127.0.0.1", description="Address that relay, intake, worker and api serve their metrics on."
    )
    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="Port of those metrics, one per process; 0 is any that is free, and not set is none.",
    )
    exporter_host: str = Field("127.0.0.1", description="Address that the exporter listens on.")
    exporter_port: int = Field(8027, ge=1, le=65_535, description="Port that the exporter listens on.")
    exporter_every_s: float = Field(
        10.0, ge=1, le=300, description="How often the exporter reads the database, at most."
    )
    exporter_database_url: SecretStr | None = Field(
        None,
        description="PostgreSQL connection URL of the exporter's own role, which can only read; ATUM_DATABASE_URL, if not set.",
    )
    log_format: str = Field(
        "auto", description="'json', 'text', or 'auto': text where a person looks on, else JSON."
    )
    log_level: str = Field("info", description="'debug', 'info', 'warning' or 'error'.")

    @field_validator("log_format")
    @classmethod
    def _format_known(cls, value: str) -> str:
        if value not in LOG_FORMATS:
            raise ValueError(f"must be one of {', '.join(LOG_FORMATS)}, not {value!r}")
        return value

    @field_validator("log_level")
    @classmethod
    def _level_known(cls, value: str) -> str:
        if value not in LOG_LEVELS:
            raise ValueError(f"must be one of {', '.join(LOG_LEVELS)}, not {value!r}")
        return value
