"""What the control endpoints tell, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from atum_ops.simulator.ledger import MAIL_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

BATCH_KEY = "atum-batch"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRecord:
    """One message that was really accepted. `accepted_at` is unix seconds; `skipped` lists inactive recipients."""

    seq: int
    accepted_at: float
    message_id: str
    request: int
    stream: str
    sender: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    bcc: tuple[str, ...]
    subject: str
    tag: str
    metadata: Mapping[str, str]
    skipped: tuple[str, ...] = ()

    @property
    def mail_id(self) -> str | None:
        """The mail's id in our log (metadata `atum-mail`)."""
        return self.metadata.get(MAIL_KEY)

    @property
    def batch_id(self) -> str | None:
        """The batch it came in (metadata `atum-batch`)."""
        return self.metadata.get(BATCH_KEY)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> LedgerRecord:
        """Read one line of the ledger."""
        return cls(
            seq=document["seq"],
            accepted_at=document["accepted_at"],
            message_id=document["message_id"],
            request=document["request"],
            stream=document["stream"],
            sender=document["from"],
            to=tuple(document["to"]),
            cc=tuple(document["cc"]),
            bcc=tuple(document["bcc"]),
            subject=document["subject"],
            tag=document["tag"],
            metadata=document["metadata"],
            skipped=tuple(document.get("skipped", ())),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthRecord:
    """What is true of one recipient of one accepted message, at the end of its course.

    `state` is delivered, soft_bounced, bounced, complained or delayed; `events` are the steps of its course in order,
    `suppressed` says whether its stream mails the address no more, `settled` that the whole course has happened.
    """

    seq: int
    mail_id: str | None
    message_id: str
    stream: str
    recipient: str
    state: str
    events: tuple[str, ...]
    suppressed: bool
    settled: bool

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> TruthRecord:
        """Read one line of the truth."""
        return cls(**{**document, "events": tuple(document["events"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Counts of one simulator, since its ledger began (`accepted` to `duplicate_ids`) or since it started (the rest).

    `distinct`, `duplicates` and `extra_copies` count `atum-mail` ids: all, those accepted more than once, and the
    copies beyond the first. `duplicate_ids` names at most 1000 of them with how often. `offered` counts messages in
    sending requests that reached the message checks, `refused` those answered with an ErrorCode. Of the `sends`,
    `limited` met the rate limit, and `abandoned` were not carried out because the client had gone. `webhooks` counts
    events, posts, how they ended, and the faults that hit them.
    """

    accepted: int
    distinct: int
    unlabelled: int
    duplicates: int
    extra_copies: int
    duplicate_ids: Mapping[str, int]
    requests: int
    sends: int
    offered: int
    refused: int
    searches: int
    last_seq: int
    limited: int
    abandoned: int
    faults: Mapping[str, int]
    webhooks: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Summary:
        """Read the answer of `/_control/summary`."""
        return cls(**document)
