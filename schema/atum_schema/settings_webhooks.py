"""Settings about the way back: the webhook endpoint, and asking the provider for what no webhook has told."""

from __future__ import annotations

from pydantic import BaseModel, Field, SecretStr

from atum_schema.settings_operating import LIVE


class WebhookSettings(BaseModel):
    """How the endpoint is reached and who may tell it something; how often the provider is asked."""

    webhook_host: str = Field("127.0.0.1", description="Address that the webhook endpoint listens on.")
    webhook_port: int = Field(8026, ge=1, le=65_535, description="Port that the webhook endpoint listens on.")
    webhook_path: str = Field(
        "/webhooks/postmark", description="Path of the webhook endpoint; a long random one is one more lock."
    )
    webhook_url: str | None = Field(
        None,
        description="URL at which the provider reaches the endpoint, without credentials; 'webhook setup' needs it.",
    )
    webhook_basic: SecretStr | None = Field(
        None,
        description="Basic credentials as user:password[,user:password]: the one to use, and one that still counts.",
    )
    webhook_secret: SecretStr | None = Field(
        None,
        description="Secrets that a header must carry, as secret[,secret]: the one to use, and one that still counts.",
    )
    webhook_secret_header: str = Field("X-Atum-Webhook-Secret", description="Name of that header.")
    webhook_signing_keys: SecretStr | None = Field(
        None,
        description="Keys of own relays that sign what they pass on, as key[,key], 32 characters or more each.",
    )
    webhook_signature_window_s: float = Field(
        300.0, ge=10, le=3600, description="How old a signature may be, by its timestamp."
    )
    webhook_allow: str | None = Field(
        None,
        description="Addresses and networks that events may come from, separated by commas; all, if not set.",
    )
    webhook_proxies: str | None = Field(
        None,
        description="Addresses and networks of own proxies, whose X-Forwarded-For is believed, separated by commas.",
    )
    webhook_body_bytes: int = Field(
        25_000_000, ge=100_000, le=100_000_000, description="Size of an event, at most."
    )
    webhook_retention_s: float = Field(
        30 * 86_400.0,
        ge=86_400,
        le=400 * 86_400,
        description="How long events are kept after they were applied; until then a copy of one is known.",
    )
    webhook_park_s: float = Field(
        3 * 86_400.0,
        ge=60,
        le=30 * 86_400,
        description="How long a mail is looked for that an event belongs to.",
    )
    catch_up_s: float = Field(
        300.0,
        ge=1,
        le=86_400,
        json_schema_extra=LIVE,
        description="How often the provider is asked for what no webhook has told.",
    )
    catch_up_ages_s: str = Field(
        "1200,86400",
        description="How old a mail is when the provider is asked what became of it, in case no webhook told.",
    )
    catch_up_rate: float = Field(
        10.0,
        ge=0.1,
        le=1000,
        json_schema_extra=LIVE,
        description="Requests per second that catching up makes, at most.",
    )
