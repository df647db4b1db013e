"""Settings of the SMTP relay that stands in for the provider; see `atum_schema.fallback` for when it does."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, ValidationInfo, field_validator

from atum_schema.fallback import SMTP

STARTTLS: Final = "starttls"
TLS: Final = "tls"
PLAIN: Final = "plain"

# Scheme to how the connection is protected, and the port where none is given.
_SCHEMES: Final = {"smtp": (STARTTLS, 587), "smtps": (TLS, 465), "smtp+plain": (PLAIN, 25)}


class SmtpServer(NamedTuple):
    """Where the SMTP relay is, and how the connection to it is protected."""

    host: str
    port: int
    #: `starttls`, `tls` or `plain`.
    protection: str


class SmtpSettings(BaseModel):
    """Where the SMTP relay is and who we are there."""

    smtp_url: str | None = Field(
        None,
        description="SMTP relay that may stand in: smtp://host:587 (STARTTLS) or smtps://host:465, without credentials.",
    )
    smtp_username: str | None = Field(None, description="User at the SMTP relay; none, if not set.")
    smtp_password: SecretStr | None = Field(None, description="Password at the SMTP relay.")
    smtp_connections: int = Field(
        4, ge=1, le=100, description="Connections to the SMTP relay per worker process, at most."
    )
    smtp_ca: str | None = Field(
        None,
        description="Certificates (PEM) that sign the SMTP relay's, best as …_FILE; the system's, if not set.",
    )

    @field_validator("smtp_url")
    @classmethod
    def _is_smtp_url(cls, value: str | None) -> str | None:
        if value is not None:
            read_smtp_url(value)
        return value

    @field_validator("smtp_username")
    @classmethod
    def _is_one_line(cls, value: str | None) -> str | None:
        if value is not None and not (value and value.isprintable() and value.isascii()):
            raise ValueError("must be printable ASCII and not empty")
        return value

    @field_validator("smtp_password")
    @classmethod
    def _has_a_user(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None and info.data.get("smtp_username") is None:
            raise ValueError("is set, but ATUM_SMTP_USERNAME is not")
        if value is not None and not value.get_secret_value().isascii():
            raise ValueError("must be ASCII: that is all that SMTP servers agree upon")
        return value

    @field_validator("account", check_fields=False)
    @classmethod
    def _is_not_ours(cls, value: str) -> str:
        if value == SMTP:
            raise ValueError(f"{SMTP!r} is the name of the SMTP relay's account; choose another")
        return value

    @property
    def smtp_server(self) -> SmtpServer | None:
        """The SMTP relay; None: there is none."""
        return None if self.smtp_url is None else read_smtp_url(self.smtp_url)


def read_smtp_url(text: str) -> SmtpServer:
    """Read the URL of an SMTP relay. Raises `ValueError` without the URL in it: it might hold a password."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ValueError("must be smtp://host[:port] (STARTTLS) or smtps://host[:port]")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold credentials; use ATUM_SMTP_USERNAME and ATUM_SMTP_PASSWORD")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError("must end after host and port")
    protection, usual = _SCHEMES[parts.scheme]
    if protection == PLAIN and not _is_loopback(parts.hostname):
        raise ValueError(
            "smtp+plain:// is for a relay on this machine only: mail and password would be readable"
        )
    return SmtpServer(host=parts.hostname, port=usual if port is None else port, protection=protection)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
