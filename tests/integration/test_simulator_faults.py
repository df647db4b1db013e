"""Each kind of fault over real HTTP: the client sees what the table says, and the ledger tells the truth."""

from __future__ import annotations

import time
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import orjson
import pytest

from atum_ops.simulator.faults import (
    EFFECTS,
    SEARCH_ONLY,
    FaultKind,
    FaultPlan,
    FaultRule,
    Target,
    Truth,
)
from tests.nodes import eventually
from tests.simulating import HEADERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from atum_ops.simulator.process import SimulatorProcess

#: Only for who waits in vain.
IMPATIENT = httpx.Timeout(30, read=0.5)
HANG_S = 30.0
LATE_S = 0.3
SHORT = "Message OK, but will not deliver to these inactive addresses: bob@example.org"
LONG = f"{SHORT}. Inactive recipients are ones that have generated a hard bounce or a spam complaint."


def mail(number: int, to: str = "jane@example.org") -> dict[str, Any]:
    return {
        "From": "shop@example.com",
        "To": to,
        "TextBody": "Hello",
        "Metadata": {"atum-mail": f"m{number}"},
    }


BATCH = [mail(0), mail(1, "Jane <jane@example.org>, Bob@example.org"), mail(2)]
IDS = ["m0", "m1", "m2"]


def errors(response: httpx.Response, status: int, code: int) -> bool:
    body = response.json()
    assert set(body) == {"ErrorCode", "Message"}
    return (response.status_code, body["ErrorCode"], response.headers["X-PM-ApiErrorCode"]) == (
        status,
        code,
        str(code),
    )


def is_page(response: httpx.Response, status: int) -> bool:
    return (
        response.status_code == status
        and response.headers["Content-Type"] == "text/html"
        and "<h1>" in response.text
    )


def messages(response: httpx.Response) -> list[Any]:
    assert response.status_code == 200
    return [(item.get("ErrorCode"), item.get("Message")) for item in response.json()]


def all_refused(response: httpx.Response, code: int) -> bool:
    return [set(item) for item in response.json()] == [{"ErrorCode", "Message"}] * 3 and [
        found for found, _ in messages(response)
    ] == [code] * 3


def strange(response: httpx.Response) -> bool:
    body = response.json()
    return (response.status_code, body["ErrorCode"]) == (422, 9876) and len(body) > 2


OK = (0, "OK")
ANSWERS: dict[FaultKind, Callable[[httpx.Response], bool]] = {
    FaultKind.RATE_LIMIT: lambda r: errors(r, 429, 429) and "Retry-After" not in r.headers,
    FaultKind.RATE_LIMIT_RETRY_AFTER: lambda r: errors(r, 429, 429) and r.headers["Retry-After"] == "2",
    FaultKind.RATE_LIMIT_CODE: lambda r: errors(r, 422, 429),
    FaultKind.IP_NOT_ALLOWED: lambda r: errors(r, 422, 1480),
    FaultKind.INVALID_REQUEST: lambda r: errors(r, 422, 300),
    FaultKind.INVALID_FIELDS: lambda r: errors(r, 422, 403),
    FaultKind.UNKNOWN_ERROR: strange,
    FaultKind.ERROR_AS_STRING: lambda r: (r.status_code, r.json()["ErrorCode"]) == (422, "300"),
    FaultKind.CLOSED_AFTER: lambda r: messages(r) == [OK] * 3 and "Connection" not in r.headers,
    FaultKind.ANSWER_LATE: lambda r: messages(r) == [OK] * 3 and r.elapsed.total_seconds() >= LATE_S,
    FaultKind.ACCEPT_LATE: lambda r: messages(r) == [OK] * 3 and r.elapsed.total_seconds() >= LATE_S,
    FaultKind.SENDER_UNKNOWN: lambda r: all_refused(r, 400),
    FaultKind.SENDER_UNCONFIRMED: lambda r: all_refused(r, 401),
    FaultKind.NO_CREDITS: lambda r: all_refused(r, 405),
    FaultKind.PENDING_APPROVAL: lambda r: all_refused(r, 412),
    FaultKind.NOT_APPROVED: lambda r: all_refused(r, 413),
    FaultKind.STREAM_UNKNOWN: lambda r: all_refused(r, 1235),
    FaultKind.STREAM_ARCHIVED: lambda r: all_refused(r, 1236),
    FaultKind.EXTRA_FIELDS: lambda r: messages(r) == [OK] * 3 and all(len(one) > 5 for one in r.json()),
    FaultKind.MISSING_TO: lambda r: messages(r) == [OK] * 3 and not any("To" in one for one in r.json()),
    FaultKind.UNAUTHORIZED: lambda r: errors(r, 401, 10),
    FaultKind.TOO_LARGE: lambda r: is_page(r, 413),
    FaultKind.SERVER_ERROR_BEFORE: lambda r: errors(r, 500, 101) and "Error ID: " in r.text,
    FaultKind.SERVER_ERROR_AFTER: lambda r: errors(r, 500, 101) and "Error ID: " in r.text,
    FaultKind.BAD_GATEWAY_BEFORE: lambda r: is_page(r, 502),
    FaultKind.BAD_GATEWAY_AFTER: lambda r: is_page(r, 502),
    FaultKind.MAINTENANCE: lambda r: errors(r, 503, 100),
    FaultKind.MAINTENANCE_HTML: lambda r: is_page(r, 503),
    FaultKind.GATEWAY_TIMEOUT_BEFORE: lambda r: is_page(r, 504),
    FaultKind.GATEWAY_TIMEOUT_AFTER: lambda r: is_page(r, 504),
    FaultKind.MIXED: lambda r: [code == 0 for code, _ in messages(r)].count(False) == 1,
    FaultKind.DELAYED: lambda r: (
        messages(r) == [(None, "Message accepted, but delivery may be delayed.")] * 3
    ),
    FaultKind.PARTIAL_INACTIVE: lambda r: messages(r) == [OK, (0, SHORT), OK],
    FaultKind.PARTIAL_INACTIVE_LONG: lambda r: messages(r) == [OK, (0, LONG), OK],
    FaultKind.TRUNCATED_JSON: lambda r: r.status_code == 200 and r.text[0] == "[" and r.text[-1] != "]",
    FaultKind.SHORT_ARRAY: lambda r: messages(r) == [OK, OK],
    FaultKind.CODE_AS_STRING: lambda r: messages(r) == [("0", "OK")] * 3,
    FaultKind.HTML_200: lambda r: is_page(r, 200),
}
FAILURES: dict[FaultKind, type[httpx.TransportError]] = {
    FaultKind.HANG_BEFORE: httpx.ReadTimeout,
    FaultKind.HANG_AFTER: httpx.ReadTimeout,
    FaultKind.HANG_HALFWAY: httpx.ReadTimeout,
    FaultKind.RESET_BEFORE: httpx.ReadError,
    FaultKind.RESET_AFTER: httpx.ReadError,
    FaultKind.CUT_BODY: httpx.RemoteProtocolError,
    FaultKind.CUT_CHUNKED: httpx.RemoteProtocolError,
}


def test_every_kind_has_an_expectation_here() -> None:
    assert ANSWERS.keys() | FAILURES.keys() | SEARCH_ONLY | {FaultKind.DRIP} == set(FaultKind)


@pytest.mark.parametrize("kind", sorted(ANSWERS.keys() | FAILURES.keys()))
def test_a_fault_shows_what_the_table_says_and_the_ledger_is_true(
    kind: FaultKind, simulator: SimulatorProcess, client: httpx.Client
) -> None:
    simulator.set_faults(FaultPlan(rules=(FaultRule(kind=kind, max_count=1),), hang_s=HANG_S, late_s=LATE_S))
    failing: list[str] = []
    if kind in FAILURES:
        in_vain = FAILURES[kind] is httpx.ReadTimeout
        with pytest.raises(FAILURES[kind]):
            client.post("/email/batch", json=BATCH, timeout=IMPATIENT if in_vain else 30)
        # Who gave up may be faster than the simulator.
        assert eventually(lambda: simulator.summary().faults == {kind: 1})
    else:
        response = client.post("/email/batch", json=BATCH)
        assert ANSWERS[kind](response)
        if kind is FaultKind.MIXED:
            failing = [
                IDS[n] for n, item in enumerate(response.json()) if set(item) == {"ErrorCode", "Message"}
            ]
    accepted = [record.mail_id for record in simulator.ledger()]
    match EFFECTS[kind].truth:
        case Truth.NOTHING | Truth.OTHERS:
            assert accepted == []
        case Truth.ALL:
            assert accepted == IDS
        case Truth.SOME:
            assert accepted == (
                IDS[:2] if kind is FaultKind.HANG_HALFWAY else [i for i in IDS if i not in failing]
            )
    assert simulator.summary().faults == {kind: 1}
    assert messages(client.post("/email/batch", json=BATCH)) == [OK, OK, OK]


@pytest.mark.parametrize("kind", sorted(ANSWERS))
def test_a_single_message_meets_the_same_faults(
    kind: FaultKind, simulator: SimulatorProcess, client: httpx.Client
) -> None:
    simulator.set_faults(FaultPlan(rules=(FaultRule(kind=kind),), late_s=LATE_S))
    response = client.post("/email", json=mail(7))
    truth = EFFECTS[kind].truth
    assert simulator.summary().accepted == (1 if truth is Truth.ALL else 0)
    if kind is FaultKind.MIXED or truth is Truth.OTHERS:
        assert response.status_code == 422
        assert response.headers["X-PM-ApiErrorCode"] == str(response.json()["ErrorCode"])
    elif kind is FaultKind.DELAYED:
        assert set(response.json()) == {"To", "SubmittedAt", "MessageID", "Message"}
    elif kind is FaultKind.CODE_AS_STRING:
        assert response.json()["ErrorCode"] == "0"
    elif kind is FaultKind.SHORT_ARRAY:
        assert response.json() == {}
    elif truth is Truth.NOTHING:
        assert ANSWERS[kind](response)


def test_a_dripping_answer_outlives_the_read_timeout_and_ends_at_the_bound(
    simulator: SimulatorProcess, client: httpx.Client
) -> None:
    simulator.set_faults(FaultPlan(rules=(FaultRule(kind=FaultKind.DRIP, max_count=1),), hang_s=5.0))
    started = time.monotonic()
    with pytest.raises(httpx.ReadError):
        client.post("/email/batch", json=BATCH, timeout=httpx.Timeout(30, read=4.0))
    assert time.monotonic() - started > 4.5
    assert [record.mail_id for record in simulator.ledger()] == IDS


@pytest.mark.parametrize("kind", [kind for kind in FaultKind if EFFECTS[kind].truth is Truth.OTHERS])
def test_a_message_that_a_rule_names_fails_and_the_others_are_accepted(
    kind: FaultKind, simulator: SimulatorProcess, client: httpx.Client
) -> None:
    rule = FaultRule(kind=kind, metadata_key="atum-mail", metadata_value="m1")
    simulator.set_faults(FaultPlan(rules=(rule,)))
    codes = [code for code, _ in messages(client.post("/email/batch", json=BATCH))]
    assert codes == [0, int(kind.removeprefix("item_")), 0]
    assert [record.mail_id for record in simulator.ledger()] == ["m0", "m2"]


POISONS = {"500_before": 500, "413": 413, "422_300": 422, "422_403": 422}


@pytest.mark.parametrize("kind", POISONS)
def test_a_batch_fails_as_long_as_it_holds_the_poisonous_mail(
    kind: str, simulator: SimulatorProcess, client: httpx.Client
) -> None:
    rule = FaultRule(kind=FaultKind(kind), metadata_key="atum-mail", metadata_value="m1")
    simulator.set_faults(FaultPlan(rules=(rule,)))
    for batch in (BATCH, BATCH[:2], BATCH[1:]):
        assert client.post("/email/batch", json=batch).status_code == POISONS[kind]
    assert client.post("/email", json=BATCH[1]).status_code == POISONS[kind]
    assert simulator.summary().accepted == 0
    assert messages(client.post("/email/batch", json=[BATCH[0], BATCH[2]])) == [OK, OK]
    assert [record.mail_id for record in simulator.ledger()] == ["m0", "m2"]


def test_a_client_that_gives_up_does_not_undo_a_late_acceptance(
    simulator: SimulatorProcess, client: httpx.Client
) -> None:
    rule = FaultRule(kind=FaultKind.ACCEPT_LATE)
    simulator.set_faults(FaultPlan(rules=(rule,), late_s=1.0))
    with pytest.raises(httpx.ReadTimeout):
        client.post("/email/batch", json=BATCH, timeout=httpx.Timeout(30, read=0.05))
    assert eventually(lambda: simulator.summary().accepted == 3, seconds=30)
    assert simulator.summary().abandoned == 0


def test_a_late_answer_comes_long_after_the_acceptance(
    simulator: SimulatorProcess, client: httpx.Client
) -> None:
    simulator.set_faults(FaultPlan(rules=(FaultRule(kind=FaultKind.ANSWER_LATE),), late_s=30.0))
    with pytest.raises(httpx.ReadTimeout):
        client.post("/email/batch", json=BATCH, timeout=IMPATIENT)
    assert eventually(lambda: [record.mail_id for record in simulator.ledger()] == IDS, seconds=20)


def test_a_connection_that_was_closed_unannounced_is_not_used_again(
    simulator: SimulatorProcess, client: httpx.Client
) -> None:
    simulator.set_faults(FaultPlan(rules=(FaultRule(kind=FaultKind.CLOSED_AFTER),)))
    address = urlsplit(simulator.url)
    raw = HTTPConnection(str(address.hostname), address.port, timeout=30)
    body = orjson.dumps(BATCH)
    raw.request("POST", "/email/batch", body, {**HEADERS, "Content-Type": "application/json"})
    response = raw.getresponse()
    assert (response.status, len(orjson.loads(response.read())), response.will_close) == (200, 3, False)
    assert raw.sock.recv(1) == b""
    raw.close()


def test_a_hang_ends_with_a_reset_at_its_bound(simulator: SimulatorProcess, client: httpx.Client) -> None:
    simulator.set_faults(FaultPlan(rules=(FaultRule(kind=FaultKind.HANG_BEFORE),), hang_s=0.1))
    with pytest.raises(httpx.ReadError):
        client.post("/email/batch", json=BATCH, timeout=30)
    assert simulator.summary().accepted == 0


def test_the_ledger_names_the_recipients_that_were_skipped(
    simulator: SimulatorProcess, client: httpx.Client
) -> None:
    simulator.set_faults(FaultPlan(rules=(FaultRule(kind=FaultKind.PARTIAL_INACTIVE),)))
    client.post("/email/batch", json=BATCH)
    assert [(one.to, one.skipped) for one in simulator.ledger()] == [
        (("jane@example.org",), ()),
        (("jane@example.org",), ("bob@example.org",)),
        (("jane@example.org",), ()),
    ]


def test_search_can_fail_while_sending_works(simulator: SimulatorProcess, client: httpx.Client) -> None:
    simulator.set_faults(FaultPlan(rules=(FaultRule(kind=FaultKind.MAINTENANCE, target=Target.SEARCH),)))
    assert messages(client.post("/email/batch", json=BATCH)) == [OK, OK, OK]
    assert errors(client.get("/messages/outbound?count=1&offset=0"), 503, 100)


def look(client: httpx.Client, **query: str) -> list[str]:
    page = client.get("/messages/outbound", params={"count": "9", "offset": "0", **query}).json()
    return [one["Metadata"]["atum-mail"] for one in page["Messages"]]


def test_a_search_can_be_blind_to_what_was_accepted(
    simulator: SimulatorProcess, client: httpx.Client
) -> None:
    client.post("/email/batch", json=BATCH)
    simulator.set_faults(
        FaultPlan(rules=(FaultRule(kind=FaultKind.SEARCH_EMPTY, target=Target.SEARCH, max_count=1),))
    )
    answer = client.get("/messages/outbound?count=9&offset=0")
    assert (answer.status_code, answer.json()) == (200, {"TotalCount": 0, "Messages": []})
    assert look(client) == IDS[::-1]


def test_a_search_without_a_stream_can_ignore_the_metadata_filter(
    simulator: SimulatorProcess, client: httpx.Client
) -> None:
    client.post("/email/batch", json=BATCH)
    rule = FaultRule(kind=FaultKind.SEARCH_UNFILTERED, target=Target.SEARCH)
    wanted = {"metadata_atum-mail": "m1"}
    assert look(client, **wanted) == ["m1"]
    simulator.set_faults(FaultPlan(rules=(rule,)))
    assert look(client, **wanted) == IDS[::-1]
    assert look(client, **wanted, messagestream="outbound") == ["m1"]


@pytest.mark.parametrize("kind", [kind for kind in ANSWERS if EFFECTS[kind].truth is Truth.NOTHING])
def test_a_search_fails_as_sending_does(
    kind: FaultKind, simulator: SimulatorProcess, client: httpx.Client
) -> None:
    message_id = client.post("/email", json=BATCH[0]).json()["MessageID"]
    simulator.set_faults(FaultPlan(rules=(FaultRule(kind=kind, target=Target.SEARCH),)))
    assert ANSWERS[kind](client.get("/messages/outbound?count=1&offset=0"))
    assert ANSWERS[kind](client.get(f"/messages/outbound/{message_id}/details"))
    assert client.post("/email", json=BATCH[1]).status_code == 200


def test_only_the_named_mail_is_poisoned(simulator: SimulatorProcess, client: httpx.Client) -> None:
    rule = FaultRule(kind=FaultKind.RESET_BEFORE, metadata_key="atum-mail", metadata_value="m1")
    simulator.set_faults(FaultPlan(rules=(rule,)))
    with pytest.raises(httpx.ReadError):
        client.post("/email/batch", json=BATCH)
    assert messages(client.post("/email/batch", json=[BATCH[0], BATCH[2]])) == [OK, OK]
