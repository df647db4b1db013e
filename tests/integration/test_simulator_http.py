"""The provider's endpoints over real HTTP."""

from __future__ import annotations

import re
import socket
import struct
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import httpx
import orjson
import pytest

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.faults import FaultKind, FaultPlan, FaultRule
from atum_ops.simulator.process import SimulatorProcess
from tests.nodes import eventually
from tests.simulating import HEADERS

MAIL: dict[str, Any] = {
    "From": "Shop <shop@example.com>",
    "To": "Jane Doe <jane@example.org>",
    "Subject": "Your order",
    "HtmlBody": "<p>Hello</p>",
    "TextBody": "Hello",
    "Tag": "order",
    "Metadata": {"atum-mail": "m1", "atum-batch": "b1"},
}
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z")


def mail(number: int, **change: Any) -> dict[str, Any]:
    return {**MAIL, "Metadata": {"atum-mail": f"m{number}", "atum-batch": "b1"}, **change}


def found(client: httpx.Client, **query: Any) -> httpx.Response:
    return client.get("/messages/outbound", params={"count": 500, "offset": 0} | query)


def test_an_accepted_message_is_answered_in_postmarks_shape(
    simulator: SimulatorProcess, client: httpx.Client
) -> None:
    response = client.post("/email", json=MAIL)
    body = response.json()
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert list(body) == ["To", "SubmittedAt", "MessageID", "ErrorCode", "Message"]
    assert (body["To"], body["ErrorCode"], body["Message"]) == ("Jane Doe <jane@example.org>", 0, "OK")
    assert MOMENT.fullmatch(body["SubmittedAt"])
    assert str(uuid.UUID(body["MessageID"])) == body["MessageID"]
    (record,) = simulator.ledger()
    assert (record.message_id, record.mail_id, record.batch_id) == (body["MessageID"], "m1", "b1")
    assert (record.seq, record.to, record.stream, record.tag) == (
        1,
        ("jane@example.org",),
        "outbound",
        "order",
    )
    assert abs(record.accepted_at - time.time()) < 60


def test_batch_results_keep_the_order_and_failed_items_have_two_keys(
    simulator: SimulatorProcess, client: httpx.Client
) -> None:
    batch = [mail(n, To="broken" if n % 7 == 0 else f"u{n}@example.org") for n in range(500)]
    response = client.post("/email/batch", json=batch)
    assert response.status_code == 200
    results = response.json()
    assert len(results) == 500
    for sent, result in zip(batch, results, strict=True):
        if sent["To"] == "broken":
            assert set(result) == {"ErrorCode", "Message"}
            assert result["ErrorCode"] == 300
        else:
            assert result["To"] == sent["To"]
    by_id = {record.message_id: record.mail_id for record in simulator.ledger()}
    for sent, result in zip(batch, results, strict=True):
        if "MessageID" in result:
            assert by_id[result["MessageID"]] == sent["Metadata"]["atum-mail"]


@pytest.mark.parametrize(
    ("path", "content", "headers", "status", "code"),
    [
        ("/email", b"{", {"X-Postmark-Server-Token": "wrong"}, 401, 10),
        ("/email", b"{", {"Accept": "*/*"}, 415, 409),
        ("/email", b"{", {"Content-Type": "text/plain"}, 415, 409),
        ("/email", b"{", {}, 422, 402),
        ("/email", b"[]", {}, 422, 402),
        ("/email/batch", orjson.dumps(MAIL), {}, 422, 402),
        ("/email", orjson.dumps({**MAIL, "From": 1}), {}, 422, 403),
        ("/email/batch", orjson.dumps([MAIL, {**MAIL, "TrackOpens": "yes"}]), {}, 422, 403),
        ("/email/batch", orjson.dumps([MAIL] * 501), {}, 422, 410),
        ("/email", orjson.dumps({**MAIL, "To": ""}), {}, 422, 300),
        ("/email", orjson.dumps({**MAIL, "MessageStream": "nope"}), {}, 422, 1235),
        ("/nowhere", b"{}", {}, 404, 404),
    ],
)
def test_the_first_failing_check_decides_the_answer(
    path: str,
    content: bytes,
    headers: dict[str, str],
    status: int,
    code: int,
    simulator: SimulatorProcess,
    client: httpx.Client,
) -> None:
    response = client.post(path, content=content, headers={"Content-Type": "application/json"} | headers)
    assert (response.status_code, response.json()["ErrorCode"]) == (status, code)
    assert response.headers["X-PM-ApiErrorCode"] == str(code)
    assert simulator.summary().accepted == 0


def test_paths_and_token_are_case_insensitive_and_may_end_in_a_slash(client: httpx.Client) -> None:
    assert client.post("/EMAIL/", json=MAIL).status_code == 200
    assert client.get("/Server/", headers={"X-Postmark-Server-Token": "SIMULATOR-token"}).status_code == 200


def test_a_single_message_above_ten_megabytes_is_413(
    simulator: SimulatorProcess, client: httpx.Client
) -> None:
    large = {**MAIL, "Attachments": [{"Name": "a.bin.txt", "Content": "A" * (10 * 1024 * 1024)}]}
    assert client.post("/email", json=large).status_code == 413
    assert client.post("/email", json=MAIL).status_code == 200
    assert simulator.summary().accepted == 1


def test_the_test_token_checks_everything_and_stores_nothing(
    simulator: SimulatorProcess, client: httpx.Client
) -> None:
    token = {"X-Postmark-Server-Token": "POSTMARK_API_TEST"}
    assert client.post("/email", json=MAIL, headers=token).json()["Message"] == "Test job accepted"
    assert client.post("/email", json={**MAIL, "To": ""}, headers=token).status_code == 422
    assert client.get("/server", headers=token).status_code == 401
    assert simulator.summary().accepted == 0


def test_inactive_recipients_are_refused_or_left_out(
    simulator: SimulatorProcess, client: httpx.Client
) -> None:
    simulator.set_inactive(["Jane@example.org"])
    assert client.post("/email", json=MAIL).json()["ErrorCode"] == 406
    batch = client.post(
        "/email/batch", json=[MAIL, {**MAIL, "To": "jane@example.org, bob@example.org"}]
    ).json()
    assert set(batch[0]) == {"ErrorCode", "Message"}
    assert batch[0]["ErrorCode"] == 406
    assert batch[1]["ErrorCode"] == 0
    assert batch[1]["Message"].endswith("inactive addresses: jane@example.org")
    assert [record.to for record in simulator.ledger()] == [("bob@example.org",)]


def test_search_finds_by_metadata_within_one_stream(client: httpx.Client) -> None:
    client.post("/email/batch", json=[mail(1), mail(2), mail(3, MessageStream="broadcast")])
    page = found(client, metadata_ATUM_BATCH="none").json()
    assert page == {"TotalCount": 0, "Messages": []}
    page = found(client, **{"metadata_atum-batch": "b1"}).json()
    assert page["TotalCount"] == 2
    assert [one["Metadata"]["atum-mail"] for one in page["Messages"]] == ["m2", "m1"]
    page = found(client, **{"metadata_atum-batch": "b1", "messagestream": "broadcast"}).json()
    assert [one["Metadata"]["atum-mail"] for one in page["Messages"]] == ["m3"]
    (message,) = page["Messages"]
    assert message["To"] == [{"Email": "jane@example.org", "Name": "Jane Doe"}]
    assert (message["Status"], message["Recipients"]) == ("Sent", ["jane@example.org"])
    assert MOMENT.fullmatch(message["ReceivedAt"])


def test_search_filters_by_recipient_tag_status_and_date_and_pages(client: httpx.Client) -> None:
    client.post(
        "/email/batch", json=[mail(n, To=f"u{n % 2}@example.org", Tag=f"t{n % 3}") for n in range(12)]
    )
    assert found(client, recipient="U1@example.org").json()["TotalCount"] == 6
    assert found(client, recipient="u1@example.org", tag="t0").json()["TotalCount"] == 2
    assert found(client, status="sent").json()["TotalCount"] == 12
    assert found(client, status="queued").json()["TotalCount"] == 0
    assert found(client, fromdate="2999-01-01").json()["TotalCount"] == 0
    assert found(client, todate="2999-01-01").json()["TotalCount"] == 12
    page = found(client, count=5, offset=10).json()
    assert page["TotalCount"] == 12
    assert [one["Metadata"]["atum-mail"] for one in page["Messages"]] == ["m1", "m0"]
    assert found(client, count=501).json()["ErrorCode"] == 700
    assert found(client, count=500, offset=9501).json()["ErrorCode"] == 700
    assert found(client, count=500, offset=9500).status_code == 200
    assert found(client, count=0).status_code == 422


def test_search_takes_one_metadata_field_and_never_drops_it(client: httpx.Client) -> None:
    client.post("/email/batch", json=[mail(1), mail(2)])
    both = found(client, **{"metadata_atum-batch": "b1", "metadata_atum-mail": "m1"})
    assert (both.status_code, both.json()["ErrorCode"]) == (422, 700)
    assert found(client, **{"metadata_atum-mail": ""}).json()["TotalCount"] == 0


def test_search_filters_by_sender_and_subject(client: httpx.Client) -> None:
    others = {"From": "news@example.com", "Subject": "Our news"}
    client.post("/email/batch", json=[mail(1), mail(2, **others), mail(3, From="Shop <Shop@example.com>")])

    def ids(**query: str) -> list[str]:
        page = found(client, **query).json()
        assert page["TotalCount"] == len(page["Messages"])
        return [one["Metadata"]["atum-mail"] for one in page["Messages"]]

    assert ids(fromemail="shop@example.com") == ["m3", "m1"]
    assert ids(subject="our NEWS") == ["m2"]
    assert ids(subject="Our news", fromemail="shop@example.com") == []


def test_search_divides_by_the_moment_in_eastern_time(
    simulator: SimulatorProcess, client: httpx.Client
) -> None:
    client.post("/email", json=mail(1))
    assert eventually(lambda: time.time() > next(simulator.ledger()).accepted_at + 0.01)
    between = datetime.now(ZoneInfo("America/New_York")).replace(tzinfo=None).isoformat()
    client.post("/email", json=mail(2))
    assert [one["Metadata"]["atum-mail"] for one in found(client, fromdate=between).json()["Messages"]] == [
        "m2"
    ]
    assert [one["Metadata"]["atum-mail"] for one in found(client, todate=between).json()["Messages"]] == [
        "m1"
    ]
    assert found(client, fromdate="yesterday").json()["ErrorCode"] == 700


def test_details_show_the_bodies_and_an_unknown_id_is_701(client: httpx.Client) -> None:
    message_id = client.post("/email", json=MAIL).json()["MessageID"]
    details = client.get(f"/messages/outbound/{message_id}/details").json()
    assert (details["TextBody"], details["HtmlBody"], details["MessageEvents"]) == (
        "Hello",
        "<p>Hello</p>",
        [],
    )
    unknown = client.get(f"/messages/outbound/{uuid.uuid4()}/details")
    assert (unknown.status_code, unknown.json()["ErrorCode"]) == (422, 701)


def test_server_and_streams_can_be_read(client: httpx.Client) -> None:
    assert client.get("/server").json()["DeliveryType"] == "Sandbox"
    streams = client.get("/message-streams").json()
    assert [one["ID"] for one in streams["MessageStreams"]] == ["outbound", "broadcast", "inbound"]


def test_the_control_side_is_closed_without_its_token(
    simulator: SimulatorProcess, client: httpx.Client
) -> None:
    for path in ("summary", "ledger"):
        assert client.get(f"/_control/{path}").status_code == 403
        assert client.get(f"/_control/{path}", headers={"X-Control-Token": "guess"}).status_code == 403
    assert client.post("/_control/reset", json={}).status_code == 403
    token = {"X-Control-Token": simulator.config.control_token}
    assert client.post("/_control/faults", json={"rules": [{"kind": "x"}]}, headers=token).status_code == 422
    assert (
        client.post("/_control/faults", json={"preset": "default", "seed": 4}, headers=token).json()["seed"]
        == 4
    )
    assert client.get("/_control/ledger?after=x", headers=token).status_code == 422
    assert client.get("/_control/nothing", headers=token).status_code == 404


def test_the_ledger_is_streamed_in_parts(simulator: SimulatorProcess, client: httpx.Client) -> None:
    for start in range(0, 2000, 500):
        client.post("/email/batch", json=[mail(n) for n in range(start, start + 500)])
    assert [record.mail_id for record in simulator.ledger()] == [f"m{n}" for n in range(2000)]
    assert [record.seq for record in simulator.ledger(after=499, limit=3)] == [500, 501, 502]


def test_ids_accepted_twice_are_counted(simulator: SimulatorProcess, client: httpx.Client) -> None:
    client.post("/email/batch", json=[mail(1), mail(2)])
    client.post("/email/batch", json=[mail(2), mail(2), {**MAIL, "Metadata": None}])
    summary = simulator.summary()
    assert (summary.accepted, summary.distinct, summary.unlabelled) == (5, 2, 1)
    assert (summary.duplicates, summary.extra_copies, dict(summary.duplicate_ids)) == (1, 2, {"m2": 3})
    assert (summary.sends, summary.offered) == (2, 5)


def exchange(simulator: SimulatorProcess, *pieces: bytes) -> bytes:
    address = urlsplit(simulator.url)
    with socket.create_connection((str(address.hostname), address.port or 0), timeout=60) as raw:
        for piece in pieces:
            raw.sendall(piece)
            time.sleep(0.01)
        answer = b""
        while chunk := raw.recv(65536):
            answer += chunk
        return answer


HEAD = (
    b"POST /email HTTP/1.1\r\nHost: x\r\nX-Postmark-Server-Token: simulator-token\r\n"
    b"Accept: application/json\r\nContent-Type: application/json\r\nConnection: close\r\n"
)


def test_a_chunked_body_is_read(simulator: SimulatorProcess) -> None:
    body = orjson.dumps(MAIL)
    chunks = b"5\r\n" + body[:5] + b"\r\n%x\r\n" % (len(body) - 5) + body[5:] + b"\r\n0\r\n\r\n"
    answer = exchange(simulator, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", chunks[:9], chunks[9:])
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert simulator.summary().accepted == 1


def test_a_client_that_asks_first_is_told_to_go_on(simulator: SimulatorProcess) -> None:
    body = orjson.dumps(MAIL)
    length = b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
    answer = exchange(simulator, HEAD + length, body)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_something_else_than_http_is_answered_400(simulator: SimulatorProcess) -> None:
    assert exchange(simulator, b"\x16\x03\x01 hello\r\n\r\n").startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_latency_overlaps_and_ends_before_anything_is_accepted() -> None:
    config = SimulatorConfig(latency_ms=300, latency_per_item_ms=50)
    with (
        SimulatorProcess(config) as simulator,
        httpx.Client(base_url=simulator.url, headers=HEADERS, timeout=30) as client,
        ThreadPoolExecutor(16) as pool,
    ):
        started = time.time()
        batches = [[mail(2 * n), mail(2 * n + 1)] for n in range(16)]
        answers = list(pool.map(lambda batch: client.post("/email/batch", json=batch), batches))
        assert all(answer.status_code == 200 for answer in answers)
        assert time.time() - started < 16 * 0.4
        accepted = [record.accepted_at for record in simulator.ledger()]
        assert len(accepted) == 32
        assert min(accepted) >= started + 0.4


@pytest.mark.parametrize("leave", ["close", "reset"])
def test_a_request_whose_client_goes_during_the_latency_is_dropped(leave: str) -> None:
    with SimulatorProcess(SimulatorConfig(latency_ms=4000)) as simulator:
        address = urlsplit(simulator.url)
        with socket.create_connection((str(address.hostname), address.port or 0), timeout=30) as raw:
            body = orjson.dumps(MAIL)
            raw.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            assert eventually(lambda: simulator.summary().sends == 1)
            if leave == "reset":
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert eventually(lambda: simulator.summary().abandoned == 1, seconds=30)
        assert (simulator.summary().accepted, list(simulator.ledger())) == (0, [])


def test_a_client_that_gives_up_on_a_hanging_request_has_sent_nothing(
    simulator: SimulatorProcess, client: httpx.Client
) -> None:
    simulator.set_faults(FaultPlan(rules=(FaultRule(kind=FaultKind.HANG_BEFORE),), hang_s=1.0))
    with pytest.raises(httpx.ReadTimeout):
        client.post("/email", json=MAIL, timeout=httpx.Timeout(30, read=0.05))
    time.sleep(1.2)
    assert simulator.summary().accepted == 0


def test_an_accepted_message_is_not_found_before_the_index_lag() -> None:
    with (
        SimulatorProcess(SimulatorConfig(index_lag_s=3600)) as simulator,
        httpx.Client(base_url=simulator.url, headers=HEADERS, timeout=30) as client,
    ):
        message_id = client.post("/email", json=MAIL).json()["MessageID"]
        assert simulator.summary().accepted == 1
        assert found(client).json()["TotalCount"] == 0
        assert client.get(f"/messages/outbound/{message_id}/details").json()["ErrorCode"] == 701


def test_an_accepted_message_is_found_after_the_index_lag() -> None:
    with (
        SimulatorProcess(SimulatorConfig(index_lag_s=0.4)) as simulator,
        httpx.Client(base_url=simulator.url, headers=HEADERS, timeout=30) as client,
    ):
        message_id = client.post("/email", json=MAIL).json()["MessageID"]
        assert eventually(lambda: found(client).json()["TotalCount"] == 1)
        assert time.time() >= next(simulator.ledger()).accepted_at + 0.4
        assert client.get(f"/messages/outbound/{message_id}/details").status_code == 200
