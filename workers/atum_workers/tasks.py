"""The tasks of a worker, put together: what is done now and then, and with what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from atum_schema.maintenance import Task
from atum_workers import catching, telling
from atum_workers.adding_up import adding_up
from atum_workers.apply_events import Applying
from atum_workers.catch_up import CatchUp
from atum_workers.deadline import Deadline
from atum_workers.event import Whose
from atum_workers.maintain import applying, telling_suppressions
from atum_workers.pace import Pace
from atum_workers.reencrypt import Reencryption
from atum_workers.retain import Retaining
from atum_workers.sweep_dead import sweeping

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from psycopg_pool import ConnectionPool

    from atum_schema.database import Connection
    from atum_schema.encryption import Keyring
    from atum_schema.live import Live
    from atum_schema.settings import Settings
    from atum_workers.maintain import Lease
    from atum_workers.postmark_api import PostmarkApi

_LOCATE_S: Final = 10.0


def tasks(
    live: Live, *, pool: ConnectionPool[Connection], api: PostmarkApi, keyring: Keyring
) -> Mapping[Task, Callable[[Lease], float]]:
    """Put the tasks together, each by the settings of the moment. Raises `SettingsError`."""
    configured = live.now
    pace = Pace(lambda: live.now.catch_up_rate)

    def locate(message_id: str) -> telling.Place | Whose:
        details = api.details(message_id, Deadline.start(_LOCATE_S))
        if details is None:
            return Whose.UNHEARD_OF
        if details.mail_id is None:
            return Whose.FOREIGN
        return telling.Place(details.mail_id, details.batch_id)

    events = Applying(
        keyring=keyring,
        locate=locate,
        drop_content=configured.drops_content,
        park_s=configured.webhook_park_s,
    )
    return {
        Task.APPLY_EVENTS: applying(events.round),
        Task.TELL_SUPPRESSIONS: telling_suppressions(api),
        Task.CATCH_UP: lambda lease: catching_up(
            live.now, pool=pool, api=api, keyring=keyring, pace=pace
        ).run(lease),
        Task.SWEEP_DEAD: sweeping(live.now.need_amqp_url()),
        Task.ADD_UP: adding_up(),
        Task.RETAIN: Retaining(pool=pool, settings=configured).task,
        Task.REENCRYPT: Reencryption(pool=pool, keyring=keyring).run,
    }


def catching_up(
    configured: Settings,
    *,
    pool: ConnectionPool[Connection],
    api: PostmarkApi,
    keyring: Keyring,
    pace: Pace | None = None,
) -> CatchUp:
    """Put catching up together. Raises `SettingsError`."""
    return CatchUp(
        pool=pool,
        api=api,
        keyring=keyring,
        ages=catching.ages(configured.catch_up_ages_s),
        pace=pace or Pace(configured.catch_up_rate),
        every_s=configured.catch_up_s,
        retention_s=configured.webhook_retention_s,
    )
