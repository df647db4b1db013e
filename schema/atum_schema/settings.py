"""Settings from the environment, with `_FILE` for secrets, checked at start and masked when shown.

Every variable has the prefix `ATUM_`. `ATUM_X_FILE=/path` reads the value of `ATUM_X` from a file (one
trailing newline is dropped); giving both is an error, so that nobody wonders which one won.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from atum_schema.encryption import Keyring, new_key
from atum_schema.errors import SettingsError
from atum_schema.flow import Policy
from atum_schema.mail_rules import checked_lane
from atum_schema.settings_alerts import AlertSettings
from atum_schema.settings_api import ApiSettings
from atum_schema.settings_files import PREFIX, FileSource
from atum_schema.settings_metrics import MetricsSettings
from atum_schema.settings_operating import LIVE, OperatingSettings
from atum_schema.settings_problems import problem
from atum_schema.settings_settling import SettlingSettings
from atum_schema.settings_smtp import SmtpSettings
from atum_schema.settings_text import listed
from atum_schema.settings_webhooks import WebhookSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

_MIN_RATE = 0.01
_MAX_RATE = 1_000_000.0
_HALF_LIFE_S = 10.0
NO_AMQP_URL = f"{PREFIX}AMQP_URL is not a RabbitMQ connection URL (amqp://… or amqps://…)"
FIRST_BOUNDS = {"retry_max_s": "retry_base_s", "probe_max_s": "probe_s"}
"""The largest bound of a distance, and the setting with its first one."""


class Settings(
    WebhookSettings,
    MetricsSettings,
    AlertSettings,
    OperatingSettings,
    SmtpSettings,
    ApiSettings,
    SettlingSettings,
    BaseSettings,
):
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
    postmark_account_token: SecretStr | None = Field(
        None,
        description="Postmark account token; 'health check' asks with it whether sender domains are verified.",
    )
    dkim_selector: str | None = Field(
        None,
        description="DKIM selector of the sender domains; without an account token, 'health check' looks it up in DNS.",
    )
    dns_server: str | None = Field(
        None, description="DNS server that 'health check' asks, as address[:port]; the system's, if not set."
    )
    account: str = Field("default", description="Name of the provider account that all lanes use.")

    lanes: str = Field(
        "transactional,broadcast",
        description="Names of the lanes, separated by commas; the first is the fallback.",
    )
    privacy: str = Field(
        "metadata", description="'metadata' drops a mail's content on acceptance, 'full' keeps it in the log."
    )

    window: int = Field(
        32,
        ge=1,
        le=10_000,
        json_schema_extra=LIVE,
        description="Batches that may be in flight per lane and account, at most.",
    )
    rates: str | None = Field(
        None,
        json_schema_extra=LIVE,
        description="Mails per second that lanes may issue, as lane=rate[,lane=rate…]; others have no limit.",
    )
    outage_share: float = Field(
        0.5,
        gt=0,
        le=1,
        json_schema_extra=LIVE,
        description="Share of failures among recent requests from which a window closes …",
    )
    outage_requests: int = Field(
        5, ge=1, le=10_000, json_schema_extra=LIVE, description="… if so many requests failed, at least."
    )
    probe_s: float = Field(
        1.0,
        ge=0.01,
        le=3600,
        json_schema_extra=LIVE,
        description="First bound of the distance between probes.",
    )
    probe_max_s: float = Field(
        60.0,
        ge=0.01,
        le=3600,
        json_schema_extra=LIVE,
        description="Largest bound of the distance between probes.",
    )
    pause_probe_s: float = Field(
        30.0,
        ge=0.01,
        le=3600,
        json_schema_extra=LIVE,
        description="Bound of the distance between probes of a lane that paused itself.",
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

    attempts: int = Field(
        14, ge=1, le=100, json_schema_extra=LIVE, description="Charged attempts of a mail before it is dead."
    )
    tries: int = Field(
        100,
        ge=1,
        le=10_000,
        json_schema_extra=LIVE,
        description="POSTs of a mail, charged or not, before it is dead.",
    )
    retry_base_s: float = Field(
        30.0, ge=0.01, le=3600, json_schema_extra=LIVE, description="First bound of the exponential back-off."
    )
    retry_max_s: float = Field(
        3600.0, ge=0.01, le=86_400, json_schema_extra=LIVE, description="Largest bound of the back-off."
    )

    pull_after_s: float = Field(
        2.0,
        gt=0,
        le=3600,
        description="Workers take a batch from Postgres when its ticket is this late.",
    )
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
        return init_settings, env_settings, FileSource(settings_cls)

    @field_validator("database_url")
    @classmethod
    def _not_empty(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().strip():
            raise ValueError("is empty")
        return value

    @field_validator("database_url", "exporter_database_url")
    @classmethod
    def _is_database_url(cls, value: SecretStr | None) -> SecretStr | None:
        try:
            conninfo_to_dict("" if value is None else value.get_secret_value())
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
        names = listed(value)
        if not names:
            raise ValueError("at least one name is needed")
        if len(set(names)) != len(names):
            raise ValueError("a name appears twice")
        for name in names:
            # A lane's name is a part of queue names, so settings and mails obey one rule.
            checked_lane(name)
        return value

    @field_validator("retry_max_s", "probe_max_s")
    @classmethod
    def _not_below_first(cls, value: float, info: ValidationInfo) -> float:
        first = FIRST_BOUNDS[info.field_name or ""]
        bound = info.data.get(first, 0.0)
        if value < bound:
            raise ValueError(f"is {value}, below {PREFIX}{first.upper()} ({bound})")
        return value

    @field_validator("rates")
    @classmethod
    def _are_rates(cls, value: str | None, info: ValidationInfo) -> str | None:
        pairs = [_pair(part) for part in listed(value or "")]
        lanes = listed(info.data.get("lanes", ""))
        for lane, rate in pairs:
            if lane not in lanes:
                raise ValueError(f"{lane!r} is no lane of ATUM_LANES ({', '.join(lanes)})")
            if not _MIN_RATE <= rate <= _MAX_RATE:
                raise ValueError(f"the rate of {lane} is {rate:g}, must be {_MIN_RATE} to {_MAX_RATE:.0f}")
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a lane appears twice")
        return value

    @property
    def lane_names(self) -> tuple[str, ...]:
        """The lanes in order; the first one is the fallback of mails whose lane was removed."""
        return listed(self.lanes)

    @property
    def drops_content(self) -> bool:
        """Whether content goes once the mail is accepted."""
        return self.privacy == "metadata"

    @property
    def lane_rates(self) -> dict[str, float]:
        """Mails per second that a lane may issue; lanes that are not in it have no limit."""
        return dict(map(_pair, listed(self.rates or "")))

    @property
    def flow_policy(self) -> Policy:
        """When windows close, and how they probe."""
        return Policy(
            share=self.outage_share,
            requests=self.outage_requests,
            probe_s=self.probe_s,
            probe_max_s=self.probe_max_s,
            pause_probe_s=self.pause_probe_s,
            # Requests that time out one after the other must still meet in the counters.
            half_life_s=max(_HALF_LIFE_S, self.request_timeout_s),
        )

    @property
    def posting_lease_s(self) -> float:
        """Lease of a posting batch: always longer than the local deadline, by the margin."""
        return self.request_timeout_s + self.lease_margin_s

    def keyring(self) -> Keyring:
        """Make the keyring. Raises `SettingsError` when a key is missing or malformed."""
        return Keyring(self.content_keys.get_secret_value())

    def need_amqp_url(self) -> str:
        """Give the RabbitMQ URL. Raises `SettingsError` when it is not set, or is no such URL."""
        url = _need(self.amqp_url, "AMQP_URL")
        if not _is_amqp_url(url):
            # What is wrong with it may be a part of the password.
            raise SettingsError(NO_AMQP_URL)
        return url

    def need_postmark_token(self) -> str:
        """Give the Postmark server token. Raises `SettingsError` when it is not set."""
        return _need(self.postmark_token, "POSTMARK_TOKEN")


def _pair(text: str) -> tuple[str, float]:
    """Read `lane=rate`."""
    lane, _, rate = map(str.strip, text.partition("="))
    try:
        return lane, float(rate)
    except ValueError:
        raise ValueError(f"must be lane=rate[,lane=rate…], not {text!r}") from None


def load(**overrides: Any) -> Settings:
    """Read the settings from the environment; `overrides` win.

    Raises `SettingsError` that lists every variable that is missing or wrong, never a secret's value.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError(problems(error)) from None


def problems(error: ValidationError) -> str:
    """Say of each variable what is wrong with it, never its value if that is a secret."""
    return "; ".join(problem(each, Settings.model_fields) for each in error.errors())


def load_from(environment: Mapping[str, str], **overrides: Any) -> Settings:
    """Read the settings as a process would that has `environment` on top of ours; `overrides` win."""
    ours = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(PREFIX)
    }
    return load(**{**ours, **overrides})


def load_without_keys() -> Settings:
    """Read the settings for a command that neither reads nor writes content. Raises `SettingsError`."""
    # A throw-away key satisfies the check of the others.
    return load(content_keys=new_key("none"))


def load_for_exporter(**overrides: Any) -> Settings:
    """Read the settings of the exporter: it needs no keys, and `database_url` is that of its own role, if it has one.

    Raises `SettingsError`.
    """
    ours = f"{PREFIX}DATABASE_URL"
    given = not {ours, f"{ours}_FILE"}.isdisjoint(os.environ)
    stand_in = {} if given else {"database_url": "postgresql://"}
    loaded = load(content_keys=new_key("none"), **stand_in, **overrides)
    if loaded.exporter_database_url is not None:
        return loaded.model_copy(update={"database_url": loaded.exporter_database_url})
    if not given:
        raise SettingsError(f"neither {PREFIX}EXPORTER_DATABASE_URL nor {ours} is set (or …_FILE)")
    return loaded


def load_database_url() -> str:
    """Read only the database URL, for commands that need nothing else. Raises `SettingsError`."""
    return load_without_keys().database_url.get_secret_value()


def _is_amqp_url(url: str) -> bool:
    """Whether it names RabbitMQ's host. The driver takes anything, and then for a virtual host on this machine."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"amqp", "amqps"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _need(secret: SecretStr | None, name: str) -> str:
    if secret is None or not secret.get_secret_value():
        raise SettingsError(f"{PREFIX}{name} is not set (or {PREFIX}{name}_FILE)")
    return secret.get_secret_value()
