"""The mail: what an application hands over. An invalid one cannot exist."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from atum_schema import mail_rules as rules
from atum_schema.addresses import Address, AddressesLike, AddressLike, address_of, parse_addresses
from atum_schema.headers import Header, HeadersLike, headers_of
from atum_schema.mail_attachments import Attachment, attachments_of
from atum_schema.mail_options import OnUnknown, TrackLinks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from email.message import Message

__all__ = ["Address", "Attachment", "Header", "Mail", "OnUnknown", "TrackLinks"]

_NO_METADATA: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True, init=False)
class Mail:
    """One mail, frozen and checked against every limit of the provider (see `atum_schema.limits`).

    The constructor takes friendly input: addresses as text ("Jane Doe <jane@example.com>, bob@example.org"),
    `Address` or a list of either; headers as mapping or pairs; options as enum or their value. The fields hold
    the typed form. It raises `MailRejected` with the field and the reason, and never drops or repairs anything.
    `dataclasses.replace` gives a changed copy, checked again.
    """

    #: Who the mail is from. In documents this field is called "from".
    sender: Address
    #: Visible recipients, at least one. To, cc and bcc together: at most 50.
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    #: Where answers go, if not to the sender.
    reply_to: tuple[Address, ...]
    #: One line, at most 2000 UTF-16 code units; may be empty.
    subject: str
    #: Plain text body, at most 5 MB of UTF-8. With `html` alone, text is derived when the mail is stored.
    text: str | None = field(repr=False)
    #: HTML body, at most 5 MB of UTF-8. At least one of the two bodies is not empty.
    html: str | None = field(repr=False)
    attachments: tuple[Attachment, ...]
    #: Custom headers in order, duplicates kept.
    headers: tuple[Header, ...]
    #: One label for statistics, at most 1000 characters.
    tag: str | None
    #: Read-only; at most 8 keys of at most 20 characters, values of at most 80.
    metadata: Mapping[str, str] = field(hash=False)
    #: Message stream of the provider.
    stream: str
    #: Lane to travel in; None: chosen from the stream's type.
    lane: str | None
    #: None: what the provider's server is set to.
    track_opens: bool | None
    track_links: TrackLinks | None
    #: Not before this moment (aware, kept in UTC); None: at once.
    send_at: datetime | None
    #: Never sent after this moment (aware, kept in UTC, after `send_at`); None: no limit.
    expires_at: datetime | None
    #: 1 to 255 printable ASCII characters, unique per client; no space at either end.
    idempotency_key: str | None
    #: What to do if it cannot be proven whether the provider took the mail; None: the lane's default.
    on_unknown: OnUnknown | None

    def __init__(
        self,
        *,
        sender: AddressLike,
        to: AddressesLike,
        subject: str,
        text: str | None = None,
        html: str | None = None,
        cc: AddressesLike = (),
        bcc: AddressesLike = (),
        reply_to: AddressesLike = (),
        attachments: Iterable[Attachment] = (),
        headers: HeadersLike = (),
        tag: str | None = None,
        metadata: Mapping[str, str] = _NO_METADATA,
        stream: str = "outbound",
        lane: str | None = None,
        track_opens: bool | None = None,
        track_links: TrackLinks | str | None = None,
        send_at: datetime | None = None,
        expires_at: datetime | None = None,
        idempotency_key: str | None = None,
        on_unknown: OnUnknown | str | None = None,
    ) -> None:
        put = object.__setattr__
        put(self, "sender", address_of(sender, field="sender"))
        put(self, "to", parse_addresses(to, field="to") if to else ())
        put(self, "cc", parse_addresses(cc, field="cc") if cc else ())
        put(self, "bcc", parse_addresses(bcc, field="bcc") if bcc else ())
        put(self, "reply_to", parse_addresses(reply_to, field="reply_to") if reply_to else ())
        put(self, "subject", rules.checked_subject(subject))
        put(self, "text", text)
        put(self, "html", html)
        put(self, "attachments", attachments_of(attachments) if attachments else ())
        put(self, "headers", headers_of(headers) if headers else ())
        put(self, "tag", None if tag is None else rules.checked_tag(tag))
        put(self, "metadata", rules.checked_metadata(metadata) if metadata else _NO_METADATA)
        put(self, "stream", stream if stream == "outbound" else rules.checked_stream(stream))
        put(self, "lane", None if lane is None else rules.checked_lane(lane))
        put(self, "track_opens", rules.checked_flag("track_opens", track_opens))
        put(self, "track_links", None if track_links is None else rules.checked_track_links(track_links))
        put(self, "send_at", None if send_at is None else rules.checked_time("send_at", send_at))
        put(self, "expires_at", None if expires_at is None else rules.checked_time("expires_at", expires_at))
        put(self, "idempotency_key", None if idempotency_key is None else rules.checked_key(idempotency_key))
        put(self, "on_unknown", None if on_unknown is None else rules.checked_on_unknown(on_unknown))
        rules.check_whole(self)

    @property
    def recipients(self) -> tuple[Address, ...]:
        """Every recipient: to, then cc, then bcc."""
        return self.to + self.cc + self.bcc

    @classmethod
    def from_message(cls, message: Message, **overrides: Any) -> Mail:
        """Read a mail from a message of the standard library; `overrides` are fields that win over it.

        Raises `MailRejected` if the message does not make a valid mail. See `atum_schema.message`.
        """
        from atum_schema.message import mail_from_message

        return mail_from_message(message, **overrides)

    @classmethod
    def from_eml(cls, data: bytes, **overrides: Any) -> Mail:
        """Read a mail from the bytes of a message (RFC 5322 and MIME), as `from_message` does."""
        from atum_schema.message import mail_from_eml

        return mail_from_eml(data, **overrides)

    def __reduce__(self) -> tuple[Any, ...]:
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        values["metadata"] = dict(self.metadata)
        return _restore, (values,)


def _restore(values: dict[str, Any]) -> Mail:
    return Mail(**values)
