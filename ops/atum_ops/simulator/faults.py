"""What can go wrong at a provider, as data: the kinds of fault, what each shows and what the ledger then says.

A `FaultPlan` is a value: rules in order and one seed. Which request meets which fault depends on nothing but the plan
and the order in which requests arrive.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from atum_schema.errors import SettingsError


class Truth(StrEnum):
    """What the ledger holds of the valid messages of a faulty request."""

    NOTHING = "nothing accepted"
    ALL = "all accepted"
    SOME = "some accepted"


class FaultKind(StrEnum):
    """The faults. `before` and `after` mean: before or after the messages were accepted."""

    RATE_LIMIT = "429"
    RATE_LIMIT_RETRY_AFTER = "429_retry_after"
    UNAUTHORIZED = "401"
    TOO_LARGE = "413"
    SERVER_ERROR_BEFORE = "500_before"
    SERVER_ERROR_AFTER = "500_after"
    BAD_GATEWAY_BEFORE = "502_before"
    BAD_GATEWAY_AFTER = "502_after"
    MAINTENANCE = "503"
    MAINTENANCE_HTML = "503_html"
    GATEWAY_TIMEOUT_BEFORE = "504_before"
    GATEWAY_TIMEOUT_AFTER = "504_after"
    HANG_BEFORE = "hang_before"
    HANG_AFTER = "hang_after"
    HANG_HALFWAY = "hang_halfway"
    RESET_BEFORE = "reset_before"
    RESET_AFTER = "reset_after"
    CUT_BODY = "cut_body"
    DRIP = "drip"
    MIXED = "mixed"
    DELAYED = "delayed"
    PARTIAL_INACTIVE = "partial_inactive"
    PARTIAL_INACTIVE_LONG = "partial_inactive_long"
    TRUNCATED_JSON = "truncated_json"
    SHORT_ARRAY = "short_array"
    CODE_AS_STRING = "code_as_string"
    HTML_200 = "html_200"


@dataclass(frozen=True, slots=True)
class Effect:
    """One line of the fault table: what the client sees, and what is true."""

    client_sees: str
    truth: Truth


EFFECTS: dict[FaultKind, Effect] = {
    FaultKind.RATE_LIMIT: Effect("429, ErrorCode 429, no Retry-After", Truth.NOTHING),
    FaultKind.RATE_LIMIT_RETRY_AFTER: Effect("429, ErrorCode 429, `Retry-After: 2`", Truth.NOTHING),
    FaultKind.UNAUTHORIZED: Effect("401, ErrorCode 10", Truth.NOTHING),
    FaultKind.TOO_LARGE: Effect("413 with an HTML page", Truth.NOTHING),
    FaultKind.SERVER_ERROR_BEFORE: Effect("500, ErrorCode 101 with an Error ID", Truth.NOTHING),
    FaultKind.SERVER_ERROR_AFTER: Effect("500, ErrorCode 101 with an Error ID", Truth.ALL),
    FaultKind.BAD_GATEWAY_BEFORE: Effect("502 with an HTML page", Truth.NOTHING),
    FaultKind.BAD_GATEWAY_AFTER: Effect("502 with an HTML page", Truth.ALL),
    FaultKind.MAINTENANCE: Effect("503, ErrorCode 100", Truth.NOTHING),
    FaultKind.MAINTENANCE_HTML: Effect("503 with an HTML page", Truth.NOTHING),
    FaultKind.GATEWAY_TIMEOUT_BEFORE: Effect("504 with an HTML page", Truth.NOTHING),
    FaultKind.GATEWAY_TIMEOUT_AFTER: Effect("504 with an HTML page", Truth.ALL),
    FaultKind.HANG_BEFORE: Effect(
        "no answer until the client gives up or `hang_s` has passed", Truth.NOTHING
    ),
    FaultKind.HANG_AFTER: Effect("no answer until the client gives up or `hang_s` has passed", Truth.ALL),
    FaultKind.HANG_HALFWAY: Effect("no answer, as above; the first half (rounded up) was taken", Truth.SOME),
    FaultKind.RESET_BEFORE: Effect("connection reset (RST)", Truth.NOTHING),
    FaultKind.RESET_AFTER: Effect("connection reset (RST)", Truth.ALL),
    FaultKind.CUT_BODY: Effect("200, the connection closes in the middle of the body", Truth.ALL),
    FaultKind.DRIP: Effect("200, the body comes one byte each 0.2 s, for `hang_s` at most", Truth.ALL),
    FaultKind.MIXED: Effect(
        "200, the hit items (one in ten, at least one) fail with 300, 406 or an unknown code; a single message: 422",
        Truth.SOME,
    ),
    FaultKind.DELAYED: Effect("200 without ErrorCode: delivery may be delayed", Truth.ALL),
    FaultKind.PARTIAL_INACTIVE: Effect(
        "200, ErrorCode 0; the last recipient of each message to several is named as inactive", Truth.ALL
    ),
    FaultKind.PARTIAL_INACTIVE_LONG: Effect("as above, in the older and longer wording", Truth.ALL),
    FaultKind.TRUNCATED_JSON: Effect("200, the JSON stops halfway, Content-Length agrees", Truth.ALL),
    FaultKind.SHORT_ARRAY: Effect("200, the last element is missing; a single message: `{}`", Truth.ALL),
    FaultKind.CODE_AS_STRING: Effect('200, every ErrorCode is a string ("0")', Truth.ALL),
    FaultKind.HTML_200: Effect("200 with an HTML page", Truth.ALL),
}


class Target(StrEnum):
    """Which requests a rule looks at."""

    SEND = "send"
    SEARCH = "search"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """One fault and when it fires.

    A rule applies to a request of its `target` when some message in it has the metadata key `metadata_key` (with
    `metadata_value`, if given) and some recipient field contains `recipient`. It then fires with `probability`
    (0 … 1), only for the `nth` such request if given (from 1), at most `max_count` times if given.
    Raises SettingsError for values outside these ranges, and for a fault on search that would have to accept mail.
    """

    kind: FaultKind
    probability: float = 1.0
    nth: int | None = None
    max_count: int | None = None
    metadata_key: str | None = None
    metadata_value: str | None = None
    recipient: str | None = None
    target: Target = Target.SEND

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", FaultKind(self.kind))
        object.__setattr__(self, "target", Target(self.target))
        if not 0.0 <= self.probability <= 1.0:
            raise SettingsError(f"probability of {self.kind} is {self.probability}, it must be from 0 to 1")
        for name, value in (("nth", self.nth), ("max_count", self.max_count)):
            if value is not None and value < 1:
                raise SettingsError(f"{name} of {self.kind} is {value}, it must be 1 or more")
        if self.metadata_value is not None and self.metadata_key is None:
            raise SettingsError(f"metadata_value of {self.kind} needs a metadata_key")
        if self.target is Target.SEARCH and EFFECTS[self.kind].truth is not Truth.NOTHING:
            raise SettingsError(f"{self.kind} accepts mail, so it cannot happen to a search")
        if self.target is Target.SEARCH and (self.metadata_key or self.recipient):
            raise SettingsError(f"{self.kind} on search cannot look at messages")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """Rules in order, and the seed of the draws.

    One number is drawn per request; the probabilities of the rules that apply to it add up, in order, so at most one
    fault fires. `hang_s` (seconds, more than 0) bounds hangs and drips.
    """

    rules: tuple[FaultRule, ...] = ()
    seed: int = 0
    hang_s: float = 120.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", tuple(self.rules))
        if self.hang_s <= 0:
            raise SettingsError(f"hang_s is {self.hang_s}, it must be more than 0")

    def to_document(self) -> dict[str, Any]:
        """Give the plan as a JSON-ready dict; `from_document` reads it back."""
        return {
            "seed": self.seed,
            "hang_s": self.hang_s,
            "rules": [{k: v for k, v in asdict(rule).items() if v is not None} for rule in self.rules],
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> FaultPlan:
        """Read a plan. Raises SettingsError when a field is unknown or wrong."""
        try:
            rules = tuple(FaultRule(**rule) for rule in document.get("rules", ()))
            return cls(**{**document, "rules": rules})
        except (TypeError, ValueError) as error:
            raise SettingsError(f"not a fault plan: {error}") from error
