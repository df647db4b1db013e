"""How the provider behaves in good health: latency, index lag, idle connections, rate limit. May change while it runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from atum_schema.errors import SettingsError

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

_MOST_TAIL = 100.0
_LEAST_EXPONENT = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What can be tuned. Zero turns each of them off.

    A sending request takes `latency_ms` + `latency_per_item_ms` · messages before anything is accepted, times a Pareto
    draw with exponent `latency_tail`, at most a hundredfold (2: p99 is tenfold; 1.2: p99 is 46-fold). Accepted messages
    show up in searches after `index_lag_s`, changed suppressions in the dump and in sending after `suppression_lag_s`.
    Kept-alive connections are closed `idle_s` after their last answer. The token has a bucket of `rate_burst` messages
    (0: one second's worth), refilled with `rate_per_s`; who finds it empty gets 429, with Retry-After if
    `rate_retry_after`.
    Raises SettingsError for values that make no sense.
    """

    latency_ms: float = 0.0
    latency_per_item_ms: float = 0.0
    latency_tail: float = 0.0
    index_lag_s: float = 0.0
    suppression_lag_s: float = 0.0
    idle_s: float = 0.0
    rate_per_s: float = 0.0
    rate_burst: float = 0.0
    rate_retry_after: bool = False

    def __post_init__(self) -> None:
        for one in fields(Conditions):
            value = getattr(self, one.name)
            if isinstance(one.default, bool):
                if not isinstance(value, bool):
                    raise SettingsError(f"{one.name} is {value!r}, it must be true or false")
            elif isinstance(value, bool) or not isinstance(value, int | float):
                raise SettingsError(f"{one.name} is {value!r}, it must be a number")
            elif not 0 <= value < float("inf"):
                raise SettingsError(f"{one.name} is {value}, it must not be negative")
        if 0 < self.latency_tail < _LEAST_EXPONENT:
            raise SettingsError(
                f"latency_tail is {self.latency_tail}, it must be 0 or at least {_LEAST_EXPONENT}"
            )

    def but(self, changes: Mapping[str, Any]) -> Conditions:
        """Give these conditions with some changed. Raises SettingsError when one is unknown or wrong."""
        unknown = changes.keys() - {one.name for one in fields(Conditions)}
        if unknown:
            raise SettingsError(f"unknown conditions: {', '.join(sorted(unknown))}")
        return replace(self, **changes)

    def to_document(self) -> dict[str, Any]:
        """Give them as a JSON-ready dict."""
        return asdict(self)

    def latency_s(self, messages: int, draw: random.Random) -> float:
        """Give the seconds until a request with that many messages is answered; draws only when there is a tail."""
        latency = (self.latency_ms + self.latency_per_item_ms * messages) / 1000
        if latency and self.latency_tail:
            latency *= min(draw.paretovariate(self.latency_tail), _MOST_TAIL)
        return latency
