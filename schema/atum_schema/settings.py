"""Settings from the environment, with `_FILE` for secrets, checked at start and masked when shown.

Every variable has the prefix `ATUM_`. `ATUM_X_FILE=/path` reads the value of `ATUM_X` from a file (one
trailing newline is dropped); giving both is an error, so that nobody wonders which one won.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from atum_schema.encryption import Keyring, new_key
from atum_schema.errors import SettingsError
from atum_schema.mail_rules import checked_lane

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "ATUM_"


class Settings(BaseSettings):
    """Everything that can be set. Times are seconds, sizes are bytes."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    database_url: SecretStr = Field(description="PostgreSQL connection URL.")
    content_keys: SecretStr = Field(
        description="Content keys as id:base64[,id:base64…], 32 bytes each; the first one encrypts."
    )
    amqp_url: SecretStr | None = Field(None, description="RabbitMQ connection URL; relay and worker need it.")

    postmark_token: SecretStr | None = Field(None, description="Postmark server token; the worker needs it.")
    postmark_url: str = Field("https://api.postmarkapp.com", description="Base URL of the Postmark API.")
    account: str = Field("default", description="Name of the provider account that all lanes use.")

    lanes: str = Field(
        "transactional,broadcast",
        description="Names of the lanes, separated by commas; the first is the fallback.",
    )
    privacy: str = Field(
        "metadata", description="'metadata' drops a mail's content on acceptance, 'full' keeps it in the log."
    )

    window: int = Field(
        32, ge=1, le=10_000, description="Batches that may be in flight per lane and account."
    )
    batch_mails: int = Field(200, ge=1, le=500, description="Mails in a batch, at most.")
    batch_bytes: int = Field(
        20_000_000, ge=1, le=35_000_000, description="Bytes of content in a batch, before its last mail."
    )
    poll_s: float = Field(0.5, gt=0, le=60, description="How often a sleeping relay looks without a wake-up.")
    publish_timeout_s: float = Field(
        5.0, gt=0, le=300, description="Time budget of a publish, until its confirm."
    )
    ticket_lost_after_s: float = Field(
        10.0,
        gt=0,
        le=3600,
        description="A published ticket that nobody claims is repeated; doubles each time.",
    )

    attempts: int = Field(14, ge=1, le=100, description="Charged attempts of a mail before it is dead.")
    tries: int = Field(
        100, ge=1, le=10_000, description="POSTs of a mail, charged or not, before it is dead."
    )
    retry_base_s: float = Field(
        30.0, ge=0.01, le=3600, description="First bound of the exponential back-off."
    )
    retry_max_s: float = Field(3600.0, ge=0.01, le=86_400, description="Largest bound of the back-off.")

    threads: int = Field(8, ge=1, le=256, description="Worker threads per lane.")
    request_timeout_s: float = Field(
        60.0, gt=0, le=600, description="Total deadline from claim to the end of the answer."
    )
    claim_lease_s: float = Field(
        15.0, gt=0, le=600, description="How long a claim may take to reach its POST."
    )
    lease_margin_s: float = Field(
        30.0, gt=0, le=600, description="How long after the deadline a posting batch becomes unknown."
    )
    stop_timeout_s: float = Field(
        75.0, gt=0, le=3600, description="How long SIGTERM waits for work in flight."
    )

    @classmethod
    def settings_customise_sources(  # pydantic-settings' own hook
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, _FileSource(settings_cls)

    @field_validator("database_url")
    @classmethod
    def _not_empty(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().strip():
            raise ValueError("is empty")
        return value

    @field_validator("database_url")
    @classmethod
    def _is_database_url(cls, value: SecretStr) -> SecretStr:
        try:
            conninfo_to_dict(value.get_secret_value())
        except psycopg.ProgrammingError:
            # The driver's own message quotes the URL, password included.
            raise ValueError("is not a PostgreSQL connection URL") from None
        return value

    @field_validator("postmark_url")
    @classmethod
    def _is_http_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be an http or https URL")
        return value

    @field_validator("account")
    @classmethod
    def _named(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("is empty")
        return value

    @field_validator("privacy")
    @classmethod
    def _privacy_known(cls, value: str) -> str:
        if value not in {"metadata", "full"}:
            raise ValueError(f"must be 'metadata' or 'full', not {value!r}")
        return value

    @field_validator("lanes")
    @classmethod
    def _lanes_known(cls, value: str) -> str:
        names = _names(value)
        if not names:
            raise ValueError("at least one name is needed")
        if len(set(names)) != len(names):
            raise ValueError("a name appears twice")
        for name in names:
            # A lane's name is a part of queue names, so settings and mails obey one rule.
            checked_lane(name)
        return value

    @field_validator("retry_max_s")
    @classmethod
    def _not_below_base(cls, value: float, info: ValidationInfo) -> float:
        base = info.data.get("retry_base_s", 0.0)
        if value < base:
            raise ValueError(f"is {value}, below ATUM_RETRY_BASE_S ({base})")
        return value

    @property
    def lane_names(self) -> tuple[str, ...]:
        """The lanes in order; the first one is the fallback of mails whose lane was removed."""
        return _names(self.lanes)

    @property
    def posting_lease_s(self) -> float:
        """Lease of a posting batch: always longer than the local deadline, by the margin."""
        return self.request_timeout_s + self.lease_margin_s

    def keyring(self) -> Keyring:
        """Make the keyring. Raises `SettingsError` when a key is missing or malformed."""
        return Keyring(self.content_keys.get_secret_value())

    def need_amqp_url(self) -> str:
        """Give the RabbitMQ URL. Raises `SettingsError` when it is not set."""
        return _need(self.amqp_url, "AMQP_URL")

    def need_postmark_token(self) -> str:
        """Give the Postmark server token. Raises `SettingsError` when it is not set."""
        return _need(self.postmark_token, "POSTMARK_TOKEN")


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, map(str.strip, text.split(","))))


def load(**overrides: Any) -> Settings:
    """Read the settings from the environment; `overrides` win.

    Raises `SettingsError` that lists every variable that is missing or wrong, never a secret's value.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = [f"{PREFIX}{_name(e['loc'])}: {e['msg']}" for e in error.errors(include_input=False)]
        raise SettingsError("; ".join(lines)) from None


def load_from(environment: Mapping[str, str], **overrides: Any) -> Settings:
    """Read the settings as a process would that has `environment` on top of ours; `overrides` win."""
    ours = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(PREFIX)
    }
    return load(**{**ours, **overrides})


def load_database_url() -> str:
    """Read only the database URL, for commands that need nothing else. Raises `SettingsError`."""
    # A throw-away key satisfies the check of the others; this command neither reads nor writes content.
    return load(content_keys=new_key("none")).database_url.get_secret_value()


def _name(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)).upper() or "SETTINGS"


def _need(secret: SecretStr | None, name: str) -> str:
    if secret is None or not secret.get_secret_value():
        raise SettingsError(f"{PREFIX}{name} is not set (or {PREFIX}{name}_FILE)")
    return secret.get_secret_value()


class _FileSource(PydanticBaseSettingsSource):
    """Reads ATUM_X_FILE for every setting X."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        del field
        variable = f"{PREFIX}{field_name.upper()}"
        path = os.environ.get(f"{variable}_FILE")
        if path is None:
            return None, field_name, False
        if variable in os.environ:
            raise SettingsError(f"{variable} and {variable}_FILE are both set; keep one")
        try:
            return Path(path).read_text("utf-8").removesuffix("\n"), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{variable}_FILE: cannot read {path}: {error.__class__.__name__}") from None

    def __call__(self) -> dict[str, Any]:
        values = {name: self.get_field_value(None, name)[0] for name in self.settings_cls.model_fields}
        return {name: value for name, value in values.items() if value is not None}
