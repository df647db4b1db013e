"""One address parser for every way in, and one way to write an address down.

A mailbox is what both RFC 5322 §3.4 and Postmark take: a display name (optional) and an address whose mailbox
and domain follow Postmark's published grammar (support article 1180). Domains may be given in Unicode and are
kept in their ASCII form (RFC 5891, mapped as UTS 46 says) and lower case; the mailbox part keeps its case
(RFC 5321 §2.4). Groups, routes, quoted mailboxes, address literals and non-ASCII mailboxes are refused, each
with its reason. Nothing is ever dropped: one bad item refuses the whole list and says which one it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import idna

from atum_schema.addresses_syntax import AddressSyntaxError, split_list, split_mailbox
from atum_schema.errors import MailRejected
from atum_schema.limits import ADDRESS_CHARACTERS, NAME_CHARACTERS
from atum_schema.text_rules import forbidden_character, require_line, require_str

_MAILBOX = r"[A-Za-z0-9.!#$%&'`*+\-/=^_{}|~]+"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_EMAIL = re.compile(rf"{_MAILBOX}@{_LABEL}(?:\.{_LABEL})+")
_LOCAL_PART = re.compile(_MAILBOX)
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")
_NAMED = re.compile(rf"([^\x00-\x1f\"(),:;<>@\[\]\\=]*[^\x00- \"(),:;<>@\[\]\\=]) ?<({_EMAIL.pattern})>")
# "=" and "?" are left out so that a name which merely looks like an RFC 2047 encoded word is quoted, and so
# never decoded by a reader further on.
_PLAIN_PHRASE = re.compile(r"[\w!#$%&'*+/^`{|}~-]+(?: [\w!#$%&'*+/^`{|}~-]+)*")

AddressLike: TypeAlias = "str | Address"
AddressesLike: TypeAlias = "str | Address | Iterable[str | Address]"


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox: display name ("" if there is none) and address, always valid.

    `name` is plain Unicode text, at most 255 characters, without surrounding white space. `email` is ASCII, at
    most 254 characters, its domain in lower case and IDNA form. Raises `MailRejected` ("name" or "email").
    `str()` gives the RFC 5322 mailbox; `parse_address(str(a)) == a` holds for every address.
    """

    name: str
    email: str

    def __post_init__(self) -> None:
        name = require_str("name", self.name)
        if name:
            if name[0].isspace() or name[-1].isspace():
                forbidden_character("name", name)
                object.__setattr__(self, "name", name.strip())
            require_line("name", self.name, NAME_CHARACTERS)
        email = self.email
        if type(email) is not str or len(email) > ADDRESS_CHARACTERS or _EMAIL.fullmatch(email) is None:
            object.__setattr__(self, "email", _normal_email(require_str("email", email)))

    @property
    def domain(self) -> str:
        """The part after the "@", in lower case."""
        return self.email.rpartition("@")[2]

    def __str__(self) -> str:
        """Render the mailbox, the display name quoted where RFC 5322 §3.2 wants it."""
        name = self.name
        if not name:
            return self.email
        if _PLAIN_PHRASE.fullmatch(name) is None:
            name = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return f"{name} <{self.email}>"


def parse_address(text: str, *, field: str = "address") -> Address:
    """Read one mailbox. Raises `MailRejected` with `field`."""
    simple = _simple(text)
    return _single(field, text) if simple is None else simple


def parse_addresses(
    value: AddressesLike, *, field: str = "addresses", decode: Callable[[str], str] = str
) -> tuple[Address, ...]:
    """Read a comma-separated list, or an iterable with one mailbox per item.

    `decode` is applied to each display name that is read from a list, after it was taken apart: encoded words of a
    message may hold commas. Order and duplicates are kept. Raises `MailRejected` whose field carries the index of the bad item
    ("to[1]"); an empty item is a bad item.
    """
    if isinstance(value, str):
        simple = _simple(value)
        return (simple,) if simple is not None else _parse_list(field, value, decode)
    if isinstance(value, Address):
        return (value,)
    return tuple(
        [address_of(item, field=f"{field}[{index}]") for index, item in enumerate(_items(value, field))]
    )


def address_of(value: AddressLike, *, field: str) -> Address:
    """Give an `Address` back, or read one from text. Raises `MailRejected` with `field`."""
    if isinstance(value, Address):
        return value
    if isinstance(value, str):
        return parse_address(value, field=field)
    raise MailRejected(field, f"must be a string or an Address, not {type(value).__name__}")


def _items(value: object, field: str) -> Iterable[Any]:
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, bytearray)):
        return value
    raise MailRejected(field, f"must be a string or a list of addresses, not {type(value).__name__}")


def _simple(text: object) -> Address | None:
    """Read the two forms that nearly every caller uses, without the tokenizer."""
    if type(text) is not str or len(text) > ADDRESS_CHARACTERS:
        return None
    if _EMAIL.fullmatch(text):
        return Address("", text)
    found = _NAMED.fullmatch(text)
    if found is None or "  " in text or not text.isprintable():
        return None
    return Address(found[1].strip(), found[2])


def _parse_list(field: str, text: str, decode: Callable[[str], str]) -> tuple[Address, ...]:
    try:
        items = split_list(text)
    except AddressSyntaxError as error:
        raise MailRejected(f"{field}[{error.index}]", str(error)) from None
    return tuple([_single(f"{field}[{index}]", item, decode) for index, item in enumerate(items)])


def _single(field: str, text: object, decode: Callable[[str], str] = str) -> Address:
    try:
        name, email = split_mailbox(require_str(field, text))
    except AddressSyntaxError as error:
        raise MailRejected(field, str(error)) from None
    try:
        return Address(decode(name), email)
    except MailRejected as error:
        part = "the display name" if error.field == "name" else f"the address {email!r}"
        raise MailRejected(field, f"{part} {error.reason}") from None


def folded(address: str) -> str:
    """Write an address as addresses are compared: in lower case, its domain in ASCII as ours are kept.

    For what providers and people say, who mix the case and may write a domain in Unicode. What is no address stays what it is.
    """
    text = address.strip().lower()
    if text.isascii() or "@" not in text:
        return text
    mailbox, at, domain = text.rpartition("@")
    try:
        return mailbox + at + _ascii(domain)
    except (idna.IDNAError, UnicodeError):
        return text


def _ascii(domain: str) -> str:
    return idna.encode(domain, uts46=True).decode("ascii")


def _normal_email(email: str) -> str:
    """Bring the domain into its ASCII, lower-case form, or say what is wrong with the address."""
    forbidden_character("email", email)
    mailbox, at, domain = email.rpartition("@")
    if not at:
        raise MailRejected("email", 'has no "@"')
    _check_mailbox(mailbox)
    normal = f"{mailbox}@{_normal_domain(domain)}"
    if len(normal) > ADDRESS_CHARACTERS:
        raise MailRejected("email", f"is {len(normal)} characters long, the limit is {ADDRESS_CHARACTERS}")
    return normal


def _check_mailbox(mailbox: str) -> None:
    if not mailbox:
        raise MailRejected("email", 'has nothing before the "@"')
    if not mailbox.isascii():
        raise MailRejected(
            "email", 'has a non-ASCII mailbox before the "@", which Postmark cannot deliver to'
        )
    if mailbox.startswith('"'):
        raise MailRejected("email", "has a quoted mailbox, which Postmark does not accept")
    if _LOCAL_PART.fullmatch(mailbox) is None:
        bad = next(c for c in mailbox if _LOCAL_PART.fullmatch(c) is None)
        raise MailRejected("email", f'has {bad!r} before the "@", which Postmark does not accept')


def _normal_domain(domain: str) -> str:
    if not domain:
        raise MailRejected("email", 'has no domain after the "@"')
    if domain.startswith("["):
        raise MailRejected("email", "has an address literal as domain; a domain name is needed")
    if not domain.isascii():
        try:
            domain = _ascii(domain)
        except (idna.IDNAError, UnicodeError) as error:
            raise MailRejected(
                "email", f"has a domain that is not a valid international name: {error}"
            ) from None
    domain = domain.lower()
    if _DOMAIN.fullmatch(domain) is None:
        raise MailRejected("email", _domain_reason(domain))
    return domain


def _domain_reason(domain: str) -> str:
    if "." not in domain.strip("."):
        return f"has the domain {domain!r} without a dot; a full domain name is needed"
    return f"has the domain {domain!r}, which is not a valid domain name"
