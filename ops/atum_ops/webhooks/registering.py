"""Making the provider's webhooks as they are wanted, and having it verify them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from atum_schema.errors import AtumError
from atum_workers import postmark_webhooks
from atum_workers.catch_up import remedy
from atum_workers.deadline import Deadline
from atum_workers.postmark_api import ProviderFailed
from atum_workers.postmark_webhooks import NOT_VERIFIED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_ops.webhooks.registration import Plan
    from atum_workers.postmark_api import PostmarkApi

#: Seconds for a request that makes the provider try the endpoint, each type of event in turn.
_TRYING_S: Final = 180.0
_ASKING_S: Final = 20.0
_NOT_TAKEN: Final = (
    "the provider's samples must be answered with 200: see that the endpoint runs with these credentials and can be"
    " reached at ATUM_WEBHOOK_URL from outside, and try: atum-mailer webhook check"
)


class Outcome(NamedTuple):
    """What came of one stream's webhook."""

    stream: str
    action: str
    webhook_id: int | None
    verified: bool
    #: Why it is not verified, and what to do; None where it is.
    failure: str | None = None
    remedy: str | None = None


def streams(api: PostmarkApi, asked: Sequence[str]) -> list[str]:
    """Give the streams that were asked for, or all that send. Raises `AtumError` when one is none of these."""
    sending = api.streams(Deadline.start(_ASKING_S))
    for stream in asked:
        if stream not in sending:
            raise AtumError(
                f"the provider has no stream {stream!r} that sends; there are: {', '.join(sending)}"
            )
    return [stream for stream in sending if stream in asked] if asked else sending


def registered(api: PostmarkApi) -> list[postmark_webhooks.Webhook]:
    """Give what is registered. Raises `ProviderFailed`."""
    return postmark_webhooks.webhooks(api, Deadline.start(_ASKING_S))


def apply(api: PostmarkApi, plan: Plan) -> Outcome:
    """Do what a plan says; where nothing changes, verify: that wakes types of event that were paused."""
    try:
        return _applied(api, plan)
    except ProviderFailed as error:
        if error.status is None:
            raise
        failure = str(error) if error.said is None else f"{error}: {error.said}"
        help_ = _NOT_TAKEN if error.code == NOT_VERIFIED else remedy(error).strip("; ") or None
        return Outcome(
            plan.stream, plan.action, plan.webhook_id, verified=False, failure=failure, remedy=help_
        )


def _applied(api: PostmarkApi, plan: Plan) -> Outcome:
    deadline = Deadline.start(_TRYING_S)
    if plan.webhook_id is None:
        made = postmark_webhooks.create_webhook(api, plan.settings, deadline)
        return Outcome(plan.stream, plan.action, made.id, verified=True)
    if plan.changes:
        postmark_webhooks.edit_webhook(api, plan.webhook_id, plan.settings, deadline)
        return Outcome(plan.stream, plan.action, plan.webhook_id, verified=True)
    verified = postmark_webhooks.verify_webhook(api, plan.webhook_id, deadline)
    if verified.success:
        return Outcome(plan.stream, plan.action, plan.webhook_id, verified=True)
    failed = ", ".join(f"{name} ({status or 'no answer'})" for name, status in verified.failed.items())
    failure = f"samples that were not taken: {failed or 'the provider does not say which'}"
    return Outcome(
        plan.stream, plan.action, plan.webhook_id, verified=False, failure=failure, remedy=_NOT_TAKEN
    )


def document(outcome: Outcome | Plan) -> dict[str, Any]:
    """Give what may be shown of a plan or an outcome."""
    shown = outcome._asdict() | {"action": outcome.action}
    shown.pop("settings", None)
    return shown
