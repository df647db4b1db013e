"""The credentials that live, in clear, for those who send them: to the provider, and to the endpoint as a test."""

from __future__ import annotations

import base64
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from atum_producers.webhooks import access
from atum_schema.errors import SettingsError

if TYPE_CHECKING:
    from pydantic import SecretStr

    from atum_schema.settings import Settings


class Live(NamedTuple):
    """What is demanded of a request, of each kind the one to use first."""

    #: `user:password`.
    basic: tuple[str, ...]
    secrets: tuple[str, ...]
    secret_header: str
    signing_keys: tuple[str, ...]

    def __repr__(self) -> str:
        """Say how many there are, and none of them."""
        return f"Live({self.words})"

    @property
    def words(self) -> str:
        """Say which kinds there are, and how many of each live."""
        kinds = (
            ("Basic", len(self.basic)),
            (f"secret in {self.secret_header}", len(self.secrets)),
            ("signing key", len(self.signing_keys)),
        )
        return ", ".join(f"{kind}: {number}" for kind, number in kinds if number)


def live(settings: Settings) -> Live:
    """Read the credentials. Raises `SettingsError`, also where the endpoint would not start with them."""
    access.demanded(settings)
    return Live(
        basic=_values(settings.webhook_basic),
        secrets=_values(settings.webhook_secret),
        secret_header=settings.webhook_secret_header,
        signing_keys=_values(settings.webhook_signing_keys),
    )


def _values(secret: SecretStr | None) -> tuple[str, ...]:
    return () if secret is None else tuple(secret.get_secret_value().split(","))


def basic_header(pair: str) -> str:
    """Write `user:password` as the header Authorization has it."""
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def safe_url(url: str, name: str) -> str:
    """Check a URL to which credentials go. Raises `SettingsError` that names it as `name`, and does not show it."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
        raise SettingsError(f"{name}: must be https://host/path")
    if "@" in parts.netloc:
        raise SettingsError(f"{name}: has credentials in it, which every log on the way would keep")
    if parts.scheme == "http" and not _is_here(host):
        raise SettingsError(f"{name}: must be https, or everybody on the way could read the credentials")
    return url


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
