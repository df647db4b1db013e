"""An incoming webhook of Slack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from atum_ops.alerts.breach import Kind
from atum_ops.alerts.receivers.posting import post
from atum_ops.alerts.receivers.prose import facts
from atum_ops.alerts.receivers.receiver import TIMEOUT_S, Receiver

if TYPE_CHECKING:
    from pydantic import SecretStr

    from atum_ops.alerts.breach import Breach

NAME: Final = "slack"
_MARKS: Final = {
    Kind.FIRING: ":red_circle:",
    Kind.REPEATED: ":large_orange_circle:",
    Kind.RESOLVED: ":large_green_circle:",
}


def receiver(url: SecretStr, *, timeout_s: float = TIMEOUT_S) -> Receiver:
    """Make the receiver."""
    return Receiver(NAME, lambda told: post(url.get_secret_value(), message(told), timeout_s=timeout_s))


def message(told: Breach) -> dict[str, Any]:
    """Make the message: one line for the notification, blocks for whoever looks."""
    lines = "\n".join(f"*{_escaped(name)}:* {_escaped(value)}" for name, value in facts(told))
    head = f"{_MARKS[told.kind]} *{_escaped(told.title)}*\n{_escaped(told.description)}"
    return {
        "text": _escaped(told.title),
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": head}},
            {"type": "section", "text": {"type": "mrkdwn", "text": lines}},
        ],
    }


def _escaped(text: str) -> str:
    """Escape what Slack's mrkdwn would take for a link, a mention or an entity."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
