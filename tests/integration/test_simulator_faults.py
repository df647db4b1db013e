"""Each kind of fault over real HTTP: the client sees what the table says, and the ledger tells the truth."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from atum_ops.simulator.faults import EFFECTS, FaultKind, FaultPlan, FaultRule, Target, Truth
from atum_ops.simulator.process import SimulatorProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEADERS = {"X-Postmark-Server-Token": "simulator-token", "Accept": "application/json"}
IMPATIENT = httpx.Timeout(30, read=0.5)
HANG_S = 30.0
SHORT = "Message OK, but will not deliver to these inactive addresses: bob@example.org"
LONG = f"{SHORT}. Inactive recipients are ones that have generated a hard bounce or a spam complaint."


@pytest.fixture(scope="module")
def shared() -> Iterator[SimulatorProcess]:
    with SimulatorProcess() as simulator:
        yield simulator


@pytest.fixture
def simulator(shared: SimulatorProcess) -> SimulatorProcess:
    shared.set_faults(FaultPlan())
    shared.reset()
    return shared


@pytest.fixture
def client(simulator: SimulatorProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=simulator.url, headers=HEADERS, timeout=30) as client:
        yield client


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


OK = (0, "OK")
ANSWERS: dict[FaultKind, Callable[[httpx.Response], bool]] = {
    FaultKind.RATE_LIMIT: lambda r: errors(r, 429, 429) and "Retry-After" not in r.headers,
    FaultKind.RATE_LIMIT_RETRY_AFTER: lambda r: errors(r, 429, 429) and r.headers["Retry-After"] == "2",
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
}


def test_every_kind_has_an_expectation_here() -> None:
    assert ANSWERS.keys() | FAILURES.keys() | {FaultKind.DRIP} == set(FaultKind)


@pytest.mark.parametrize("kind", [kind for kind in FaultKind if kind is not FaultKind.DRIP])
def test_a_fault_shows_what_the_table_says_and_the_ledger_is_true(
    kind: FaultKind, simulator: SimulatorProcess, client: httpx.Client
) -> None:
    simulator.set_faults(FaultPlan(rules=(FaultRule(kind=kind, max_count=1),), hang_s=HANG_S))
    failing: list[str] = []
    if kind in FAILURES:
        with pytest.raises(FAILURES[kind]):
            client.post("/email/batch", json=BATCH, timeout=IMPATIENT)
    else:
        response = client.post("/email/batch", json=BATCH)
        assert ANSWERS[kind](response)
        if kind is FaultKind.MIXED:
            failing = [
                IDS[n] for n, item in enumerate(response.json()) if set(item) == {"ErrorCode", "Message"}
            ]
    accepted = [record.mail_id for record in simulator.ledger()]
    match EFFECTS[kind].truth:
        case Truth.NOTHING:
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
    simulator.set_faults(FaultPlan(rules=(FaultRule(kind=kind),)))
    response = client.post("/email", json=mail(7))
    truth = EFFECTS[kind].truth
    assert simulator.summary().accepted == (1 if truth is Truth.ALL else 0)
    if kind is FaultKind.MIXED:
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
    simulator.set_faults(FaultPlan(rules=(FaultRule(kind=FaultKind.DRIP, max_count=1),), hang_s=2.5))
    started = time.monotonic()
    with pytest.raises(httpx.ReadError):
        client.post("/email/batch", json=BATCH, timeout=httpx.Timeout(30, read=1.0))
    assert time.monotonic() - started > 2.0
    assert [record.mail_id for record in simulator.ledger()] == IDS


def test_a_hang_ends_with_a_reset_at_its_bound(simulator: SimulatorProcess, client: httpx.Client) -> None:
    simulator.set_faults(FaultPlan(rules=(FaultRule(kind=FaultKind.HANG_BEFORE),), hang_s=0.1))
    with pytest.raises(httpx.ReadError):
        client.post("/email/batch", json=BATCH, timeout=20)
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


def test_only_the_named_mail_is_poisoned(simulator: SimulatorProcess, client: httpx.Client) -> None:
    rule = FaultRule(kind=FaultKind.RESET_BEFORE, metadata_key="atum-mail", metadata_value="m1")
    simulator.set_faults(FaultPlan(rules=(rule,)))
    with pytest.raises(httpx.ReadError):
        client.post("/email/batch", json=BATCH)
    assert messages(client.post("/email/batch", json=[BATCH[0], BATCH[2]])) == [OK, OK]
