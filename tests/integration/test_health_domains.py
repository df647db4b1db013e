"""Sender domains: asked of the provider by its API, or of DNS by a selector that is set, for the From of real mail.

Weaknesses H6 (a fixed selector, an empty key that passed, the wrong domain) and H8 (a sender was verified by its syntax).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.process import SimulatorProcess
from tests.dns_server import dns_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.command_line import Place

DKIM = "20261101pm._domainkey.example.com"
RETURN = "pm-bounces.example.com"
KEY = '"v=DKIM1; k=rsa; " "p=MIGfMA0GCSqGSIb3"'


@pytest.fixture(scope="module")
def account() -> Iterator[SimulatorProcess]:
    config = SimulatorConfig(
        domains=[
            {"Name": "good.example"},
            {"Name": "young.example", "DKIMVerified": False, "ReturnPathDomainVerified": False},
        ],
        senders=[
            {"EmailAddress": "yes@single.example"},
            {"EmailAddress": "no@single.example", "Confirmed": False},
        ],
    )
    with SimulatorProcess(config) as one:
        yield one


def check(place: Place, **environment: str) -> list[dict[str, Any]]:
    place.environment |= environment
    answer = place.run("health", "check", "--only", "domains", "--format=json")
    verdicts = {each["verdict"] for each in answer.json["checks"]}
    assert answer.status == int(bool(verdicts & {"warning", "bad"})), answer
    found = answer.json["checks"]
    assert isinstance(found, list)
    return found


def with_account(place: Place, account: SimulatorProcess) -> list[dict[str, Any]]:
    return check(
        place,
        ATUM_POSTMARK_URL=account.url,
        ATUM_POSTMARK_ACCOUNT_TOKEN=account.config.account_token,
    )


@pytest.mark.parametrize(
    ("sender", "verdicts", "words"),
    [
        ("Shop <a@good.example>", ["good"], "DKIM and Return-Path are verified"),
        ("a@young.example", ["bad", "warning"], "young.example: DKIM is not verified"),
        ("yes@single.example", ["good"], "confirmed signature"),
        ("no@single.example", ["bad"], "not confirmed"),
        ("a@nowhere.example", ["bad"], "nowhere.example: neither a domain of the account"),
    ],
)
def test_the_provider_is_asked_for_the_domain_of_the_from(
    place: Place, account: SimulatorProcess, sender: str, verdicts: list[str], words: str
) -> None:
    """Weaknesses H6 and H8."""
    place.enqueue(1, sender=sender)
    found = with_account(place, account)
    assert [each["verdict"] for each in found] == verdicts
    assert words in found[0]["found"]


def test_what_has_to_be_in_dns_is_named(place: Place, account: SimulatorProcess) -> None:
    place.enqueue(1, sender="a@young.example")
    dkim, return_path = with_account(place, account)
    assert "at 20261101000000pm._domainkey.young.example" in dkim["remedy"]
    assert "CNAME pm-bounces.young.example to pm.mtasv.net" in return_path["remedy"]


def test_an_account_token_that_is_refused_is_bad(place: Place, account: SimulatorProcess) -> None:
    place.enqueue(1)
    (found,) = check(place, ATUM_POSTMARK_URL=account.url, ATUM_POSTMARK_ACCOUNT_TOKEN="wrong")
    assert (found["verdict"], "ATUM_POSTMARK_ACCOUNT_TOKEN is refused" in found["found"]) == ("bad", True)


@pytest.mark.parametrize(
    ("records", "verdicts", "words"),
    [
        ({(DKIM, "TXT"): KEY, (RETURN, "CNAME"): "pm.mtasv.net."}, ["good"], "DNS has a DKIM key"),
        ({(DKIM, "TXT"): KEY}, ["warning"], "leads to nothing"),
        (
            {(DKIM, "TXT"): KEY, (RETURN, "CNAME"): "elsewhere.example."},
            ["warning"],
            "leads to elsewhere.example",
        ),
        ({(DKIM, "TXT"): '"v=DKIM1; p="', (RETURN, "CNAME"): "pm.mtasv.net."}, ["bad"], "revoked"),
        ({(RETURN, "CNAME"): "pm.mtasv.net."}, ["bad"], "no TXT record"),
        ({}, ["bad", "warning"], "no TXT record"),
        (None, ["unknown"], "DNS does not answer"),
    ],
)
def test_without_an_account_token_dns_is_asked_for_the_selector_that_is_set(
    place: Place, records: dict[tuple[str, str], str] | None, verdicts: list[str], words: str
) -> None:
    """Weakness H6."""
    place.enqueue(1, sender="a@example.com")
    with dns_server(records) as server:
        found = check(place, ATUM_DKIM_SELECTOR="20261101pm", ATUM_DNS_SERVER=server)
    assert [each["verdict"] for each in found] == verdicts
    assert words in found[0]["found"]


def test_without_either_the_check_says_what_to_set(place: Place) -> None:
    place.enqueue(1)
    (found,) = check(place)
    assert found["verdict"] == "unknown"
    assert "ATUM_POSTMARK_ACCOUNT_TOKEN" in found["remedy"]


@pytest.mark.parametrize("wrong", ["nowhere", "127.0.0.1:0", "127.0.0.1:99999", "a:b:c"])
def test_a_dns_server_that_is_no_address_is_named(place: Place, wrong: str) -> None:
    place.enqueue(1)
    place.environment |= {"ATUM_DKIM_SELECTOR": "pm", "ATUM_DNS_SERVER": wrong}
    answer = place.run("health", "check", "--only", "domains", "--format=json")
    (found,) = answer.json["checks"]
    assert (answer.status, found["verdict"], "ATUM_DNS_SERVER" in found["found"]) == (1, "bad", True)
