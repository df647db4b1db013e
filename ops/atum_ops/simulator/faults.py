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
    OTHERS = "the others accepted"


class FaultKind(StrEnum):
    """The faults. `before` and `after` mean: before or after the messages were accepted."""

    RATE_LIMIT = "429"
    RATE_LIMIT_RETRY_AFTER = "429_retry_after"
    RATE_LIMIT_CODE = "422_429"
    UNAUTHORIZED = "401"
    IP_NOT_ALLOWED = "422_1480"
    TOO_LARGE = "413"
    INVALID_REQUEST = "422_300"
    INVALID_FIELDS = "422_403"
    UNKNOWN_ERROR = "422_unknown"
    ERROR_AS_STRING = "422_as_string"
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
    CUT_CHUNKED = "cut_chunked"
    CLOSED_AFTER = "closed_after"
    DRIP = "drip"
    ANSWER_LATE = "answer_late"
    ACCEPT_LATE = "accept_late"
    MIXED = "mixed"
    SENDER_UNKNOWN = "item_400"
    SENDER_UNCONFIRMED = "item_401"
    NO_CREDITS = "item_405"
    PENDING_APPROVAL = "item_412"
    NOT_APPROVED = "item_413"
    STREAM_UNKNOWN = "item_1235"
    STREAM_ARCHIVED = "item_1236"
    DELAYED = "delayed"
    PARTIAL_INACTIVE = "partial_inactive"
    PARTIAL_INACTIVE_LONG = "partial_inactive_long"
    TRUNCATED_JSON = "truncated_json"
    SHORT_ARRAY = "short_array"
    CODE_AS_STRING = "code_as_string"
    EXTRA_FIELDS = "extra_fields"
    MISSING_TO = "missing_to"
    HTML_200 = "html_200"
    SEARCH_EMPTY = "search_empty"
    SEARCH_UNFILTERED = "search_unfiltered"


@dataclass(frozen=True, slots=True)
class Effect:
    """One line of the fault table: what the client sees, and what is true."""

    client_sees: str
    truth: Truth


EFFECTS: dict[FaultKind, Effect] = {
    FaultKind.RATE_LIMIT: Effect("429, ErrorCode 429, no Retry-After", Truth.NOTHING),
    FaultKind.RATE_LIMIT_RETRY_AFTER: Effect("429, ErrorCode 429, `Retry-After: 2`", Truth.NOTHING),
    FaultKind.RATE_LIMIT_CODE: Effect("422, ErrorCode 429", Truth.NOTHING),
    FaultKind.UNAUTHORIZED: Effect("401, ErrorCode 10", Truth.NOTHING),
    FaultKind.IP_NOT_ALLOWED: Effect("422, ErrorCode 1480: this IP address may not send", Truth.NOTHING),
    FaultKind.TOO_LARGE: Effect("413 with an HTML page", Truth.NOTHING),
    FaultKind.INVALID_REQUEST: Effect("422, ErrorCode 300, for the whole request", Truth.NOTHING),
    FaultKind.INVALID_FIELDS: Effect("422, ErrorCode 403, for the whole request", Truth.NOTHING),
    FaultKind.UNKNOWN_ERROR: Effect(
        "422, ErrorCode 9876, for the whole request, with fields that nobody knows", Truth.NOTHING
    ),
    FaultKind.ERROR_AS_STRING: Effect('422, the ErrorCode is a string ("300")', Truth.NOTHING),
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
    FaultKind.CUT_CHUNKED: Effect("200 in chunks, the connection closes before the last one", Truth.ALL),
    FaultKind.CLOSED_AFTER: Effect("200, then the kept-alive connection is closed unannounced", Truth.ALL),
    FaultKind.DRIP: Effect("200, the body comes one byte each 0.2 s, for `hang_s` at most", Truth.ALL),
    FaultKind.ANSWER_LATE: Effect("200, `late_s` after the messages were accepted", Truth.ALL),
    FaultKind.ACCEPT_LATE: Effect(
        "200, `late_s` late: accepted at the end, even when the client has gone", Truth.ALL
    ),
    FaultKind.MIXED: Effect(
        "200, the hit items (one in ten, at least one) fail with 300, 406 or an unknown code; a single message: 422",
        Truth.SOME,
    ),
    FaultKind.SENDER_UNKNOWN: Effect(
        "200, the hit items (all, if the rule names none) fail with 400: no such sender; a single message: 422",
        Truth.OTHERS,
    ),
    FaultKind.SENDER_UNCONFIRMED: Effect("as above, with 401: the sender is not confirmed", Truth.OTHERS),
    FaultKind.NO_CREDITS: Effect("as above, with 405: the account is out of credits", Truth.OTHERS),
    FaultKind.PENDING_APPROVAL: Effect(
        "as above, with 412, but only items with a recipient outside the domain of From", Truth.OTHERS
    ),
    FaultKind.NOT_APPROVED: Effect("as above, with 413: the account is not approved", Truth.OTHERS),
    FaultKind.STREAM_UNKNOWN: Effect("as above, with 1235: the stream is unknown (archived)", Truth.OTHERS),
    FaultKind.STREAM_ARCHIVED: Effect("as above, with 1236: the stream cannot send", Truth.OTHERS),
    FaultKind.DELAYED: Effect("200 without ErrorCode: delivery may be delayed", Truth.ALL),
    FaultKind.PARTIAL_INACTIVE: Effect(
        "200, ErrorCode 0; the last recipient of each message to several is named as inactive", Truth.ALL
    ),
    FaultKind.PARTIAL_INACTIVE_LONG: Effect("as above, in the older and longer wording", Truth.ALL),
    FaultKind.TRUNCATED_JSON: Effect("200, the JSON stops halfway, Content-Length agrees", Truth.ALL),
    FaultKind.SHORT_ARRAY: Effect("200, the last element is missing; a single message: `{}`", Truth.ALL),
    FaultKind.CODE_AS_STRING: Effect('200, every ErrorCode is a string ("0")', Truth.ALL),
    FaultKind.EXTRA_FIELDS: Effect("200, every element has fields that nobody knows", Truth.ALL),
    FaultKind.MISSING_TO: Effect("200, no element has a To", Truth.ALL),
    FaultKind.HTML_200: Effect("200 with an HTML page", Truth.ALL),
    FaultKind.SEARCH_EMPTY: Effect("search only: 200, nothing found", Truth.NOTHING),
    FaultKind.SEARCH_UNFILTERED: Effect(
        "search only: without a `messagestream`, the metadata filter is ignored", Truth.NOTHING
    ),
}
SEARCH_ONLY = frozenset({FaultKind.SEARCH_EMPTY, FaultKind.SEARCH_UNFILTERED})


class Target(StrEnum):
    """Which requests a rule looks at: those that send, or those that look for messages."""

    SEND = "send"
    SEARCH = "search"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """One fault and when it fires.

    A rule applies to a request of its `target` when some message in it has the metadata key `metadata_key` (with
    `metadata_value`, if given) and some recipient field contains `recipient`. It then fires with `probability`
    (0 … 1), only for the `nth` such request if given (from 1), at most `max_count` times if given.
    Raises SettingsError for values outside these ranges, and for a kind that cannot happen to its target.
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
        if self.target is Target.SEND and self.kind in SEARCH_ONLY:
            raise SettingsError(f'{self.kind} happens to searches only; it needs the target "search"')
        if self.target is Target.SEARCH and EFFECTS[self.kind].truth is not Truth.NOTHING:
            raise SettingsError(f"{self.kind} accepts mail, so it cannot happen to a search")
        if self.target is Target.SEARCH and (self.metadata_key or self.recipient):
            raise SettingsError(f"{self.kind} on search cannot look at messages")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """Rules in order, and the seed of the draws.

    One number is drawn per request; the probabilities of the rules that apply to it add up, in order, so at most one
    fault fires. `hang_s` (seconds, more than 0) bounds hangs and drips, `late_s` (likewise) is how late `answer_late`
    and `accept_late` are.
    """

    rules: tuple[FaultRule, ...] = ()
    seed: int = 0
    hang_s: float = 120.0
    late_s: float = 2.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", tuple(self.rules))
        for name, value in (("hang_s", self.hang_s), ("late_s", self.late_s)):
            if value <= 0:
                raise SettingsError(f"{name} is {value}, it must be more than 0")

    def to_document(self) -> dict[str, Any]:
        """Give the plan as a JSON-ready dict; `from_document` reads it back."""
        return {
            "seed": self.seed,
            "hang_s": self.hang_s,
            "late_s": self.late_s,
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
