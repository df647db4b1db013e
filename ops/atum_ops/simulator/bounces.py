"""The bounces of a server, as its Bounce API lists them (Postmark developer docs, "Bounce API")."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from atum_ops.simulator import texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Small enough for a client that reads numbers as floating point.
_ID_BITS: Final = 52


class BounceType(NamedTuple):
    """How the provider describes one type of bounce."""

    code: int
    name: str
    description: str
    #: What the recipient's server said.
    details: str


TYPES: Final[Mapping[str, BounceType]] = {
    "HardBounce": BounceType(
        1,
        "Hard bounce",
        "The server was unable to deliver your message (ex: unknown user, mailbox not found).",
        "smtp;550 5.1.1 The email account that you tried to reach does not exist.",
    ),
    "Transient": BounceType(
        2,
        "Message delayed",
        "The server could not temporarily deliver your message (ex: Message is delayed due to network troubles).",
        "smtp;421 4.4.5 Server busy, try again later.",
    ),
    "AutoResponder": BounceType(
        64,
        "Auto responder",
        'Automatic email responder (ex: "Out of Office" or "On Vacation").',
        "Automatic reply: I am away until Monday.",
    ),
    "SoftBounce": BounceType(
        4096,
        "Soft bounce",
        "Unable to temporarily deliver message (i.e. mailbox full, account disabled, exceeds quota, out of disk space).",
        "smtp;452 4.2.2 The email account that you tried to reach is over quota.",
    ),
    "SpamComplaint": BounceType(
        100001,
        "Spam complaint",
        "The subscriber explicitly marked this message as spam.",
        "Abuse report (feedback loop).",
    ),
}
COMPLAINT: Final = "SpamComplaint"
#: Types that the provider knows and that never happen here.
OTHER_TYPES: Final = frozenset(
    {
        "Unsubscribe",
        "Subscribe",
        "AddressChange",
        "DnsError",
        "SpamNotification",
        "OpenRelayTest",
        "Unknown",
        "VirusNotification",
        "ChallengeVerification",
        "BadEmailAddress",
        "ManuallyDeactivated",
        "Unconfirmed",
        "Blocked",
        "SMTPApiError",
        "InboundError",
        "DMARCPolicy",
        "TemplateRenderingFailed",
    }
)


@dataclass(slots=True, kw_only=True)
class Bounce:
    """One bounce. Only `inactive` changes: until the address is activated again."""

    id: int
    type: str
    record: Mapping[str, Any]
    address: str
    at: float
    inactive: bool

    @property
    def can_activate(self) -> bool:
        """Whether a customer may activate the address again."""
        return self.type != COMPLAINT

    def to_document(self) -> dict[str, Any]:
        """Give it as the API does."""
        known, record = TYPES[self.type], self.record
        return {
            "RecordType": COMPLAINT if self.type == COMPLAINT else "Bounce",
            "MessageStream": record["stream"],
            "ID": self.id,
            "Type": self.type,
            "TypeCode": known.code,
            "Name": known.name,
            "Tag": record["tag"],
            "MessageID": record["message_id"],
            "ServerID": texts.SERVER_ID,
            "Description": known.description,
            "Details": known.details,
            "Email": self.address,
            "From": bare(record["from"]),
            "BouncedAt": texts.timestamp(self.at),
            "DumpAvailable": False,
            "Inactive": self.inactive,
            "CanActivate": self.can_activate,
            "Subject": record["subject"],
        }


class Bounces:
    """All bounces, in the order in which they happened."""

    def __init__(self) -> None:
        self._all: list[Bounce] = []
        self._by_id: dict[int, Bounce] = {}

    def __len__(self) -> int:
        return len(self._all)

    def add(self, bounce: Bounce) -> None:
        """Note a bounce."""
        self._all.append(bounce)
        self._by_id[bounce.id] = bounce

    def get(self, bounce_id: int) -> Bounce | None:
        """Give the bounce with this id, or None."""
        return self._by_id.get(bounce_id)

    def find(self, meets: Callable[[Bounce], bool]) -> list[Bounce]:
        """Give the bounces that meet something, the newest first."""
        return [bounce for bounce in reversed(self._all) if meets(bounce)]

    def activate(self, stream: str, address: str) -> None:
        """Note that an address of a stream is active again."""
        for bounce in self._all:
            if bounce.inactive and bounce.address == address and bounce.record["stream"] == stream:
                bounce.inactive = False

    def clear(self) -> None:
        """Forget everything."""
        self._all.clear()
        self._by_id.clear()


def bounce_id(message_id: str, recipient: str, kind: str) -> int:
    """Give the id of a bounce; it hangs on what bounced alone, so a restarted simulator gives the same."""
    digest = blake2b(f"{message_id} {recipient} {kind}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> (64 - _ID_BITS)


def bare(address: str) -> str:
    """Give an address without its display name."""
    return address.rpartition("<")[2].rstrip("> ").strip()
