"""What can be wrong with one direction of a connection."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Way(Enum):
    """The directions of a connection."""

    #: From the client to the server.
    UP = "up"
    #: From the server to the client.
    DOWN = "down"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Faults of one direction; the default is none. They add up, and order is always kept.

    Raises ValueError for a value that makes no sense.
    """

    #: Delay of every byte in milliseconds; what is under way is pipelined, as on a long line.
    latency_ms: float = 0.0
    #: The delay varies by as much, both ways, evenly distributed.
    jitter_ms: float = 0.0
    #: Bytes per second; None is no limit.
    bandwidth: int | None = None
    #: Largest write in bytes; sizes are drawn evenly from 1 to this. None is no limit.
    slice_bytes: int | None = None
    #: Pause between two such writes in milliseconds; without one the kernel may join them again.
    slice_gap_ms: float = 0.0
    #: Reset a connection once it has carried so many bytes since the fault was set; None is never.
    cut_after: int | None = None
    #: Carry nothing: no byte, no end, no reset. What was sent meanwhile arrives after healing, as TCP would have it.
    blackhole: bool = False

    def __post_init__(self) -> None:
        least = (
            ("latency_ms", self.latency_ms, 0),
            ("jitter_ms", self.jitter_ms, 0),
            ("bandwidth", self.bandwidth, 1),
            ("slice_bytes", self.slice_bytes, 1),
            ("slice_gap_ms", self.slice_gap_ms, 0),
            ("cut_after", self.cut_after, 0),
        )
        for name, value, lowest in least:
            if value is not None and value < lowest:
                raise ValueError(f"{name} is {value}, below {lowest}")


NONE = Faults()
