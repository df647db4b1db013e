"""`POST /email/withTemplate` and `/email/batchWithTemplates` of a server without templates.

Source: Postmark developer docs, "Templates API". Every message is checked as the provider does, and then refused: there is no template that it could name.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from atum_ops.simulator import oddities, texts
from atum_ops.simulator.exchange import Answer
from atum_ops.simulator.fieldtypes import mistyped_template
from atum_ops.simulator.rules import check
from atum_ops.simulator.send_endpoints import read_messages
from atum_ops.simulator.sending import rehearse
from atum_ops.simulator.suppressions import Suppressions
from atum_ops.simulator.texts import Refusal

if TYPE_CHECKING:
    from atum_ops.simulator.exchange import Request
    from atum_ops.simulator.rules import Account
    from atum_ops.simulator.sending import Document, Item
    from atum_ops.simulator.state import State
    from atum_ops.simulator.wire import Connection

_INSTEAD = ("Subject", "HtmlBody", "TextBody")


class TemplateEndpoints:
    """Refuses messages that name a template, each for its first fault. No fault plan and no latency applies."""

    def __init__(self, state: State) -> None:
        self._state = state

    def send(self, request: Request, connection: Connection, *, in_batch: bool) -> None:
        """Handle a request with one message or with `Messages`."""
        items = read_messages(request, in_batch=in_batch, within="Messages", mistyped=mistyped_template)
        if not isinstance(items, Answer):
            refusals = [refuse(item, self._state.account) for item in items]
            answers = [{"ErrorCode": one.code, "Message": one.message} for one in refusals]
            items = oddities.honest(answers, in_batch=in_batch)
        connection.answer(items)

    def rehearse(self, request: Request, connection: Connection, *, in_batch: bool) -> None:
        """Handle a request with the token POSTMARK_API_TEST, which does not look for the template."""
        items = read_messages(request, in_batch=in_batch, within="Messages", mistyped=mistyped_template)
        if not isinstance(items, Answer):
            items = oddities.honest([self._rehearse(item) for item in items], in_batch=in_batch)
        connection.answer(items)

    def _rehearse(self, item: Item) -> Document:
        wrong = _misused(item)
        if wrong is not None:
            return {"ErrorCode": wrong.code, "Message": wrong.message}
        (answer,) = rehearse([_rendered(item)], self._state.account, at=time.time(), in_batch=True)
        return answer


def refuse(item: Item, account: Account) -> Refusal:
    """Say why a message with a template is refused; suppressions come after the template, so never."""
    found = check(_rendered(item), replace(account, suppressions=Suppressions()), in_batch=True)
    if isinstance(found, Refusal):
        return found
    text = texts.NO_TEMPLATE_ALIAS if item.get("TemplateId") is None else texts.NO_TEMPLATE_ID
    return _misused(item) or Refusal(1101, text)


def _rendered(item: Item) -> dict[str, Any]:
    """Give the message with a body in place of what a template would have made."""
    return {**item, "Subject": "-", "TextBody": "-", "HtmlBody": None}


def _misused(item: Item) -> Refusal | None:
    if item.get("TemplateId") is None and not item.get("TemplateAlias"):
        return Refusal(1101, texts.NO_TEMPLATE_ID)
    if any(item.get(name) for name in _INSTEAD):
        return Refusal(1123, texts.TEMPLATE_AND_BODY)
    if item.get("TemplateModel") is None:
        return Refusal(1109, texts.NO_MODEL)
    return None
