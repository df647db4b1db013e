"""Catching up: what no webhook has told is asked for, once, however often it is interrupted."""

from __future__ import annotations

import logging
import uuid
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.fates import Fate
from atum_ops.simulator.process import SimulatorProcess
from atum_schema import database, inbox, maintenance, webhook
from atum_schema.encryption import Keyring
from atum_schema.ids import first_mail_id
from atum_schema.maintenance import Task
from atum_schema.script import run
from atum_schema.tally import counting
from atum_schema.webhook import Kind
from atum_workers import catch_up as module
from atum_workers import store
from atum_workers.catch_up import CatchUp
from atum_workers.maintain import Lease, LeaseLost
from atum_workers.pace import Pace
from atum_workers.postmark_api import BouncePage, Details, PostmarkApi, ProviderFailed
from tests.answering import answering
from tests.command_line import RECORDING, SENT, _result
from tests.logged import said
from tests.nodes import eventually
from tests.simulating import HEADERS
from tests.telling import AT, apply_all, event, facts, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    import httpx

    from tests.command_line import Place

HOUR = timedelta(hours=1)
#: The list of bounces reaches less far than the provider's, to see how its end is passed.
REACH, PAGE = 20, 5


@pytest.fixture(scope="module")
def shared() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(SimulatorConfig(fates={}, time_scale=0.0005)) as simulator:
        yield simulator


@pytest.fixture
def pool(place: Place) -> Iterator[Any]:
    with database.pool(place.url, name="tests", size=2) as pool:
        yield pool


class Watched(PostmarkApi):
    """The API, which remembers whom it was asked about, and fails about some."""

    def __init__(self, url: str) -> None:
        super().__init__(base_url=url, token=HEADERS["X-Postmark-Server-Token"])
        self.asked: list[str] = []
        self.failing: dict[str, ProviderFailed] = {}

    def details(self, message_id: str, deadline: Any) -> Details | None:
        self.asked.append(message_id)
        if message_id in self.failing:
            raise self.failing[message_id]
        return super().details(message_id, deadline)


@pytest.fixture
def api(simulator: SimulatorProcess) -> Iterator[Watched]:
    api = Watched(simulator.url)
    yield api
    api.close()


@pytest.fixture
def work(place: Place, pool: Any, api: Watched) -> CatchUp:
    run(place.connection, counting({("webhook_accepted", ""): 1}))
    return catching_up(place, pool, api)


def catching_up(place: Place, pool: Any, api: Any, **fields: Any) -> CatchUp:
    values = {"ages": (0.0,), "every_s": 300.0, "retention_s": 86_400.0, "pace": Pace(1e6), **fields}
    keyring = Keyring(place.environment["ATUM_CONTENT_KEYS"])
    return CatchUp(pool=pool, api=api, keyring=keyring, **values)


def begun(place: Place, pool: Any, *, stopping: Callable[[], bool] = lambda: False) -> Lease:
    ((task,),) = place.sql("SELECT id FROM atum.maintenance WHERE name = %(name)s", name=Task.CATCH_UP.value)
    taken = maintenance.begin(place.connection, task)
    assert taken is not None
    return Lease(pool=pool, token=taken.token, progress=taken.progress, stopping=stopping)


def once(place: Place, pool: Any, work: CatchUp, *, stopping: Callable[[], bool] = lambda: False) -> float:
    """Do one run under a lease of its own; give the seconds until the next."""
    lease = begun(place, pool, stopping=stopping)
    seconds = work.run(lease)
    maintenance.end(place.connection, lease.token, due_s=seconds)
    return seconds


def sent(place: Place, client: httpx.Client, *recipients: str) -> dict[UUID, str]:
    """Take a mail to each of these all the way to the provider; give their MessageIDs."""
    ids: dict[UUID, str] = {}
    for to in recipients:
        place.enqueue(to=to)
    for batch in place.issue():
        token = place.post(batch)
        rows = place.sql(
            "SELECT m.id, m.to_line FROM atum.mail m JOIN atum.batch b ON m.id = ANY(b.mail_ids) WHERE b.id = %(id)s",
            id=batch,
        )
        results = []
        for mail_id, to in rows:
            ids[mail_id] = posted(client, mail_id, batch, to)
            results.append(_result(mail_id, {**SENT, "provider_message_id": ids[mail_id]}))
        assert store.record(place.connection, batch=batch, token=token, results=results, recording=RECORDING)
    return dict(sorted(ids.items()))


def posted(client: httpx.Client, mail_id: UUID, batch: UUID, to: str) -> str:
    answer = client.post(
        "/email",
        json={
            "From": "App <app@example.com>",
            "To": to,
            "Subject": "Hello",
            "TextBody": "Hi",
            "Metadata": {"atum-mail": str(mail_id), "atum-batch": str(batch)},
        },
    )
    answer.raise_for_status()
    message_id: str = answer.json()["MessageID"]
    return message_id


def happened(simulator: SimulatorProcess) -> None:
    """Wait until everything has happened to everyone."""
    assert eventually(lambda: simulator.webhooks()["upcoming"] == 0, seconds=60)


def states(place: Place) -> dict[tuple[str, str], str | None]:
    kinds: defaultdict[tuple[str, str], list[Kind]] = defaultdict(list)
    for mail_id, recipient, kind in place.sql("SELECT mail_id, recipient, kind FROM atum.recipient_event"):
        kinds[str(mail_id), recipient].append(Kind(kind))
    return {who: webhook.state(told) for who, told in kinds.items()}


def test_after_an_outage_of_all_webhooks_every_recipient_is_as_the_provider_has_it(
    place: Place, pool: Any, work: CatchUp, simulator: SimulatorProcess, client: httpx.Client
) -> None:
    everybody = [f"{fate}@example.org" for fate in Fate]
    sent(place, client, *everybody, ", ".join(f"{fate}+2@example.org" for fate in Fate))
    happened(simulator)
    assert once(place, pool, work) == 300.0
    apply_all(place)
    truth = {(one.mail_id, one.recipient): one.state for one in simulator.truth()}
    assert len(truth) == 2 * len(everybody)
    assert states(place) == truth
    suppressed = {one.recipient for one in simulator.truth() if one.suppressed}
    ours = place.sql("SELECT address FROM atum.suppression WHERE suppressed")
    assert suppressed
    assert {address for (address,) in ours} == suppressed


def test_who_was_told_of_is_not_asked_about(
    place: Place, pool: Any, work: CatchUp, api: Watched, simulator: SimulatorProcess, client: httpx.Client
) -> None:
    ids = sent(place, client, "r0@example.net", "r1@example.net")
    happened(simulator)
    told, untold = ids
    tell(place, event("Delivery", told, uuid.uuid4(), MessageID=ids[told]))
    apply_all(place)
    once(place, pool, work)
    assert api.asked == [ids[untold]]


def test_a_mail_is_asked_about_once_at_each_age(
    place: Place, pool: Any, work: CatchUp, api: Watched, client: httpx.Client
) -> None:
    ids = sent(place, client, "r0@example.net", "r1@example.net")
    once(place, pool, work)
    once(place, pool, work)
    assert api.asked == list(ids.values())
    later = catching_up(place, pool, api, ages=(0.0, 0.001))
    once(place, pool, later)
    assert api.asked == [*ids.values()] * 2


def test_nobody_who_does_not_use_webhooks_is_asked_about(
    place: Place, pool: Any, api: Watched, client: httpx.Client
) -> None:
    sent(place, client, "r0@example.net")
    once(place, pool, catching_up(place, pool, api))
    assert api.asked == []


def test_a_worker_that_is_to_stop_stops_after_one_request_and_the_next_goes_on(
    place: Place, pool: Any, work: CatchUp, api: Watched, client: httpx.Client
) -> None:
    ids = list(sent(place, client, *[f"r{number}@example.net" for number in range(4)]).values())
    assert once(place, pool, work, stopping=lambda: len(api.asked) >= 2) == 0.0
    assert api.asked == ids[:2]
    once(place, pool, work)
    assert api.asked == ids


def test_a_worker_that_died_is_gone_on_with_from_where_it_was(
    place: Place, pool: Any, work: CatchUp, api: Watched, client: httpx.Client
) -> None:
    ids = list(sent(place, client, *[f"r{number}@example.net" for number in range(4)]).values())

    def taken_over() -> bool:
        if len(api.asked) == 2:
            place.sql("UPDATE atum.maintenance SET lease_until = now() - interval '1 s', token = NULL")
        return False

    with pytest.raises(LeaseLost):
        work.run(begun(place, pool, stopping=taken_over))
    once(place, pool, work)
    assert api.asked[:2] == ids[:2]
    assert set(api.asked) == set(ids)
    assert len(api.asked) <= len(ids) + 1


def test_one_mail_that_the_provider_fails_about_holds_up_no_other(
    place: Place, pool: Any, work: CatchUp, api: Watched, client: httpx.Client
) -> None:
    ids = list(sent(place, client, *[f"r{number}@example.net" for number in range(3)]).values())
    api.failing[ids[1]] = ProviderFailed("HTTP 500", status=500)
    assert once(place, pool, work) == 300.0
    assert api.asked == ids
    assert (work.caught.asked, work.caught.failed) == (2, 1)


def test_a_provider_that_is_away_is_asked_again_soon_from_where_it_failed(
    place: Place, pool: Any, work: CatchUp, api: Watched, client: httpx.Client
) -> None:
    ids = list(sent(place, client, *[f"r{number}@example.net" for number in range(6)]).values())
    api.failing = {each: ProviderFailed("ReadTimeout") for each in ids[1:]}
    assert once(place, pool, work) == 60.0
    assert api.asked == ids[:4]
    api.failing.clear()
    once(place, pool, work)
    assert api.asked[4:] == ids[1:]


@pytest.mark.parametrize("number", [1, 2])
def test_the_last_mails_are_not_passed_by_when_the_provider_goes_away(
    number: int, place: Place, pool: Any, work: CatchUp, api: Watched, client: httpx.Client
) -> None:
    ids = list(sent(place, client, *[f"r{number}@example.net" for number in range(3)]).values())
    api.failing = {each: ProviderFailed("ReadTimeout") for each in ids[-number:]}
    assert once(place, pool, work) == 60.0
    api.failing.clear()
    once(place, pool, work)
    assert api.asked[3:] == ids[-number:]


def test_a_refused_token_is_said_with_what_helps(
    place: Place, pool: Any, simulator: SimulatorProcess, caplog: pytest.LogCaptureFixture
) -> None:
    api = PostmarkApi(base_url=simulator.url, token="wrong")
    with caplog.at_level(logging.WARNING):
        once(place, pool, catching_up(place, pool, api))
    api.close()
    assert "HTTP 401" in said(caplog)
    assert "ATUM_POSTMARK_TOKEN" in said(caplog)


def test_the_provider_says_when_it_is_asked_again(place: Place, pool: Any) -> None:
    with answering(429, b"{}", {"Retry-After": "700"}) as url:
        api = PostmarkApi(base_url=url, token="t")
        assert once(place, pool, catching_up(place, pool, api)) == 700.0
        api.close()


def test_a_command_waits_as_long_as_the_provider_says(place: Place, pool: Any) -> None:
    waited: list[float] = []
    with answering(429, b"{}", {"Retry-After": "7"}) as url:
        api = PostmarkApi(base_url=url, token="t")
        pace = Pace(1e6, sleep=waited.append)
        work = catching_up(place, pool, api, pace=pace, patience=3)
        with pytest.raises(ProviderFailed, match="429"):
            list(work.over(datetime.now(UTC) - HOUR))
        api.close()
    assert [seconds for seconds in waited if seconds > 1] == [7.0, 7.0, 7.0]


class Listing:
    """A provider with so many bounces in its list, all of mails that it knows nothing of; `failing` details fail."""

    def __init__(self, times: list[datetime], *, failing: int = 0) -> None:
        newest_first = sorted(times, reverse=True)
        self._bounces = [(at, _bounce(number, at)) for number, at in enumerate(newest_first, start=1)]
        self._failing = failing
        self.asked: list[str] = []

    def streams(self, deadline: Any) -> list[str]:
        del deadline
        return ["outbound"]

    def suppressions(self, stream: str, deadline: Any) -> list[Any]:
        del stream, deadline
        return []

    def bounces(
        self, stream: str, *, since: datetime, until: datetime | None = None, offset: int, deadline: Any
    ) -> BouncePage:
        del stream, since, deadline
        assert offset + PAGE <= REACH
        found = [bounce for at, bounce in self._bounces if until is None or at <= until]
        return BouncePage(len(found), found[offset : offset + PAGE])

    def details(self, message_id: str, deadline: Any) -> Details | None:
        del deadline
        self.asked.append(message_id)
        if len(self.asked) <= self._failing:
            raise ProviderFailed("HTTP 500", status=500)
        metadata = {"atum-mail": str(uuid.uuid4())}
        return Details(message_id, "outbound", None, None, metadata, (), ())


def _bounce(number: int, at: datetime) -> dict[str, Any]:
    return {
        "ID": number,
        "Type": "HardBounce",
        "TypeCode": 1,
        "Email": f"r{number}@example.net",
        "MessageID": f"message-{number}",
        "Inactive": True,
        "BouncedAt": at.isoformat(),
    }


def inboxed(place: Place) -> list[dict[str, Any]]:
    keyring = Keyring(place.environment["ATUM_CONTENT_KEYS"])
    rows = place.sql("SELECT id, key_id, body FROM atum.webhook_inbox ORDER BY id")
    return [orjson.loads(keyring.decrypt(*row)) for row in rows]


@pytest.fixture(autouse=True)
def _short_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REACH", REACH)
    monkeypatch.setattr(module, "PAGE", PAGE)


def test_more_bounces_than_the_list_reaches_are_all_taken_over(place: Place, pool: Any) -> None:
    now = datetime.now(UTC)
    listing = Listing([now - timedelta(seconds=10 * number) for number in range(73)])
    work = catching_up(place, pool, listing)
    work.bounces("outbound", now - HOUR, lambda: None)
    assert sorted(one["ID"] for one in inboxed(place)) == list(range(1, 74))
    assert len(listing.asked) == 73


def test_more_bounces_at_one_moment_than_the_list_reaches_are_said_and_stop_nothing(
    place: Place, pool: Any, caplog: pytest.LogCaptureFixture
) -> None:
    now = datetime.now(UTC)
    work = catching_up(place, pool, Listing([now - HOUR] * 30))
    work.bounces("outbound", now - 2 * HOUR, lambda: None)
    assert len(inboxed(place)) == 20
    assert "more bounces at one time than can be read" in said(caplog)


def test_only_bounces_that_are_not_known_are_asked_about_and_only_since_then(place: Place, pool: Any) -> None:
    now = datetime.now(UTC)
    listing = Listing([now - timedelta(minutes=number) for number in range(10)])
    work = catching_up(place, pool, listing)
    work.bounces("outbound", now - timedelta(minutes=4.5), lambda: None)
    assert sorted(listing.asked) == [f"message-{number}" for number in range(1, 6)]
    work.bounces("outbound", now - timedelta(minutes=6.5), lambda: None)
    assert sorted(listing.asked[5:]) == ["message-6", "message-7"]
    assert all("atum-mail" in one["Metadata"] for one in inboxed(place))


def test_a_bounce_whose_mail_the_provider_fails_about_is_kept_without_it(place: Place, pool: Any) -> None:
    now = datetime.now(UTC)
    work = catching_up(place, pool, Listing([now] * 4, failing=2))
    work.bounces("outbound", now - HOUR, lambda: None)
    assert sorted("Metadata" in one for one in inboxed(place)) == [False, False, True, True]


def test_bounces_wait_when_the_provider_is_away(place: Place, pool: Any) -> None:
    now = datetime.now(UTC)
    work = catching_up(place, pool, Listing([now] * 4, failing=3))
    with pytest.raises(ProviderFailed):
        work.bounces("outbound", now - HOUR, lambda: None)
    assert inboxed(place) == []


def test_what_was_done_with_long_ago_is_forgotten_and_nothing_else(place: Place, pool: Any) -> None:
    old = first_mail_id(datetime.now(UTC) - timedelta(days=3))
    waiting, fresh, done = (uuid.UUID(int=old.int + number) for number in range(3))
    for event_id, state, days in ((waiting, "parked", None), (fresh, "applied", 0.5), (done, "ignored", 2)):
        place.sql(
            "INSERT INTO atum.webhook_inbox (id, dedupe, source, state, done_at, key_id, body)"
            " VALUES (%(id)s, decode(md5(%(text)s) || md5(%(text)s), 'hex'), 'webhook', %(state)s,"
            " now() - make_interval(hours => (%(days)s::float8 * 24)::int), 'k', '')",
            id=event_id,
            text=str(event_id),
            state=state,
            days=days,
        )
    once(place, pool, catching_up(place, pool, Listing([])))
    left = {event_id for (event_id,) in place.sql("SELECT id FROM atum.webhook_inbox")}
    assert left == {waiting, fresh}


def test_what_is_learned_twice_is_one_fact(
    place: Place, pool: Any, work: CatchUp, simulator: SimulatorProcess, client: httpx.Client
) -> None:
    ids = sent(place, client, "bounce-hard@example.org", "r1@example.net")
    happened(simulator)
    for mail_id, message_id in ids.items():
        tell(place, event("Delivery", mail_id, uuid.uuid4(), MessageID=message_id, DeliveredAt=AT))
    for _ in range(2):
        for _part in work.over(datetime.now(UTC) - HOUR):
            pass
        apply_all(place)
    told = {mail_id: facts(place, mail_id) for mail_id in ids}
    assert all(len(set(each)) == len(each) for each in told.values())


def test_the_inbox_is_the_way_of_all_that_is_learned(
    place: Place, pool: Any, work: CatchUp, simulator: SimulatorProcess, client: httpx.Client
) -> None:
    sent(place, client, "r1@example.net")
    happened(simulator)
    once(place, pool, work)
    assert place.sql("SELECT DISTINCT source FROM atum.webhook_inbox") == [("catch_up",)]
    assert place.sql("SELECT count(*) FROM atum.recipient_event") == [(0,)]
    arrival = inbox.arrival(b"{}", inboxed(place)[0], keyring=work.keyring)
    assert run(place.connection, inbox.storing([arrival], source="catch_up", key_id="k")) == set()
