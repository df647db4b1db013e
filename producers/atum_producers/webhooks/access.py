"""Whether a request comes from who may tell us: credentials in its headers, or the signature of an own relay. Pure.

Credentials are opaque: they are compared as they were set, byte by byte, and never stripped or altered. Every comparison
takes the same time for every value, known or not.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64decode
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from atum_schema.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import SecretStr

    from atum_schema.settings import Settings

TIMESTAMP: Final = b"x-atum-webhook-timestamp"
SIGNATURE: Final = b"x-atum-webhook-signature"
#: How far a relay's clock may be ahead of ours, in seconds.
SKEW_S: Final = 30.0

_LIVE: Final = 2
_SECRET_LENGTH: Final = 16
_KEY_LENGTH: Final = 32
_SECONDS: Final = re.compile(rb"[0-9]{1,11}")
_SIGNED: Final = re.compile(rb"(?:v1=|sha256=)?([0-9A-Fa-f]{64})")
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# Whatever is compared has this form, so that not even its length shows.
_Digest = bytes


class Standing(Enum):
    """What the headers of a request say about who sent it."""

    GENUINE = auto()
    """It has all credentials."""
    CLAIMED = auto()
    """It says that it is signed, which only its body can show."""
    STRANGER = auto()
    """It lacks a credential, or has a wrong one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What is demanded; an empty tuple: nothing of that kind."""

    basic: tuple[_Digest, ...]
    secrets: tuple[_Digest, ...]
    #: Lower case.
    secret_header: bytes
    signing_keys: tuple[bytes, ...]
    window_s: float

    def standing(self, headers: Mapping[bytes, bytes], *, now: float) -> Standing:
        """Judge the headers, names in lower case. `now` is Unix time."""
        timestamp, signature = headers.get(TIMESTAMP), headers.get(SIGNATURE)
        if timestamp is not None or signature is not None:
            # Who signs must sign well, whatever else the request has.
            well = self.signing_keys and signature is not None and _SIGNED.fullmatch(signature)
            return Standing.CLAIMED if well and self._is_fresh(timestamp, now) else Standing.STRANGER
        if not self.basic and not self.secrets:
            return Standing.STRANGER
        basic = _is_live(_basic(headers.get(b"authorization", b"")), self.basic)
        secret = _is_live(headers.get(self.secret_header, b""), self.secrets)
        good = (basic or not self.basic) and (secret or not self.secrets)
        return Standing.GENUINE if good else Standing.STRANGER

    def is_signed(self, headers: Mapping[bytes, bytes], body: bytes) -> bool:
        """Whether a claimed signature is right: HMAC-SHA256 over timestamp, a full stop and the body."""
        signed = _SIGNED.fullmatch(headers.get(SIGNATURE, b""))
        given = bytes.fromhex(signed[1].decode()) if signed else b""
        message = headers.get(TIMESTAMP, b"") + b"." + body
        right = False
        for key in self.signing_keys:
            # Not `hmac.digest`: this one lets other threads work while it reads a large body.
            right |= hmac.compare_digest(hmac.new(key, message, hashlib.sha256).digest(), given)
        return right

    def _is_fresh(self, timestamp: bytes | None, now: float) -> bool:
        if timestamp is None or not _SECONDS.fullmatch(timestamp):
            return False
        return -SKEW_S <= now - int(timestamp) <= self.window_s


def sign(body: bytes, *, key: str, now: float) -> dict[str, str]:
    """Give the headers with which a relay signs a body."""
    timestamp = str(int(now))
    digest = hmac.digest(key.encode(), timestamp.encode() + b"." + body, "sha256")
    return {TIMESTAMP.decode(): timestamp, SIGNATURE.decode(): f"v1={digest.hex()}"}


def demanded(settings: Settings) -> Access:
    """Read what is demanded. Raises `SettingsError` that names the variable, and never shows its value."""
    basic = _values(settings.webhook_basic, "ATUM_WEBHOOK_BASIC")
    secrets = _values(settings.webhook_secret, "ATUM_WEBHOOK_SECRET")
    keys = _values(settings.webhook_signing_keys, "ATUM_WEBHOOK_SIGNING_KEYS")
    passwords = [_password(pair) for pair in basic]
    if not basic and not secrets and not keys:
        raise SettingsError(
            "ATUM_WEBHOOK_BASIC, ATUM_WEBHOOK_SECRET and ATUM_WEBHOOK_SIGNING_KEYS are not set: anybody could tell us anything"
        )
    _check_length(passwords, _SECRET_LENGTH, "ATUM_WEBHOOK_BASIC: a password")
    _check_length(secrets, _SECRET_LENGTH, "ATUM_WEBHOOK_SECRET: a secret")
    _check_length(keys, _KEY_LENGTH, "ATUM_WEBHOOK_SIGNING_KEYS: a key")
    if not {*passwords, *secrets, *basic}.isdisjoint(keys):
        raise SettingsError(
            "ATUM_WEBHOOK_SIGNING_KEYS: a key is a password or secret too; who sees a request could sign"
        )
    if not _HEADER.fullmatch(settings.webhook_secret_header):
        raise SettingsError("ATUM_WEBHOOK_SECRET_HEADER is no name of a header")
    return Access(
        basic=tuple(_digest(pair.encode()) for pair in basic),
        secrets=tuple(_digest(secret.encode()) for secret in secrets),
        secret_header=settings.webhook_secret_header.lower().encode(),
        signing_keys=tuple(key.encode() for key in keys),
        window_s=settings.webhook_signature_window_s,
    )


def _values(secret: SecretStr | None, variable: str) -> tuple[str, ...]:
    if secret is None:
        return ()
    values = tuple(secret.get_secret_value().split(","))
    if len(values) > _LIVE:
        raise SettingsError(
            f"{variable}: there may be {_LIVE} values, the one to use and one that still counts"
        )
    for value in values:
        if not value:
            raise SettingsError(f"{variable}: a value is empty")
        # A header cannot carry it, and dropping it would make another value of it.
        if value != value.strip() or not value.isprintable():
            raise SettingsError(
                f"{variable}: a value begins or ends with a space, or has a character that no header carries"
            )
    return values


def _password(pair: str) -> str:
    user, separator, password = pair.partition(":")
    if not user or not separator:
        raise SettingsError("ATUM_WEBHOOK_BASIC: must be user:password[,user:password]")
    return password


def _check_length(values: Iterable[str], length: int, what: str) -> None:
    if any(len(value) < length for value in values):
        raise SettingsError(f"{what} is shorter than {length} characters")


def _basic(header: bytes) -> bytes:
    scheme, _, given = header.partition(b" ")
    if scheme.lower() != b"basic":
        return b""
    try:
        return b64decode(given.strip(), validate=True)
    except ValueError:
        return b""


def _is_live(given: bytes, live: tuple[_Digest, ...]) -> bool:
    digest = _digest(given)
    found = False
    for one in live:
        found |= hmac.compare_digest(one, digest)
    return found


def _digest(value: bytes) -> _Digest:
    return hashlib.sha256(value).digest()
