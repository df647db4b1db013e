"""From the body of a request to messages and their mails: pure, so that large ones may be worked on aside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from atum_producers.api.access import may_send_as
from atum_producers.api.drafts import MOST_MAILS
from atum_producers.api.postmark import fields, texts
from atum_producers.api.postmark.texts import Refusal, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_producers.api.clients_store import LiveKey
    from atum_producers.api.postmark.fields import Item
    from atum_schema.mail import Mail


def items_of(body: bytes, *, in_batch: bool) -> list[Item]:
    """Read the messages of a request. Raises `Refused` for what spoils it as a whole: JSON, types, and number."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Refused(402, texts.BAD_JSON) from None
    documents: list[Any] | Any = document if in_batch else [document]
    if not isinstance(documents, list) or not all(isinstance(one, dict) for one in documents):
        raise Refused(402, texts.BAD_JSON)
    items = [fields.item_of(one) for one in documents]
    for item in items:
        if wrong := fields.mistyped(item):
            raise Refused(403, texts.BAD_FIELDS.format(fields=", ".join(f"'{name}'" for name in wrong)))
    if len(items) > MOST_MAILS:
        raise Refused(410, texts.TOO_MANY.format(most=MOST_MAILS))
    return items


def mails_of(items: Sequence[Item], client: LiveKey) -> list[Mail | Refusal]:
    """Make the mail of each message, or say why it is refused; one does not spoil another."""
    return [_mail_of(item, client) for item in items]


def _mail_of(item: Item, client: LiveKey) -> Mail | Refusal:
    mail = fields.mail_of(item)
    if isinstance(mail, Refusal) or may_send_as(client, mail):
        return mail
    return Refusal(400, texts.UNKNOWN_SENDER.format(address=mail.sender.email))
