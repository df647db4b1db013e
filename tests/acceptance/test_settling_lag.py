"""The provider's index lags by twenty seconds and answers get lost after acceptance: nothing is sent twice."""

from __future__ import annotations

import time

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.faults import FaultKind, FaultPlan, FaultRule
from tests.nodes import eventually
from tests.system import HANG_S, System, letters

LAG_S = 20.0


def test_one_batch_in_ten_hangs_after_acceptance_and_is_found_once_the_index_shows_it(
    database_url: str, amqp_url: str
) -> None:
    with System(
        database_url=database_url,
        amqp_url=amqp_url,
        simulation=SimulatorConfig(index_lag_s=LAG_S),
        settings={
            "ATUM_BATCH_MAILS": "10",
            "ATUM_THREADS": "8",
            "ATUM_SETTLE_S": "1,3,6",
            "ATUM_SETTLE_WITHOUT_CONTROL_S": "120",
            "ATUM_REQUEST_TIMEOUT_S": "4",
        },
    ) as system:
        system.simulator.set_faults(
            FaultPlan(rules=(FaultRule(kind=FaultKind.HANG_AFTER, probability=0.1),), seed=3, hang_s=HANG_S)
        )
        ids = system.mailer.enqueue(letters(600))
        assert eventually(
            lambda: bool(system.query("SELECT FROM atum.batch WHERE state = 'unknown'")), seconds=60
        )
        system.settled()
        ((unknown,),) = system.query("SELECT count(*) FROM atum.event WHERE cause = 'outcome_unknown'")
        assert unknown >= 10
        # The schedule alone is shorter than the lag: only the controls keep the searches from counting too early.
        traffic = 0

        def goes_on() -> bool:
            nonlocal traffic
            system.mailer.enqueue(letters(1, name=f"traffic{traffic}-"))
            traffic += 1
            time.sleep(0.5)
            return system.statuses(ids) == {"sent": 600}

        # One in ten of these hangs too, and is settled by the same rules.
        assert eventually(goes_on, seconds=120)
        system.simulator.set_faults(FaultPlan())
        system.settled()
        system.mailer.enqueue(letters(1, name="last"))
        traffic += 1
        assert eventually(
            lambda: system.query("SELECT count(*) FROM atum.mail WHERE status = 'unknown'") == [(0,)],
            seconds=90,
        )
        assert system.simulator.summary().duplicates == 0
        system.check(sent=600 + traffic)
        ((found,),) = system.query("SELECT count(*) FROM atum.event WHERE cause = 'found'")
        assert found >= unknown
        assert system.query("SELECT count(*) FROM atum.event WHERE cause = 'resend_allowed'") == [(0,)]
