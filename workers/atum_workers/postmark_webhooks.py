"""Postmark's webhooks API: what is registered, registering, verifying, and how it fares.

What is registered holds credentials in clear: it is compared, and never shown or logged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from atum_workers.postmark_api import ProviderFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from atum_workers.deadline import Deadline
    from atum_workers.postmark_api import PostmarkApi

#: ErrorCode where the provider's sample events were not answered with 200; nothing is saved then.
NOT_VERIFIED: Final = 1364


class Webhook(NamedTuple):
    """One registered webhook."""

    id: int
    stream: str
    url: str
    #: User and password; None: none are sent.
    basic: tuple[str, str] | None
    headers: Mapping[str, str]
    #: The types of event that it gets.
    triggers: frozenset[str]

    def __repr__(self) -> str:
        """Say which one it is; the rest is secret."""
        return f"Webhook(id={self.id}, stream={self.stream!r})"


class Verified(NamedTuple):
    """What came of the provider's sample events."""

    success: bool
    #: The types whose sample was not taken, each with the status of its answer; None: there was none.
    failed: Mapping[str, int | None]


def webhooks(api: PostmarkApi, deadline: Deadline) -> list[Webhook]:
    """Give what is registered, of all streams. Raises `ProviderFailed`, as all here do."""
    found = api.ask("GET", "/webhooks", deadline)
    listed = found.get("Webhooks") if isinstance(found, dict) else None
    if not isinstance(listed, list):
        raise ProviderFailed("the answer is no list of webhooks")
    return [_webhook(each) for each in listed]


def create_webhook(api: PostmarkApi, settings: Mapping[str, Any], deadline: Deadline) -> Webhook:
    """Register a webhook. The provider verifies it first."""
    return _webhook(api.ask("POST", "/webhooks", deadline, body=settings))


def edit_webhook(
    api: PostmarkApi, webhook_id: int, settings: Mapping[str, Any], deadline: Deadline
) -> Webhook:
    """Change what is given of a webhook. The provider verifies it first."""
    return _webhook(api.ask("PUT", f"/webhooks/{webhook_id}", deadline, body=settings))


def verify_webhook(api: PostmarkApi, webhook_id: int, deadline: Deadline) -> Verified:
    """Have the provider send its samples again; success makes paused types active."""
    answer = api.ask("POST", f"/webhooks/{webhook_id}/verify", deadline, body={})
    if not isinstance(answer, dict) or not isinstance(answer.get("Success"), bool):
        raise ProviderFailed("the answer does not say whether it succeeded")
    results = answer.get("Results")
    failed = {
        str(each.get("Trigger")): status if type(status := each.get("StatusCode")) is int else None
        for each in (results if isinstance(results, list) else [])
        if isinstance(each, dict) and each.get("Success") is not True
    }
    return Verified(answer["Success"], failed)


def webhook_statistics(api: PostmarkApi, webhook_id: int, deadline: Deadline) -> dict[str, str]:
    """Give the status of each type of event: Active, Paused or Unverified."""
    answer = api.ask("GET", f"/webhooks/{webhook_id}/statistics", deadline)
    statuses = answer.get("Statuses") if isinstance(answer, dict) else None
    if not isinstance(statuses, dict):
        raise ProviderFailed("the answer has no statuses")
    return {str(trigger): str(status) for trigger, status in statuses.items()}


def delivery_type(api: PostmarkApi, deadline: Deadline) -> str | None:
    """Say whether the server is `Live` or a `Sandbox`. Nothing else is kept of the answer: it has live tokens."""
    answer = api.ask("GET", "/server", deadline)
    found = answer.get("DeliveryType") if isinstance(answer, dict) else None
    return found if isinstance(found, str) else None


def _webhook(document: Any) -> Webhook:
    if not isinstance(document, dict) or type(document.get("ID")) is not int:
        raise ProviderFailed("the answer is no webhook")
    auth, headers, triggers = (document.get(name) for name in ("HttpAuth", "HttpHeaders", "Triggers"))
    return Webhook(
        id=document["ID"],
        stream=str(document.get("MessageStream") or "outbound"),
        url=str(document.get("Url") or ""),
        basic=(str(auth.get("Username") or ""), str(auth.get("Password") or ""))
        if isinstance(auth, dict)
        else None,
        headers={
            str(each.get("Name")): str(each.get("Value"))
            for each in (headers if isinstance(headers, list) else [])
            if isinstance(each, dict)
        },
        triggers=frozenset(
            name
            for name, each in (triggers.items() if isinstance(triggers, dict) else ())
            if isinstance(each, dict) and each.get("Enabled") is True
        ),
    )
