"""Why a server is away, in words of ours: the drivers' own quote hosts and users. Pure and total."""

from __future__ import annotations

from typing import Final

_REFUSED: Final = "user or password refused"
_UNKNOWN: Final = "its host is not known"
_LATE: Final = "no answer in time"
_FULL: Final = "it takes no more connections"

#: What drivers and servers say, and what it means; the first that is found counts.
_MEANINGS: Final = {
    "password authentication failed": _REFUSED,
    "no password supplied": _REFUSED,
    "ProbableAuthenticationError": _REFUSED,
    "ACCESS_REFUSED": _REFUSED,
    "no pg_hba.conf entry": "it lets nobody in from here as this user",
    "ProbableAccessDeniedError": "no such virtual host, or no right to it",
    "resolve host": _UNKNOWN,
    "translate host name": _UNKNOWN,
    "gaierror": _UNKNOWN,
    "Connection refused": "connection refused",
    "too many clients": _FULL,
    "too many connections": _FULL,
    "connection slots are reserved": _FULL,
    "system is starting up": "it is starting",
    "system is in recovery": "it is starting",
    "system is shutting down": "it is shutting down",
    "does not exist": "no such database or user",
    "timeout": _LATE,
    "timed out": _LATE,
    "TimeoutError": _LATE,
    "No route to host": "no way to its host",
    "unreachable": "no way to its host",
    "certificate": "its certificate is not accepted",
}


def meaning(error: object) -> str | None:
    """Say why a connection could not be made; None where that is not known."""
    said = repr(error)
    return next((meaning for phrase, meaning in _MEANINGS.items() if phrase in said), None)


def words(error: object) -> str:
    """Say why a connection could not be made, or the error's type where that is not known."""
    return meaning(error) or type(error).__name__
