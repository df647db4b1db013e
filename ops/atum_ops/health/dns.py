"""Looking up what receivers look up: the DKIM key of a domain, and where its Return-Path leads. Nothing is cached."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import dns.exception
import dns.resolver

from atum_schema.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PORT: Final = 53
_MOST_PORT: Final = 65_535
_TIME_S: Final = 5.0
_TAG: Final = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]*)\s*=\s*(.*?)\s*", re.DOTALL)


class LookupFailed(Exception):
    """Nobody answered, so nothing is known of the name."""


class Resolver:
    """Asks one server, `address[:port]`, or those of the system. Raises `SettingsError` for an address that is none."""

    def __init__(self, server: str | None) -> None:
        if server is None:
            try:
                self._resolver = dns.resolver.Resolver()
            except dns.resolver.NoResolverConfiguration:
                raise LookupFailed("the system has no DNS server") from None
        else:
            self._resolver = dns.resolver.Resolver(configure=False)
            address, port = _place(server)
            try:
                self._resolver.nameservers = [address]
            except ValueError:
                raise SettingsError(f"ATUM_DNS_SERVER: {address!r} is no IP address") from None
            self._resolver.port = port
        self._resolver.lifetime = _TIME_S
        self._resolver.cache = None

    def texts(self, name: str) -> list[str]:
        """Give the TXT records of a name, each put together from its parts; none where there is none."""
        return [b"".join(record.strings).decode("utf-8", "replace") for record in self._ask(name, "TXT")]

    def alias(self, name: str) -> str | None:
        """Give where the CNAME of a name leads, without the last dot."""
        return next((str(record.target).rstrip(".").lower() for record in self._ask(name, "CNAME")), None)

    def _ask(self, name: str, kind: str) -> list[Any]:
        try:
            return list(self._resolver.resolve(name, kind, search=False))
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except (dns.exception.DNSException, OSError) as error:
            raise LookupFailed(f"DNS does not answer: {type(error).__name__}") from None


def _place(server: str) -> tuple[str, int]:
    """Read `address`, `address:port` or `[address]:port`."""
    match = re.fullmatch(r"\[([^\]]+)\](?::(\d+))?|([^:]+):(\d+)|([^\[\]]+)", server.strip())
    if match is None:
        raise SettingsError(f"ATUM_DNS_SERVER: {server!r} is no address[:port]")
    address = match[1] or match[3] or match[5]
    port = int(match[2] or match[4] or _PORT)
    if not 0 < port <= _MOST_PORT:
        raise SettingsError(f"ATUM_DNS_SERVER: port {port} must be 1 to {_MOST_PORT}")
    return address, port


def dkim_fault(texts: list[str]) -> str | None:
    """Say why these TXT records hold no DKIM key that can be used (RFC 6376 §3.6.1); None when one does."""
    if not texts:
        return "there is no TXT record"
    faults = [_fault(_tags(text)) for text in texts]
    return None if None in faults else faults[0]


def _tags(text: str) -> Mapping[str, str]:
    matches = (_TAG.fullmatch(part) for part in text.split(";"))
    return {match[1].lower(): match[2] for match in matches if match is not None}


def _fault(tags: Mapping[str, str]) -> str | None:
    if tags.get("v", "DKIM1") != "DKIM1":
        return f"the record is of the version {tags['v']!r}"
    if "p" not in tags:
        return "the record holds no key (no p=)"
    if not "".join(tags["p"].split()):
        return "the key was revoked (an empty p=)"
    return None
