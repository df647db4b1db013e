"""What can go wrong with webhooks between the provider and us, as data, and what each does to one event. Pure.

None of it changes what is true: `/_control/truth` and the read APIs say the same with and without. What hits an event
hangs on the seed and on the event alone, whatever the order in which things happen.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from atum_ops.simulator.fates import fractions
from atum_ops.simulator.ledger import MAIL_KEY
from atum_schema.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atum_ops.simulator.webhook_events import Event

OUTAGES: Final = ("", "lost", "failing")
_TIMES: Final = ("late_s", "reorder_s")

#: The faults with a probability each, and what they do.
SAYS: Final[Mapping[str, str]] = {
    "duplicated": "sent twice, with the same trace id",
    "duplicated_untraced": "sent twice, each with a trace id of its own",
    "reordered": "held back for up to `reorder_s` seconds, so that others overtake it",
    "early": "of a message: its first event is posted before the answer to its sending request leaves, "
    "which waits for it for a second at most",
    "late": "held back for `late_s` seconds",
    "lost": "never sent",
    "fields_missing": "each of address, time, Metadata, MessageID, MessageStream, Tag, Inactive may be missing; one of "
    "Metadata and MessageID stays, and so does the address of a message to several; of what is about no message, "
    "address and stream stay",
    "unknown_type": "one more event about the same, of a type that nobody knows",
    "unknown_fields": "it has fields that nobody knows",
    "malformed_id": "its MessageID is none; its Metadata stay",
    "foreign": "one more event, about somebody else's message: an unknown MessageID and no Metadata",
}
_OPTIONAL: Final = (
    ("Email", "Recipient"),
    ("BouncedAt", "DeliveredAt", "ReceivedAt"),
    ("MessageStream",),
    ("Tag",),
    ("Inactive",),
)
_UNKNOWN_FIELDS: Final = {"Region": {"Name": "eu", "Weight": 0.5}, "Warnings": [], "TraceID": "4f1d"}
_HALF: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookFaults:
    """A probability (0 … 1) for each fault; they are drawn apart, so several may hit one event.

    `outage` is for as long as it stands: "lost" sends nothing and forgets it, "failing" lets every attempt fail, so
    that events run up the ladder. Raises SettingsError for values that make no sense.
    """

    seed: int = 0
    duplicated: float = 0.0
    duplicated_untraced: float = 0.0
    reordered: float = 0.0
    early: float = 0.0
    late: float = 0.0
    lost: float = 0.0
    fields_missing: float = 0.0
    unknown_type: float = 0.0
    unknown_fields: float = 0.0
    malformed_id: float = 0.0
    foreign: float = 0.0
    late_s: float = 3600.0
    reorder_s: float = 30.0
    outage: str = ""

    def __post_init__(self) -> None:
        for name in (*SAYS, *_TIMES):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise SettingsError(f"{name} is {value!r}, it must be a number that is not negative")
        for name in SAYS:
            if getattr(self, name) > 1:
                raise SettingsError(f"{name} is {getattr(self, name)}, it must be from 0 to 1")
        if self.outage not in OUTAGES:
            raise SettingsError(f"outage is {self.outage!r}, it must be lost, failing or empty")

    def hits(self, *event: object) -> set[str]:
        """Give the faults that hit an event; whether it is early is its message's affair."""
        return {
            name
            for name in SAYS
            if name != "early"
            and (chance := getattr(self, name))
            and fractions(self.seed, name, *event, count=1)[0] < chance
        }

    def hurries(self, mail: str) -> bool:
        """Say whether a mail's first event is early."""
        return bool(self.early) and fractions(self.seed, "early", mail, count=1)[0] < self.early

    def to_document(self) -> dict[str, Any]:
        """Give them as a JSON-ready dict; `from_document` reads it back."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> WebhookFaults:
        """Read them. Raises SettingsError when a field is unknown or wrong."""
        unknown = document.keys() - {one.name for one in fields(cls)}
        if unknown:
            raise SettingsError(f"unknown webhook faults: {', '.join(sorted(unknown))}")
        return cls(**document)


_SOME: Final = dict.fromkeys(SAYS, 0.1)
WEBHOOK_PRESETS: Final[Mapping[str, Mapping[str, float]]] = {
    "none": {},
    "all": _SOME,
    "unlost": {name: chance for name, chance in _SOME.items() if name != "lost"},
}


def webhook_preset(name: str, *, seed: int = 0) -> WebhookFaults:
    """Give the faults of that name; the name of a fault stands for it hitting everything. Raises SettingsError."""
    if name in WEBHOOK_PRESETS:
        return WebhookFaults.from_document({"seed": seed, **WEBHOOK_PRESETS[name]})
    if name not in SAYS:
        raise SettingsError(
            f"no webhook faults {name!r}; there are {', '.join(WEBHOOK_PRESETS)}, and {', '.join(SAYS)}"
        )
    return WebhookFaults.from_document({"seed": seed, name: 1.0})


class Post(NamedTuple):
    """One event as it is to be posted: `after_s` seconds from now, with a trace id of its own or its event's."""

    event: Event
    after_s: float = 0.0
    own_trace: bool = False


def posts(
    event: Event, hits: set[str], faults: WebhookFaults, *, recipients: int, draws: Sequence[float]
) -> list[Post]:
    """Give what is posted of an event that some faults hit; `recipients` is how many its message has.

    `draws` are seven numbers from 0 to 1, for what else is left to chance.
    """
    if "lost" in hits:
        return []
    told = event
    if "fields_missing" in hits:
        told = _without_some(told, recipients, draws)
    elif "malformed_id" in hits and _labelled(told):
        told = {**told, "MessageID": "not-a-message"}
    if "unknown_fields" in hits:
        told = {**told, **_UNKNOWN_FIELDS}
    after_s = faults.reorder_s * draws[0] if "reordered" in hits else 0.0
    if "late" in hits:
        after_s += faults.late_s
    found = [Post(told, after_s)]
    if "duplicated" in hits:
        found.append(Post(told, after_s))
    if "duplicated_untraced" in hits:
        found.append(Post(told, after_s, own_trace=True))
    if "unknown_type" in hits:
        found.append(Post({**event, "RecordType": "Forwarded"}, own_trace=True))
    if "foreign" in hits:
        stranger = str(UUID(int=int(draws[0] * (1 << 64)) << 64 | int(draws[1] * (1 << 64)), version=4))
        found.append(Post({**event, "MessageID": stranger, "Metadata": {}, "Tag": ""}, own_trace=True))
    return found


def _without_some(event: Event, recipients: int, draws: Sequence[float]) -> Event:
    gone = {name for names, draw in zip(_OPTIONAL, draws, strict=False) for name in names if draw < _HALF}
    if recipients != 1:
        gone -= {"Email", "Recipient"}
    if not event.get("MessageID"):
        gone.discard("MessageStream")
    # Of a type that does not say so itself, nothing else says that the address is inactive.
    if event.get("Inactive") is True and event["Type"] == "SoftBounce":
        gone.discard("Inactive")
    identity = "Metadata" if draws[5] < _HALF else "MessageID"
    if draws[6] < _HALF and (_labelled(event) if identity == "MessageID" else event.get("MessageID")):
        gone.add(identity)
    return {name: value for name, value in event.items() if name not in gone}


def _labelled(event: Event) -> bool:
    return MAIL_KEY in event["Metadata"]
