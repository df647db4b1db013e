"""Sending a mail again as a new one: what may be changed, and what stands against it. Pure decisions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from atum_schema.addresses import folded, parse_addresses
from atum_schema.document import mail_to_document
from atum_schema.errors import AtumError
from atum_schema.status import ENDED, PROVEN, Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from atum_ops.mails.facts import Child
    from atum_schema.addresses import Address
    from atum_schema.mail import Mail

_SHOWN: Final = ("sender", "to", "cc", "bcc", "subject", "stream", "lane", "tag")
#: Statuses of a resent mail that leave room for another one.
_OVER: Final = frozenset(status.value for status in ENDED - PROVEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What is to be different in the new mail; None keeps what was. An empty list of cc or bcc leaves it out."""

    to: tuple[str, ...] | None = None
    cc: tuple[str, ...] | None = None
    bcc: tuple[str, ...] | None = None
    subject: str | None = None
    stream: str | None = None
    #: The only account that may send it.
    account: str | None = None


class Difference(NamedTuple):
    """A field of the old mail and of the new one, as people read them."""

    field: str
    old: str
    new: str


def changed(mail: Mail, overrides: Overrides) -> Mail:
    """Give the mail with the overrides, read by the one parser of addresses. Raises `MailRejected` naming the field."""
    changes: dict[str, Any] = {}
    for name in ("to", "cc", "bcc"):
        given: tuple[str, ...] | None = getattr(overrides, name)
        if given is not None:
            changes[name] = [
                address for text in given if text.strip() for address in parse_addresses(text, field=name)
            ]
    for name in ("subject", "stream"):
        if getattr(overrides, name) is not None:
            changes[name] = getattr(overrides, name)
    return replace(mail, **changes) if changes else mail


def differences(old: Mail, new: Mail) -> list[Difference]:
    """Compare two mails field by field, without their content."""
    return [Difference(name, _words(getattr(old, name)), _words(getattr(new, name))) for name in _SHOWN]


def check_recipients(old: Mail, new: Mail, *, allowed: bool) -> None:
    """Refuse a change of who gets the mail that was not asked for by name. Raises `AtumError`."""
    if not allowed and any(
        _folded(getattr(old, name)) != _folded(getattr(new, name)) for name in ("to", "cc", "bcc")
    ):
        raise AtumError(
            "the new mail would go to other recipients than the old one; if that is meant: --allow-recipient-change"
        )


def check_status(mail_id: UUID, status: str, children: Sequence[Child], *, again: bool) -> None:
    """Refuse what would make a copy that nobody asked for by name. Raises `AtumError`."""
    if again:
        return
    alive = [child for child in children if child.status not in _OVER]
    if alive:
        raise AtumError(
            f"mail {mail_id} was sent again already, as {alive[-1].id}, which is {alive[-1].status}; {_AGAIN}"
        )
    if status not in _OVER:
        raise AtumError(f"mail {mail_id}: {_STANDS[status].format(id=mail_id)}; {_AGAIN}")


_AGAIN: Final = "if a second copy is wanted: --again"
_STANDS: Final[Mapping[str, str]] = {
    "queued": "it is still under way: queued",
    "scheduled": "it is still under way: scheduled by the application",
    "retrying": "it is still under way, and tried again by itself; to hurry it: atum-mailer mail retry {id}",
    "unknown": "it was posted without a clear answer, which is being settled; the provider may have it",
    "held": "it is held; to let it go: atum-mailer mail release {id}",
    "sent": "the provider has accepted it already",
    "delivered": "it was delivered already",
    "bounced": "the provider has accepted it, and it bounced; recipients who did not refuse it have it",
}


def check_content(mail_id: UUID, status: str, *, there: bool) -> None:
    """Refuse a mail that a recipient complained of, or whose content is gone, and say why it is. Raises `AtumError`."""
    if status == Status.COMPLAINED:
        raise AtumError(f"mail {mail_id}: a recipient called it spam; it is never sent again")
    if there:
        return
    if status in {state.value for state in PROVEN}:
        why = "privacy mode 'metadata' drops content once a mail is accepted; ATUM_PRIVACY=full would have kept it"
    else:
        why = f"that of a mail that is {status} is dropped in privacy mode 'metadata' as in 'full'"
    raise AtumError(f"mail {mail_id}: its content is gone, so it cannot be sent again: {why}")


def check_suppressed(stream: str, suppressed: Sequence[str]) -> None:
    """Refuse recipients that must not be mailed. Raises `AtumError` with the command that shows one."""
    if suppressed:
        others = f" (and {len(suppressed) - 1} more)" if len(suppressed) > 1 else ""
        raise AtumError(
            f"{suppressed[0]}{others} is suppressed in the stream {stream};"
            f" see: atum-mailer suppressions list --stream {stream} --address {suppressed[0]}"
        )


def key(mail_id: UUID, mail: Mail, account: str | None, children: Sequence[Child]) -> str:
    """Give the idempotency key: the same order on the same mail is one new mail, until that one has failed."""
    document = orjson.dumps([mail_to_document(mail), account], option=orjson.OPT_SORT_KEYS)
    failed = sum(child.status in _OVER for child in children)
    return f"resend:{mail_id}:{failed}:{hashlib.sha256(document).hexdigest()}"


def _folded(addresses: Sequence[Address]) -> set[str]:
    return {folded(address.email) for address in addresses}


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else "" if value is None else str(value)
