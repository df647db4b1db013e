"""What a check finds, and what all findings together mean. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Verdict(StrEnum):
    """How grave a finding is, the gravest last."""

    GOOD = "good"
    """As it should be."""
    UNKNOWN = "unknown"
    """It was not, or could not be, looked at; the text says why."""
    WARNING = "warning"
    """Somebody should look at it soon."""
    BAD = "bad"
    """Mail does not leave, or will not, or is at risk."""


class Finding(NamedTuple):
    """One thing that was looked at."""

    #: The name of the check.
    name: str
    verdict: Verdict
    #: What was found; never an address, a secret or a body.
    found: str
    #: What mends it, in words or as a command; None where nothing has to be done.
    remedy: str | None = None


_ORDER = tuple(Verdict)


def overall(findings: Iterable[Finding]) -> Verdict:
    """Give the gravest verdict; what was not looked at counts for nothing."""
    known = [each.verdict for each in findings if each.verdict is not Verdict.UNKNOWN]
    return max(known, key=_ORDER.index, default=Verdict.UNKNOWN)


def good(name: str, found: str) -> Finding:
    """Make a finding: as it should be."""
    return Finding(name, Verdict.GOOD, found)


def unknown(name: str, found: str, remedy: str | None = None) -> Finding:
    """Make a finding: not looked at."""
    return Finding(name, Verdict.UNKNOWN, found, remedy)


def warning(name: str, found: str, remedy: str) -> Finding:
    """Make a finding: somebody should look at it soon."""
    return Finding(name, Verdict.WARNING, found, remedy)


def bad(name: str, found: str, remedy: str) -> Finding:
    """Make a finding: mail is at risk."""
    return Finding(name, Verdict.BAD, found, remedy)
