"""Postmark's reading of address lists, with its error texts (Postmark developer docs, "Send a single email").

Written apart from the mail contract's parser on purpose: a simulator that shares the client's parser would agree with
the client's mistakes.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from atum_ops.simulator.texts import Refusal, invalid

_MAILBOX = r"[A-Za-z0-9.!#$%&'`*+\-/=^_{}|~]+"
_DOMAIN = r"(?:\.?[A-Za-z0-9\-])+"
_NAME = r"""(?:"(?:[^"\\]|\\.)*"|[^"<>@,;:()\[\]\\]*)"""
_ONE = re.compile(rf"\s*(?:({_NAME})\s*<\s*({_MAILBOX}@{_DOMAIN})\s*>|({_MAILBOX}@{_DOMAIN}))\s*")
_DOMAIN_ONLY = re.compile(_DOMAIN)
_LIST_ITEM = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^",]|"(?=[^"]*$))+')
_UNESCAPE = re.compile(r"\\(.)")


class Recipient(NamedTuple):
    """One address of a list: the bare address as written, and its display name or ""."""

    email: str
    name: str


def parse(field: str, value: str) -> list[Recipient] | Refusal:
    """Read a comma-separated list; a wrong address is refused in Postmark's words, naming `field` ("To", "From", …)."""
    match = _ONE.fullmatch(value)
    if match is not None:
        return [_recipient(match)]
    found = []
    for part in _LIST_ITEM.findall(value):
        if not part.strip():
            continue
        match = _ONE.fullmatch(part)
        if match is None:
            return invalid(_complaint(field, part.strip()))
        found.append(_recipient(match))
    return found


def _recipient(match: re.Match[str]) -> Recipient:
    name, angled, bare = match.groups()
    if bare is not None:
        return Recipient(bare, "")
    name = name.strip()
    if name.startswith('"'):
        name = _UNESCAPE.sub(r"\1", name[1:-1])
    return Recipient(angled, name)


def _complaint(field: str, part: str) -> str:
    address = part
    if part.endswith(">") and "<" in part:
        address = part[part.rindex("<") + 1 : -1].strip()
    if "@" not in address:
        return f"Error parsing '{field}': Illegal email address '{address}'. It must contain the '@' symbol."
    mailbox, _, domain = address.rpartition("@")
    if mailbox and _DOMAIN_ONLY.fullmatch(domain) is None:
        return f"Error parsing '{field}': Illegal email domain '{domain}' in address '{address}'."
    return f"Invalid '{field}' address: '{part}'."
