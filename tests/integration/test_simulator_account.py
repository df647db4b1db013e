"""The simulator's `/domains` and `/senders`, which the account token opens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.process import SimulatorProcess
from tests.simulating import HEADERS

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCOUNT = {"X-Postmark-Account-Token": "simulator-account-token", "Accept": "application/json"}


@pytest.fixture(scope="module")
def account() -> Iterator[httpx.Client]:
    config = SimulatorConfig(
        domains=[{"Name": f"d{place}.example", "DKIMVerified": place != 1} for place in range(3)],
        senders=[{"EmailAddress": "a@example.com", "Confirmed": False}],
    )
    with (
        SimulatorProcess(config) as simulator,
        httpx.Client(base_url=simulator.url, headers=ACCOUNT, timeout=30) as client,
    ):
        yield client


def test_domains_are_listed_in_pages(account: httpx.Client) -> None:
    page: dict[str, Any] = account.get("/domains", params={"count": 2, "offset": 1}).json()
    assert page["TotalCount"] == 3
    assert [(each["Name"], each["DKIMVerified"]) for each in page["Domains"]] == [
        ("d1.example", False),
        ("d2.example", True),
    ]


def test_a_domain_says_what_it_needs_in_dns(account: httpx.Client) -> None:
    domains = account.get("/domains", params={"count": 50, "offset": 0}).json()["Domains"]
    more = account.get(f"/domains/{domains[1]['ID']}").json()
    assert more["DKIMUpdateStatus"] == "Pending"
    assert more["ReturnPathDomain"] == "pm-bounces.d1.example"
    unknown = account.get("/domains/1")
    assert (unknown.status_code, unknown.json()["ErrorCode"]) == (422, 510)


def test_sender_signatures_are_listed(account: httpx.Client) -> None:
    (sender,) = account.get("/senders", params={"count": 50, "offset": 0}).json()["SenderSignatures"]
    assert (sender["EmailAddress"], sender["Confirmed"]) == ("a@example.com", False)


def test_each_token_opens_its_own_half(account: httpx.Client) -> None:
    for path, token, status in (
        ("/domains", ACCOUNT, 200),
        ("/server", HEADERS, 200),
        ("/domains", HEADERS, 401),
        ("/server", ACCOUNT, 401),
        ("/senders", {"X-Postmark-Account-Token": "wrong"}, 401),
    ):
        plain = httpx.get(
            f"{account.base_url}{path}", headers={"Accept": "application/json", **token}, timeout=30
        )
        assert plain.status_code == status, (path, token)


def test_the_server_says_what_time_it_is(account: httpx.Client) -> None:
    answer = httpx.get(f"{account.base_url}/server", headers=HEADERS, timeout=30)
    assert answer.headers["date"].endswith(" GMT")
