"""The webhooks that are registered at Postmark: listing, saving, verifying, and how they fare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from atum_ops.webhook_remedies import remedy
from atum_workers.deadline import Deadline
from atum_workers.postmark_api import ProviderFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from atum_ops.webhook_setup import Plan
    from atum_workers.postmark_api import PostmarkApi

#: Saving and verifying end when the endpoint has answered for each type of event.
TIMEOUT_S: Final = 120.0
_NOT_VERIFIED: Final = 1364
_SAID: Final = 300
_SECRET: Final = 4


class Failure(NamedTuple):
    """Why a webhook does not work, and what to do about it."""

    #: The type of event; None: all.
    trigger: str | None
    #: What the endpoint answered; None: nothing, or it is not known.
    status: int | None
    remedy: str


class Registry:
    """The webhooks of one server of Postmark. Every method may raise `ProviderFailed`."""

    def __init__(self, api: PostmarkApi) -> None:
        self._api = api

    def streams(self) -> list[str]:
        """Give the streams that send."""
        return self._api.streams(_deadline())

    def registered(self, stream: str) -> list[dict[str, Any]]:
        """Give the webhooks of a stream, with their credentials."""
        found = self._api.ask("GET", "/webhooks", _deadline(), query={"MessageStream": stream})
        webhooks = found.get("Webhooks") if isinstance(found, dict) else None
        if not isinstance(webhooks, list):
            raise ProviderFailed("the answer is no list of webhooks")
        return [each for each in webhooks if isinstance(each, dict) and type(each.get("ID")) is int]

    def save(self, plan: Plan) -> int:
        """Create or change a webhook, which the provider verifies first; give its id."""
        if plan.webhook_id is None:
            made = self._api.ask("POST", "/webhooks", _deadline(), body=plan.document)
        else:
            made = self._api.ask("PUT", f"/webhooks/{plan.webhook_id}", _deadline(), body=plan.document)
        webhook_id = made.get("ID") if isinstance(made, dict) else None
        if type(webhook_id) is not int:
            raise ProviderFailed("the answer is no webhook")
        return webhook_id

    def verify(self, webhook_id: int) -> list[Failure]:
        """Have the provider post an event of each type; give what failed. Success makes paused types active again."""
        found = self._api.ask("POST", f"/webhooks/{webhook_id}/verify", _deadline(), body={})
        if not isinstance(found, dict) or not isinstance(found.get("Success"), bool):
            raise ProviderFailed("the answer is no result of verifying")
        if found["Success"]:
            return []
        results = found.get("Results")
        failed = [
            Failure(_word(each.get("Trigger")), _status(each), remedy(_status(each)))
            for each in (results if isinstance(results, list) else ())
            if isinstance(each, dict) and each.get("Success") is not True
        ]
        return failed or [Failure(None, None, "the provider does not say what failed")]

    def statuses(self, webhook_id: int) -> dict[str, str]:
        """Give how the types of event fare: Active, Paused or Unverified."""
        found = self._api.ask("GET", f"/webhooks/{webhook_id}/statistics", _deadline())
        statuses = found.get("Statuses") if isinstance(found, dict) else None
        if not isinstance(statuses, dict):
            raise ProviderFailed("the answer is no statistics")
        return {str(trigger): str(status) for trigger, status in statuses.items()}


def refused(error: ProviderFailed, *, secrets: Iterable[str]) -> Failure:
    """Say what a refusal of the provider means. `secrets` are not shown, even if the provider quotes them."""
    if error.unauthorized:
        return Failure(None, None, "the provider refuses ATUM_POSTMARK_TOKEN")
    said = error.said or ""
    for secret in secrets:
        if len(secret) >= _SECRET:
            said = said.replace(secret, "…")
    said = "".join(each if each.isprintable() else " " for each in said)[:_SAID]
    words = f"{error}" + (f": {said}" if said else "")
    if error.code == _NOT_VERIFIED:
        words += "; nothing was changed. See what the endpoint answers: atum-mailer webhook check"
    return Failure(None, None, words)


def _deadline() -> Deadline:
    return Deadline.start(TIMEOUT_S)


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _status(result: Mapping[str, Any]) -> int | None:
    status = result.get("StatusCode")
    return status if type(status) is int else None
