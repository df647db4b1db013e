"""The endpoints of suppressions, streams and templates over real HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.process import SimulatorProcess
from atum_schema.errors import SettingsError
from tests.simulating import HEADERS

MAIL = {"From": "shop@example.com", "To": "jane@example.org", "TextBody": "Hello"}
TEMPLATE = {"From": "shop@example.com", "To": "jane@example.org", "TemplateId": 7, "TemplateModel": {}}
PATH = "/message-streams/outbound/suppressions"
COMPLAINT = {"EmailAddress": "spammy@example.org", "SuppressionReason": "SpamComplaint"}


def entries(*addresses: str) -> dict[str, Any]:
    return {"Suppressions": [{"EmailAddress": address} for address in addresses]}


def test_each_address_of_a_change_has_its_own_result(
    simulator: SimulatorProcess, client: httpx.Client
) -> None:
    simulator.set_suppressions([COMPLAINT])
    given = entries("good@example.org", "spammy@example.org", "invalid", "A <b@example.org>")
    made = client.post(PATH, json=given)
    assert made.status_code == 200
    assert [(one["Status"], one["Message"]) for one in made.json()["Suppressions"]] == [
        ("Suppressed", None),
        ("Failed", "You do not have the required authority to change this suppression."),
        ("Failed", "An invalid email address was provided."),
        ("Failed", "An invalid email address was provided."),
    ]
    taken = client.post(f"{PATH}/delete", json=given).json()["Suppressions"]
    assert [one["Status"] for one in taken] == ["Deleted", "Failed", "Failed", "Failed"]
    (left,) = client.get(f"{PATH}/dump").json()["Suppressions"]
    assert (left["EmailAddress"], left["SuppressionReason"], left["Origin"]) == (
        "spammy@example.org",
        "SpamComplaint",
        "Recipient",
    )


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        (PATH, b"{", 402),
        (PATH, b"[]", 1409),
        (PATH, b"{}", 1409),
        (PATH, b'{"Suppressions": []}', 1409),
        (PATH, b'{"Suppressions": ["jane@example.org"]}', 1409),
        (PATH, b'{"Suppressions": [{"EmailAddress": 1}]}', 1409),
        (PATH, b'{"Suppressions": [' + b",".join([b'{"EmailAddress": "a@example.org"}'] * 51) + b"]}", 1410),
        (f"{PATH}/delete", b"{}", 1409),
        ("/message-streams/nope/suppressions", b"{}", 1226),
        ("/message-streams/nope/suppressions/delete", b"{}", 1226),
    ],
)
def test_a_wrong_change_is_refused_as_a_whole(
    path: str, body: bytes, code: int, client: httpx.Client
) -> None:
    answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["ErrorCode"]) == (422, code)
    assert client.get(f"{PATH}/dump").json() == {"Suppressions": []}


def test_fifty_addresses_at_once_are_taken(client: httpx.Client) -> None:
    client.post(PATH, json=entries(*(f"u{n}@example.org" for n in range(50))))
    assert len(client.get(f"{PATH}/dump").json()["Suppressions"]) == 50


def test_the_dump_is_filtered(simulator: SimulatorProcess, client: httpx.Client) -> None:
    simulator.set_suppressions(
        [COMPLAINT, {"EmailAddress": "Bounced@example.org"}, {**COMPLAINT, "MessageStream": "broadcast"}]
    )
    client.post(PATH, json=entries("jane@example.org"))

    def found(**query: str) -> list[str]:
        answer = client.get(f"{PATH}/dump", params=query)
        return [one["EmailAddress"] for one in answer.json()["Suppressions"]]

    assert found() == ["spammy@example.org", "bounced@example.org", "jane@example.org"]
    assert found(SuppressionReason="hardbounce") == ["bounced@example.org"]
    assert found(origin="Customer") == ["jane@example.org"]
    assert found(EmailAddress="JANE@example.org") == ["jane@example.org"]
    assert found(fromdate="2999-01-01") == []
    assert len(found(todate="2999-01-01")) == 3
    for query, code in (
        ({"SuppressionReason": "Whim"}, 1404),
        ({"Origin": "Moon"}, 1405),
        ({"EmailAddress": "nonsense"}, 1408),
        ({"fromdate": "soon"}, 1407),
    ):
        answer = client.get(f"{PATH}/dump", params=query)
        assert (answer.status_code, answer.json()["ErrorCode"]) == (422, code)


def test_control_refuses_suppressions_that_make_no_sense(simulator: SimulatorProcess) -> None:
    for wrong in (
        {"EmailAddress": "nonsense"},
        {**COMPLAINT, "MessageStream": "nope"},
        {**COMPLAINT, "SuppressionReason": "Whim"},
        {**COMPLAINT, "Origin": "Moon"},
    ):
        with pytest.raises(SettingsError):
            simulator.set_suppressions([wrong])


def test_a_reset_forgets_suppressions_and_content(simulator: SimulatorProcess, client: httpx.Client) -> None:
    message_id = client.post("/email", json=MAIL).json()["MessageID"]
    assert simulator.content(message_id) == MAIL
    client.post(PATH, json=entries("jane@example.org"))
    assert client.post("/email", json=MAIL).json()["ErrorCode"] == 406
    simulator.reset()
    assert simulator.content(message_id) is None
    assert client.post("/email", json=MAIL).json()["ErrorCode"] == 0


def test_streams_are_filtered_by_type(client: httpx.Client) -> None:
    def found(kind: str) -> list[str]:
        answer = client.get("/message-streams", params={"MessageStreamType": kind}).json()
        assert answer["TotalCount"] == len(answer["MessageStreams"])
        return [one["ID"] for one in answer["MessageStreams"]]

    assert found("All") == ["outbound", "broadcast", "inbound"]
    assert found("broadcasts") == ["broadcast"]


def test_a_stream_is_found_whatever_the_case_of_its_name() -> None:
    with (
        SimulatorProcess(SimulatorConfig(streams={"News": "Broadcasts"})) as simulator,
        httpx.Client(base_url=simulator.url, headers=HEADERS, timeout=30) as client,
    ):
        assert client.get("/message-streams/news").json()["ID"] == "News"
        client.post("/message-streams/NEWS/suppressions", json=entries("jane@example.org"))
        answer = client.post("/email", json={**MAIL, "MessageStream": "News"})
        assert answer.json()["ErrorCode"] == 406


def test_templates_are_refused_one_by_one_and_a_wrong_request_as_a_whole(
    simulator: SimulatorProcess, client: httpx.Client
) -> None:
    single = client.post("/email/withTemplate/", json=TEMPLATE)
    assert (single.status_code, single.json()["ErrorCode"]) == (422, 1101)
    batch = client.post("/email/batchWithTemplates", json={"Messages": [TEMPLATE, {**TEMPLATE, "To": ""}]})
    assert batch.status_code == 200
    assert [one["ErrorCode"] for one in batch.json()] == [1101, 300]
    assert all(set(one) == {"ErrorCode", "Message"} for one in batch.json())
    for wrong, code in (
        ({"Messages": [{**TEMPLATE, "TemplateId": "7"}]}, 403),
        ({"Messages": [{**TEMPLATE, "InlineCss": "yes"}]}, 403),
        ({"Messages": [TEMPLATE] * 501}, 410),
        ([TEMPLATE], 402),
        ({}, 402),
    ):
        answer = client.post("/email/batchWithTemplates", json=wrong)
        assert (answer.status_code, answer.json()["ErrorCode"]) == (422, code)
    assert simulator.summary().accepted == 0


def test_the_test_token_does_not_look_for_a_template(
    simulator: SimulatorProcess, client: httpx.Client
) -> None:
    token = {"X-Postmark-Server-Token": "POSTMARK_API_TEST"}
    answer = client.post("/email/withTemplate", json=TEMPLATE, headers=token)
    assert (answer.status_code, answer.json()["Message"]) == (200, "Test job accepted")
    wrong = {"Messages": [TEMPLATE, {**TEMPLATE, "TemplateModel": None}, {**TEMPLATE, "To": ""}]}
    batch = client.post("/email/batchWithTemplates", json=wrong, headers=token)
    assert [one["ErrorCode"] for one in batch.json()] == [0, 1109, 300]
    assert simulator.summary().accepted == 0
