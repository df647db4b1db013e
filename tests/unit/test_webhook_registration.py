"""What has to change at the provider, and what a check makes of what it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from atum_ops.webhooks import findings, probing, registration
from atum_ops.webhooks.findings import Finding, Level
from atum_ops.webhooks.freshness import Freshness
from atum_ops.webhooks.live import Live, live, safe_url
from atum_ops.webhooks.probing import Answered, Probe
from atum_producers.webhooks import access
from atum_schema import settings
from atum_schema.encryption import Keyring, new_key
from atum_schema.errors import SettingsError
from atum_workers.postmark_webhooks import Webhook

if TYPE_CHECKING:
    from atum_schema.settings import Settings

URL = "https://mail.example.com/webhooks/postmark"
PASSWORDS = ("first:password:with-colons", "second-password-of-them")
SECRETS = ("first-secret-in-a-header", "second-secret-in-a-header")
KEYS = ("first-signing-key-that-is-long-enough-to-be-one",)
LIVE = Live(tuple(f"postmark:{each}" for each in PASSWORDS), SECRETS, "X-Atum-Webhook-Secret", KEYS)
ALL = frozenset(registration.NEEDED)


def configured(**fields: Any) -> Settings:
    given: dict[str, Any] = {
        "webhook_url": URL,
        "webhook_basic": SecretStr(",".join(LIVE.basic)),
        "webhook_secret": SecretStr(",".join(SECRETS)),
        "webhook_signing_keys": SecretStr(",".join(KEYS)),
    }
    return settings.load_from(
        {"ATUM_DATABASE_URL": "postgresql://x", "ATUM_CONTENT_KEYS": new_key("k")}, **(given | fields)
    )


def target(*, opens: bool | None = None, clicks: bool | None = None) -> registration.Wanted:
    return registration.wanted(configured(), LIVE, opens=opens, clicks=clicks)


def hook(**fields: Any) -> Webhook:
    values: dict[str, Any] = {
        "id": 7,
        "stream": "outbound",
        "url": URL,
        "basic": ("postmark", PASSWORDS[0]),
        "headers": {"x-atum-webhook-secret": SECRETS[0], "X-Other": "kept"},
        "triggers": ALL | {"Open"},
    }
    return Webhook(**(values | fields))


def test_credentials_are_read_as_the_endpoint_reads_them() -> None:
    assert live(configured()) == LIVE


def test_nothing_secret_is_in_what_may_be_logged() -> None:
    plan = registration.plan("outbound", [hook(basic=("a", "b"))], target())
    probes = probing.probes(LIVE, now=0)
    shown = repr((LIVE, target(), hook(), probes, plan.changes))
    assert not [secret for secret in (*PASSWORDS, *SECRETS, *KEYS) if secret in shown]


@pytest.mark.parametrize(
    "url",
    [
        "http://mail.example.com/x",
        "https://user:pass@mail.example.com/x",
        "https://user@mail.example.com/x",
        "ftp://mail.example.com",
        "mail.example.com",
        "https://",
        "https://mail.example.com/x?token=1",
        "https://[::1/x",
        "https://mail.example.com:x/",
    ],
)
def test_credentials_go_to_no_url_where_others_read_them(url: str) -> None:
    with pytest.raises(SettingsError, match="ATUM_WEBHOOK_URL") as refused:
        safe_url(url, "ATUM_WEBHOOK_URL")
    assert "pass@" not in str(refused.value)


@pytest.mark.parametrize("url", [URL, "http://127.0.0.1:8026/x", "http://[::1]/x", "http://localhost/x"])
def test_credentials_go_to_https_or_to_this_machine(url: str) -> None:
    assert safe_url(url, "--to") == url


def test_the_provider_is_given_no_signing_key_only() -> None:
    with pytest.raises(SettingsError, match="signs nothing"):
        registration.wanted(configured(), LIVE._replace(basic=(), secrets=()), opens=None, clicks=None)


def test_a_url_is_needed() -> None:
    with pytest.raises(SettingsError, match="ATUM_WEBHOOK_URL"):
        registration.wanted(configured(webhook_url=None), LIVE, opens=None, clicks=None)


def test_a_stream_without_a_webhook_gets_one_with_the_first_credentials() -> None:
    plan = registration.plan(
        "broadcast", [hook(), hook(id=8, stream="broadcast", url="https://other/")], target()
    )
    assert (plan.action, plan.webhook_id, plan.others) == ("create", None, (8,))
    assert plan.settings == {
        "Url": URL,
        "MessageStream": "broadcast",
        "HttpAuth": {"Username": "postmark", "Password": PASSWORDS[0]},
        "HttpHeaders": [{"Name": "X-Atum-Webhook-Secret", "Value": SECRETS[0]}],
        "Triggers": {name: {"Enabled": True} for name in registration.NEEDED},
    }


def test_a_webhook_that_is_as_it_should_be_is_left_alone() -> None:
    plan = registration.plan("outbound", [hook()], target())
    assert (plan.action, plan.changes) == ("none", ())
    assert registration.plan("outbound", [hook()], target(opens=True)).action == "none"


@pytest.mark.parametrize(
    ("fields", "change"),
    [
        ({"basic": ("postmark", PASSWORDS[1])}, "Basic credentials: others"),
        ({"basic": None}, "Basic credentials: added"),
        ({"headers": {"X-Atum-Webhook-Secret": SECRETS[1]}}, "secret in X-Atum-Webhook-Secret: another"),
        ({"headers": {}}, "secret in X-Atum-Webhook-Secret: added"),
        ({"triggers": ALL - {"Bounce"}}, "Bounce: on"),
    ],
)
def test_what_differs_is_said_without_values_and_changed(fields: dict[str, Any], change: str) -> None:
    plan = registration.plan("outbound", [hook(**fields)], target())
    assert (plan.action, plan.webhook_id, plan.changes) == ("edit", 7, (change,))


def test_opens_and_clicks_change_on_demand_only() -> None:
    plan = registration.plan("outbound", [hook()], target(opens=False, clicks=True))
    assert plan.changes == ("Open: off", "Click: on")
    assert plan.settings["Triggers"]["Open"] == {"Enabled": False}


def test_headers_of_others_are_kept() -> None:
    plan = registration.plan("outbound", [hook(basic=None)], target())
    assert plan.settings["HttpHeaders"] == [
        {"Name": "X-Other", "Value": "kept"},
        {"Name": "X-Atum-Webhook-Secret", "Value": SECRETS[0]},
    ]


@pytest.mark.parametrize(
    ("fields", "standing"),
    [
        ({}, "first"),
        ({"basic": ("postmark", PASSWORDS[1])}, "second"),
        ({"headers": {"X-Atum-Webhook-Secret": SECRETS[1]}}, "second"),
        ({"basic": ("postmark", "wrong")}, "none"),
        ({"basic": None}, "none"),
        ({"headers": {}}, "none"),
    ],
)
def test_it_is_known_whether_the_endpoint_takes_what_is_registered(
    fields: dict[str, Any], standing: str
) -> None:
    assert registration.standing(hook(**fields), LIVE) == standing


def registered(*hooks: Webhook, statuses: dict[str, str] | None = None) -> list[Finding]:
    return findings.of_registration("outbound", URL, hooks, LIVE, {7: statuses or {}})


def test_a_registration_that_loses_events_is_bad_and_one_that_does_not_is_good() -> None:
    def levels(found: list[Finding]) -> list[Level]:
        return [each.level for each in found]

    assert levels(registered(hook(), statuses={"Bounce": "Active"})) == [Level.GOOD]
    assert levels(registered()) == [Level.BAD]
    assert levels(registered(hook(url="https://other/"))) == [Level.BAD]
    assert levels(registered(hook(triggers=ALL - {"Delivery"}))) == [Level.BAD]
    assert levels(registered(hook(basic=None))) == [Level.BAD]
    assert levels(registered(hook(basic=("postmark", PASSWORDS[1])))) == [Level.NOTE]
    (paused,) = registered(hook(), statuses={"Bounce": "Paused", "Delivery": "Active"})
    assert (paused.level, paused.says) == (Level.BAD, "Paused: Bounce")
    assert paused.remedy


def fresh(**fields: Any) -> dict[str, Level]:
    values: dict[str, Any] = {"last_s": 5.0, "silent": False, "day": {}, "capped": False, "waits_s": None}
    return {each.about: each.level for each in findings.of_inbox(Freshness(**(values | fields)))}


def test_an_inbox_is_bad_when_nothing_comes_or_nothing_is_applied() -> None:
    assert set(fresh().values()) == {Level.GOOD}
    assert fresh(silent=True)["last event"] is Level.BAD
    assert fresh(last_s=None)["last event"] is Level.NOTE
    assert fresh(waits_s=301.0)["applying"] is Level.BAD
    assert fresh(waits_s=299.0)["applying"] is Level.GOOD
    noted = fresh(day={"applied": 9, "parked": 1, "unmatched": 1, "unreadable": 1})
    assert {noted[each] for each in ("parked", "unmatched", "unreadable")} == {Level.NOTE}


def answer(*, genuine: bool, status: int | None, error: str | None = None) -> Answered:
    return Answered(Probe("x", genuine, b"{}", {}), status, error)


@pytest.mark.parametrize(
    ("answered", "stored", "level"),
    [
        (answer(genuine=True, status=200), True, Level.GOOD),
        (answer(genuine=True, status=200), None, Level.GOOD),
        (answer(genuine=True, status=200), False, Level.BAD),
        (answer(genuine=True, status=204), None, Level.BAD),
        (answer(genuine=True, status=401), None, Level.BAD),
        (answer(genuine=True, status=404), None, Level.BAD),
        (answer(genuine=True, status=503), None, Level.BAD),
        (answer(genuine=True, status=302), None, Level.BAD),
        (answer(genuine=True, status=None, error="ConnectError"), None, Level.AWAY),
        (answer(genuine=False, status=401), None, Level.GOOD),
        (answer(genuine=False, status=403), None, Level.GOOD),
        (answer(genuine=False, status=429), None, Level.GOOD),
        (answer(genuine=False, status=200), None, Level.BAD),
        (answer(genuine=False, status=204), None, Level.BAD),
        (answer(genuine=False, status=500), None, Level.BAD),
        (answer(genuine=False, status=None, error="ConnectError"), None, Level.AWAY),
    ],
)
def test_each_answer_of_the_endpoint_means_one_thing(
    answered: Answered, stored: bool | None, level: Level
) -> None:
    assert probing.judge(answered, stored=stored).level is level


def test_the_exit_status_is_that_of_the_gravest() -> None:
    def status(*levels: Level) -> int:
        return findings.status([Finding("x", level, "") for level in levels])

    assert [status(Level.GOOD, Level.NOTE), status(Level.AWAY), status(Level.AWAY, Level.BAD)] == [0, 3, 1]


def test_probes_are_what_the_endpoint_tells_apart() -> None:
    demanded = access.demanded(configured())
    for probe in probing.probes(LIVE, now=1000):
        headers = {name.lower().encode(): value.encode() for name, value in probe.headers.items()}
        standing = demanded.standing(headers, now=1000)
        genuine = standing is access.Standing.GENUINE or (
            standing is access.Standing.CLAIMED and demanded.is_signed(headers, probe.body)
        )
        assert genuine is probe.genuine, probe.name


def test_each_live_credential_is_tested_and_no_two_tests_are_one_event() -> None:
    probes = probing.probes(LIVE, now=1000)
    names = [probe.name for probe in probes]
    assert names == [
        "Basic 1",
        "Basic 2",
        "secret 1",
        "secret 2",
        "signing key 1",
        "a wrong password",
        "a wrong secret",
        "a wrong signature",
        "no credential",
    ]
    keyring = Keyring(new_key("k"))
    assert len({probe.dedupe(keyring) for probe in [*probes, *probing.probes(LIVE, now=1000)]}) == 18


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:8026/webhooks/postmark"),
        ("::", "http://[::1]:8026/webhooks/postmark"),
        ("127.0.0.1", "http://127.0.0.1:8026/webhooks/postmark"),
    ],
)
def test_the_endpoint_of_this_machine_is_found(host: str, url: str) -> None:
    assert probing.here(configured(webhook_host=host)) == url


def test_settings_are_shown_without_credentials() -> None:
    found = findings.of_settings(configured(webhook_allow="10.0.0.0/8,::1"), LIVE)
    said = {each.about: each.says for each in found}
    assert said["credentials"] == "Basic: 2, secret in X-Atum-Webhook-Secret: 2, signing key: 1"
    assert said["allow-list"] == "2 addresses or networks"
    assert said["url"] == URL
