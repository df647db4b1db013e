"""Where a request comes from: through own proxies, and whether events may come from there. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final, TypeAlias

from atum_schema.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from atum_schema.settings import Settings

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_MAPPED_BITS: Final = 96
_HOST_BITS: Final = 64
_LONGEST: Final = 45


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Own proxies, and the places that events may come from; None: all."""

    proxies: tuple[Network, ...]
    allowed: tuple[Network, ...] | None

    def client(self, peer: str | None, forwarded: Iterable[str]) -> Address | None:
        """Give the address that a request comes from; None: unknown.

        `forwarded` is every line of X-Forwarded-For. It is believed from an own proxy only, and from right to left: each
        proxy of ours has appended whom it spoke to, and what is left of the first stranger is the stranger's own word.
        """
        address = read(peer)
        if address is None or not _within(address, self.proxies):
            return address
        for text in reversed(",".join(forwarded).split(",")):
            hop = read(text.strip())
            if hop is None:
                break
            if not _within(hop, self.proxies):
                return hop
        return address

    def allows(self, address: Address | None) -> bool:
        """Whether events may come from there. The unknown is outside of every list."""
        return self.allowed is None or (address is not None and _within(address, self.allowed))


def known(settings: Settings) -> Sources:
    """Read the lists. Raises `SettingsError` that names an entry which is none: it must not open a door."""
    proxies = settings.webhook_proxies
    allowed = settings.webhook_allow
    return Sources(
        proxies=() if proxies is None else _networks(proxies, "ATUM_WEBHOOK_PROXIES"),
        allowed=None if allowed is None else _networks(allowed, "ATUM_WEBHOOK_ALLOW"),
    )


def read(text: str | None) -> Address | None:
    """Read an address; one of IPv4 that is written as one of IPv6 is one of IPv4. None where it is none."""
    # A zone is this machine's own name for a link.
    bare = (text or "").partition("%")[0]
    return _read(bare) if len(bare) <= _LONGEST else None


# Events come from few addresses; and what is kept of others is bounded.
@lru_cache(maxsize=1024)
def _read(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def neighbourhood(address: Address | None) -> str:
    """Give what is limited as one: an address of IPv4, or the /64 of one of IPv6, which one customer has to itself."""
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(IPv6Address(int(address) >> _HOST_BITS << _HOST_BITS))


def _networks(text: str, variable: str) -> tuple[Network, ...]:
    networks = tuple(_network(entry.strip(), variable) for entry in text.split(",") if entry.strip())
    if not networks:
        raise SettingsError(f"{variable} is set and lists nothing; remove it, or list addresses and networks")
    return networks


def _network(entry: str, variable: str) -> Network:
    try:
        network = ip_network(entry)
    except ValueError:
        raise SettingsError(f"{variable}: {entry!r} is neither an address nor a network") from None
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    return network


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)
