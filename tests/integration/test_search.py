"""Searching the provider: page by page, in the mail's own stream, and never trusting an answer that does not add up."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from atum_ops.simulator.faults import FaultKind, FaultPlan, FaultRule, Target
from atum_schema.webhook import BATCH_KEY, MAIL_KEY
from atum_workers.deadline import Deadline
from atum_workers.postmark import Postmark
from atum_workers.search import SearchFailed
from tests.answering import answering

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from atum_ops.simulator.process import SimulatorProcess

BATCH = uuid.uuid4()


@pytest.fixture
def postmark(simulator: SimulatorProcess) -> Iterator[Postmark]:
    made = Postmark(base_url=simulator.url, token="simulator-token")
    yield made
    made.close()


def send(
    client: httpx.Client, number: int, *, stream: str = "outbound", batch: uuid.UUID = BATCH
) -> list[str]:
    """Send messages of one batch; give their mail ids."""
    ids = [str(uuid.uuid4()) for _ in range(number)]
    for start in range(0, number, 500):
        items: list[dict[str, Any]] = [
            {
                "From": "a@example.com",
                "To": "Jane <Jane@Example.org>",
                "Cc": "joe@example.org",
                "TextBody": "x",
                "MessageStream": stream,
                "Metadata": {MAIL_KEY: one, BATCH_KEY: str(batch)},
            }
            for one in ids[start : start + 500]
        ]
        client.post("/email/batch", json=items).raise_for_status()
    return ids


def deadline() -> Deadline:
    return Deadline.start(20)


def test_more_messages_than_a_page_holds_are_all_found(postmark: Postmark, client: httpx.Client) -> None:
    ids = send(client, 1200)
    send(client, 3, batch=uuid.uuid4())
    found = postmark.search(stream="outbound", key=BATCH_KEY, value=BATCH, deadline=deadline())
    assert sorted(str(each.mail_id) for each in found) == sorted(ids)
    assert {each.batch_id for each in found} == {BATCH}
    assert len({each.message_id for each in found}) == 1200


def test_a_recipient_whose_domain_the_provider_shows_in_unicode_is_the_mails_own() -> None:
    one = uuid.uuid4()
    message = {
        "MessageID": "m",
        "Recipients": ["Jane@B\u00fccher.example"],
        "Metadata": {MAIL_KEY: str(one), BATCH_KEY: str(BATCH)},
    }
    with answering(200, orjson.dumps({"TotalCount": 1, "Messages": [message]})) as url:
        postmark = Postmark(base_url=url, token="simulator-token")
        (found,) = postmark.search(stream="outbound", key=MAIL_KEY, value=one, deadline=deadline())
        postmark.close()
    assert found.recipients == {"jane@xn--bcher-kva.example"}


def test_a_mail_is_found_by_its_own_id_with_its_recipients(postmark: Postmark, client: httpx.Client) -> None:
    (one, _) = send(client, 2)
    (found,) = postmark.search(stream="outbound", key=MAIL_KEY, value=uuid.UUID(one), deadline=deadline())
    assert found.recipients == {"jane@example.org", "joe@example.org"}


def test_each_stream_is_searched_for_itself(postmark: Postmark, client: httpx.Client) -> None:
    send(client, 1, stream="broadcast")
    assert postmark.search(stream="outbound", key=BATCH_KEY, value=BATCH, deadline=deadline()) == []
    assert len(postmark.search(stream="broadcast", key=BATCH_KEY, value=BATCH, deadline=deadline())) == 1


def test_messages_that_are_not_what_was_asked_for_prove_nothing(
    simulator: SimulatorProcess, postmark: Postmark, client: httpx.Client
) -> None:
    send(client, 5, batch=uuid.uuid4())
    simulator.set_faults(
        FaultPlan(rules=(FaultRule(kind=FaultKind.SEARCH_UNFILTERED, target=Target.SEARCH),))
    )
    assert postmark.search(stream="outbound", key=BATCH_KEY, value=BATCH, deadline=deadline()) == []


@pytest.mark.parametrize(
    "kind",
    [FaultKind.MAINTENANCE, FaultKind.UNAUTHORIZED, FaultKind.BAD_GATEWAY_BEFORE, FaultKind.RESET_BEFORE],
)
def test_a_search_that_fails_says_so_instead_of_finding_nothing(
    simulator: SimulatorProcess, postmark: Postmark, kind: FaultKind
) -> None:
    simulator.set_faults(FaultPlan(rules=(FaultRule(kind=kind, target=Target.SEARCH),)))
    with pytest.raises(SearchFailed):
        postmark.search(stream="outbound", key=BATCH_KEY, value=BATCH, deadline=deadline())


def test_a_search_that_hangs_ends_by_its_deadline(simulator: SimulatorProcess, postmark: Postmark) -> None:
    simulator.set_faults(
        FaultPlan(rules=(FaultRule(kind=FaultKind.HANG_BEFORE, target=Target.SEARCH),), hang_s=30)
    )
    with pytest.raises(SearchFailed):
        postmark.search(stream="outbound", key=BATCH_KEY, value=BATCH, deadline=Deadline.start(0.3))
