"""What an intake counts agrees with what it has told Postgres."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atum_schema import metrics_catalogue as m
from tests.intaking import INTAKE, document, publish
from tests.nodes import eventually
from tests.scraping import await_scrape, url_in
from tests.system import System

if TYPE_CHECKING:
    from tests.system import Part


def test_jobs_are_counted_by_what_became_of_them(database_url: str, amqp_url: str) -> None:
    with System(
        database_url=database_url,
        amqp_url=amqp_url,
        relays=0,
        workers=0,
        # Whose confirm comes too late is published twice.
        settings={"ATUM_METRICS_PORT": "0", "ATUM_PUBLISH_TIMEOUT_S": "30"},
    ) as system:
        jobs = [document(place) for place in range(20)]
        publish(amqp_url, [*jobs, b"no mail", document(0, to="nobody")])
        intake: Part = system.await_output(system.start_part(INTAKE), "serving")
        url = url_in(intake.output())
        await_scrape(
            url,
            lambda now: now.values(m.JOBS, "job_result") == {"stored": 20, "rejected": 2},
            seconds=60,
        )
        # The same once more: known by now.
        publish(amqp_url, jobs[:5])
        seen = await_scrape(
            url,
            lambda now: now.values(m.JOBS, "job_result") == {"stored": 20, "rejected": 2, "known": 5},
            seconds=60,
        )

        def tally() -> dict[str, int]:
            return dict(
                system.query(
                    "SELECT name, sum(number)::int FROM atum.tally WHERE name LIKE 'intake%%' GROUP BY 1"
                )
            )

        assert eventually(lambda: tally() == {"intake_accepted": 20, "intake_rejected": 2}), tally()
        assert seen.value(m.JOBS_DURATION, "_count") >= 2
        assert seen.value(m.JOBS_DURATION, "_sum") > 0
