"""`domains`: who mails are from may send, and receivers can verify it: DKIM, Return-Path, sender signatures.

Asked of the provider with an account token, which knows the selector of each domain; without one, DNS is asked for the selector
that is set. Looked at are the domains behind the From of real mail.
"""

from __future__ import annotations

from email.utils import parseaddr
from typing import TYPE_CHECKING, Final, NamedTuple

from atum_ops.health import database_store, dns, provider
from atum_ops.health.findings import Finding, bad, good, unknown, warning
from atum_ops.health.surroundings import deadline
from atum_workers import postmark_account
from atum_workers.postmark_api import ProviderFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_ops.health.surroundings import Surroundings
    from atum_workers.postmark_account import Domain, Records, Sender
    from atum_workers.postmark_api import PostmarkApi

NAME: Final = "domains"
RETURN_PATH: Final = "pm-bounces"
"""The label of Postmark's Return-Path, unless one chooses another."""

_RETURN_TARGET: Final = "pm.mtasv.net"
_SET: Final = (
    "set ATUM_POSTMARK_ACCOUNT_TOKEN, so that the provider is asked; or ATUM_DKIM_SELECTOR, so that DNS is"
)


class From(NamedTuple):
    """A domain that mails are from, and the addresses of it."""

    domain: str
    addresses: tuple[str, ...]


def look(surroundings: Surroundings) -> list[Finding]:
    """Look at the domains that the newest mails are from."""
    used = froms(
        [each.sender for each in database_store.used(surroundings.connection, limit=provider.NEWEST)]
    )
    configured = surroundings.settings
    if not used:
        return [unknown(NAME, "no mail was enqueued yet, so there is no From domain to look at")]
    if configured.postmark_account_token is not None:
        token = configured.postmark_account_token.get_secret_value()
        api = postmark_account.account_api(configured.postmark_url, token)
        try:
            return _asked_of_provider(api, used)
        except ProviderFailed as error:
            return [provider.failed(NAME, error, setting="ATUM_POSTMARK_ACCOUNT_TOKEN")]
        finally:
            api.close()
    if configured.dkim_selector is None:
        return [unknown(NAME, "neither account token nor DKIM selector is set", _SET)]
    try:
        resolver = dns.Resolver(configured.dns_server)
    except dns.LookupFailed as error:
        return [unknown(NAME, str(error), "set ATUM_DNS_SERVER")]
    return [
        finding
        for each in used
        for finding in _asked_of_dns(resolver, each.domain, configured.dkim_selector.strip())
    ]


def froms(senders: Sequence[str]) -> list[From]:
    """Give the domains of these From lines, sorted, each with its addresses."""
    addresses = sorted({parseaddr(sender)[1].lower() for sender in senders} - {""})
    domains = sorted({address.rpartition("@")[2] for address in addresses})
    return [
        From(domain, tuple(address for address in addresses if address.rpartition("@")[2] == domain))
        for domain in domains
    ]


def _asked_of_provider(api: PostmarkApi, used: Sequence[From]) -> list[Finding]:
    known = {domain.name: domain for domain in postmark_account.domains(api, deadline())}
    needs_senders = any(each.domain not in known for each in used)
    senders = postmark_account.senders(api, deadline()) if needs_senders else []
    found = []
    for each in used:
        domain = known.get(each.domain)
        if domain is None:
            found += judge_senders(each, senders)
        else:
            lacks = not (domain.dkim_verified and domain.return_path_verified)
            records = postmark_account.records(api, domain, deadline()) if lacks else None
            found += judge_domain(domain, records)
    return found


def judge_domain(domain: Domain, records: Records | None) -> list[Finding]:
    """Say what the provider knows of a domain; `records` name what has to be in DNS where something lacks."""
    found = []
    if not domain.dkim_verified:
        host = f" at {records.dkim_host}" if records and records.dkim_host else ""
        remedy = f"add the DKIM record that Postmark shows for the domain{host}, and verify it there"
        found.append(bad(NAME, f"{domain.name}: DKIM is not verified", remedy))
    if not domain.return_path_verified:
        name = records.return_path if records and records.return_path else f"{RETURN_PATH}.{domain.name}"
        remedy = f"add a CNAME {name} to {_RETURN_TARGET}, and verify it at Postmark"
        found.append(warning(NAME, f"{domain.name}: the Return-Path is not verified", remedy))
    return found or [good(NAME, f"{domain.name}: DKIM and Return-Path are verified")]


def judge_senders(used: From, senders: Sequence[Sender]) -> list[Finding]:
    """Say which addresses of a domain that is not verified as a whole may send by a signature of their own."""
    confirmed = {sender.address: sender.confirmed for sender in senders}
    unconfirmed = [address for address in used.addresses if confirmed.get(address) is False]
    absent = [address for address in used.addresses if address not in confirmed]
    found = []
    if absent:
        text = f"{used.domain}: neither a domain of the account, nor has {_some(absent)} a sender signature"
        found.append(bad(NAME, text, f"add the domain {used.domain} at Postmark, and verify it"))
    if unconfirmed:
        text = f"{used.domain}: {_some(unconfirmed)} has a sender signature that is not confirmed"
        found.append(bad(NAME, text, "follow the link in the mail that Postmark sent, or have it sent again"))
    return found or [good(NAME, f"{used.domain}: all senders have a confirmed signature")]


def _some(addresses: Sequence[str]) -> str:
    return "an address" if len(addresses) == 1 else f"one of {len(addresses)} addresses"


def _asked_of_dns(resolver: dns.Resolver, domain: str, selector: str) -> list[Finding]:
    name = f"{selector}._domainkey.{domain}"
    try:
        fault = dns.dkim_fault(resolver.texts(name))
        target = resolver.alias(f"{RETURN_PATH}.{domain}")
    except dns.LookupFailed as error:
        return [unknown(NAME, f"{domain}: {error}", "see the network and ATUM_DNS_SERVER")]
    found = []
    if fault is not None:
        remedy = f"add the DKIM record that Postmark shows for the domain as TXT {name}; or correct ATUM_DKIM_SELECTOR"
        found.append(bad(NAME, f"{domain}: no DKIM key at {name}: {fault}", remedy))
    if target != _RETURN_TARGET:
        text = f"{domain}: {RETURN_PATH}.{domain} leads to {target or 'nothing'}"
        found.append(warning(NAME, text, f"add a CNAME {RETURN_PATH}.{domain} to {_RETURN_TARGET}"))
    return found or [good(NAME, f"{domain}: DNS has a DKIM key at {name}, and the Return-Path")]
