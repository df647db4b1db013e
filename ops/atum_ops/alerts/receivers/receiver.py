"""The shape that all receivers have."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from atum_ops.alerts.watching import Listener

if TYPE_CHECKING:
    from collections.abc import Callable

    from atum_ops.alerts.alert import Area
    from atum_ops.alerts.breach import Breach

TIMEOUT_S: Final = 10.0
"""How long a receiver may take, altogether."""

TIMEOUT: Final = "timeout"
"""Said of whoever took longer."""

Tell: TypeAlias = "Callable[[Breach], object]"
"""Gives a notice to a receiver, and returns once it was taken. What it returns is ignored; whatever it raises is a failure."""


class NotTaken(Exception):
    """A receiver did not take a notice. The message is a few words that hold no secret: no URL, no address."""


class Receiver(NamedTuple):
    """Somebody who is told."""

    name: str
    tell: Tell
    #: What it is told of; None: everything.
    areas: frozenset[Area] | None = None

    @property
    def listener(self) -> Listener:
        """The same for decisions."""
        return Listener(self.name, self.areas)


def words(error: BaseException) -> str:
    """Say why somebody was not told, without anything that the error's own text may hold."""
    if isinstance(error, NotTaken):
        return str(error)
    chain: BaseException | None = error
    # `raise error from error` is its own cause.
    for _ in range(_MOST_CAUSES):
        if chain is None:
            break
        for kind, said in _KINDS:
            if isinstance(chain, kind):
                return said
        chain = chain.__cause__ or chain.__context__
    return type(error).__name__


_MOST_CAUSES: Final = 8
_KINDS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (ssl.SSLError, "TLS: the certificate or the protocol is not good"),
    (ConnectionRefusedError, "connection refused"),
    (ConnectionError, "the connection broke"),
    (TimeoutError, TIMEOUT),
)
