"""`webhooks`: events come, and are applied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from atum_ops.health.findings import Finding, Verdict
from atum_ops.webhooks import findings as of_webhooks
from atum_ops.webhooks.findings import Level
from atum_ops.webhooks.freshness import freshness

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_ops.health.surroundings import Surroundings

NAME: Final = "webhooks"
_VERDICTS: Final = {
    Level.GOOD: Verdict.GOOD,
    Level.NOTE: Verdict.WARNING,
    Level.BAD: Verdict.BAD,
    Level.AWAY: Verdict.UNKNOWN,
}
_CHECK: Final = "atum-mailer webhook check"


def look(surroundings: Surroundings) -> list[Finding]:
    """Look at the inbox; `webhook check` looks at more, and tries it."""
    fresh = freshness(surroundings.connection)
    if fresh.last_s is None and surroundings.settings.webhook_url is None:
        text = "none has ever come, and ATUM_WEBHOOK_URL is not set: deliveries and bounces are learned by catching up"
        return [Finding(NAME, Verdict.GOOD, text)]
    return judge(of_webhooks.of_inbox(fresh))


def judge(found: Sequence[of_webhooks.Finding]) -> list[Finding]:
    """Say the same in the words of health; what is good is one line."""
    wrong = [
        Finding(NAME, _VERDICTS[each.level], f"{each.about}: {each.says}", each.remedy or f"see: {_CHECK}")
        for each in found
        if each.level is not Level.GOOD
    ]
    said = "; ".join(f"{each.about}: {each.says}" for each in found)
    return wrong or [Finding(NAME, Verdict.GOOD, said)]
