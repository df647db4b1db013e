"""Putting a delivery together from the settings: the same for workers and for `queue run`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atum_schema.heartbeat import process_name
from atum_schema.steps import Reached, go_on
from atum_workers.deliver import Delivery
from atum_workers.observing import Observer
from atum_workers.retry import RetryPolicy
from atum_workers.store import Recording

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg_pool import ConnectionPool

    from atum_schema.database import Connection
    from atum_schema.encryption import Keyring
    from atum_schema.live import Live
    from atum_schema.settings import Settings
    from atum_workers.deliver import Provider
    from atum_workers.outcome import Outcome


def retry_policy(configured: Settings) -> RetryPolicy:
    """Give the policy of retries that the settings want."""
    return RetryPolicy(
        attempts=configured.attempts,
        tries=configured.tries,
        base=configured.retry_base_s,
        maximum=configured.retry_max_s,
    )


def delivery(
    live: Live,
    *,
    pool: ConnectionPool[Connection],
    provider: Provider,
    smtp: Provider | None,
    keyring: Keyring,
    answered: Callable[[str, str, list[Outcome], float], None],
    marked: Callable[[int], None],
    reached: Reached = go_on,
    observer: Observer | None = None,
) -> Delivery:
    """Put a delivery together; `answered`, `marked`, `reached` and `observer` are those of `Delivery`.

    Retries follow the settings of the moment, everything else those of the start.
    """
    configured = live.now
    return Delivery(
        pool=pool,
        provider=provider,
        smtp=smtp,
        keyring=keyring,
        policy=lambda: retry_policy(live.now),
        worker=process_name(),
        request_timeout_s=configured.request_timeout_s,
        claim_lease_s=configured.claim_lease_s,
        posting_lease_s=configured.posting_lease_s,
        recording=Recording(
            drop_content=configured.drops_content,
            patience_s=configured.request_timeout_s,
            settle_s=configured.settle_schedule[0],
        ),
        record_patience_s=configured.stop_timeout_s,
        answered=answered,
        marked=marked,
        reached=reached,
        observer=observer or Observer(),
    )
