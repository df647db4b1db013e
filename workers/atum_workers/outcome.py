"""What can become of one mail in one POST: our vocabulary, whatever the provider calls it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias


class Accepted(NamedTuple):
    """The provider took it: proof."""

    message_id: str
    #: What the provider remarked, if not simply OK; no addresses.
    remark: str | None = None
    #: Of the answer; None where it was not HTTP.
    http_status: int | None = 200
    #: Its ErrorCode; None where it has none.
    code: int | None = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The provider will never take it, or we must not ask again."""

    reason: str
    detail: str
    http_status: int | None = None
    code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """Certainly not taken now; asking again later may help."""

    reason: str
    detail: str
    #: Whether this is the mail's own failure; a failure of the whole provider costs no attempt.
    charged: bool
    #: Seconds that the provider asked us to wait.
    retry_after: float | None = None
    #: Whether the batch is halved, because one mail in it may be at fault.
    split: bool = False
    #: Whether time ran out.
    slow: bool = False
    http_status: int | None = None
    code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unclear:
    """Nobody knows whether the provider took it."""

    reason: str
    detail: str
    #: Whether time ran out.
    slow: bool = False
    http_status: int | None = None
    code: int | None = None


Outcome: TypeAlias = Accepted | Rejected | Deferred | Unclear
