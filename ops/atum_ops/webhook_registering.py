"""Registering our webhook in one stream: look, decide, save, verify."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from atum_ops.webhook_registry import refused
from atum_ops.webhook_setup import plan
from atum_workers.postmark_api import ProviderFailed

if TYPE_CHECKING:
    from atum_ops.webhook_registry import Failure, Registry
    from atum_ops.webhook_setup import Change, Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What was done in a stream, or would be."""

    stream: str
    #: create, update, keep, or look where even that failed.
    action: str
    webhook_id: int | None = None
    changes: tuple[Change, ...] = ()
    others: tuple[str, ...] = ()
    #: None: it was not tried.
    verified: bool | None = None
    failures: tuple[Failure, ...] = ()
    #: Whether it failed because the provider gave no answer.
    unreachable: bool = False

    def words(self, *, applied: bool) -> str:
        """Say it in one line."""
        if self.action == "look":
            return "the provider does not say what is registered"
        if not applied:
            return {"create": "to be created", "update": "to be updated", "keep": "as it should be"}[
                self.action
            ]
        if self.verified:
            done = {"create": "created", "update": "updated", "keep": "as it should be"}[self.action]
            return f"{done}, and verified"
        if self.webhook_id is not None and self.verified is False:
            return "registered, but it does not work"
        return "NOT registered as it should be"


def register(registry: Registry, want: Wanted, stream: str, *, apply: bool) -> Done:
    """Register the webhook in a stream, or only say what would be done. Never raises for what the provider does."""
    secrets = [*(want.basic or ()), *(want.header or ())[1:]]
    try:
        planned = plan(want, stream=stream, registered=registry.registered(stream))
    except ProviderFailed as error:
        return Done(
            stream=stream,
            action="look",
            failures=(refused(error, secrets=secrets),),
            unreachable=error.status is None,
        )
    done = Done(
        stream=stream,
        action=planned.name,
        webhook_id=planned.webhook_id,
        changes=planned.changes,
        others=planned.others,
    )
    if not apply:
        return done
    try:
        webhook_id = planned.webhook_id
        if webhook_id is None or planned.changes:
            webhook_id = registry.save(planned)
        failures = tuple(registry.verify(webhook_id))
    except ProviderFailed as error:
        return replace(
            done,
            webhook_id=planned.webhook_id,
            failures=(refused(error, secrets=secrets),),
            unreachable=error.status is None,
        )
    return replace(done, webhook_id=webhook_id, failures=failures, verified=not failures)
