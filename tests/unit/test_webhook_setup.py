"""How the webhook should be registered, what has to change for that, and what is said about it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import SecretStr

from atum_ops import webhook_check, webhook_probe
from atum_ops.webhook_check import SILENT, STALE_S, Finding, Verdict
from atum_ops.webhook_freshness import Freshness
from atum_ops.webhook_probe import Answer, Probe, judged, probes
from atum_ops.webhook_registry import refused
from atum_ops.webhook_remedies import remedy
from atum_ops.webhook_setup import NEEDED, plan, shown, wanted
from atum_producers.webhooks import access
from atum_producers.webhooks.access import Standing
from atum_schema import settings
from atum_schema.encryption import new_key
from atum_schema.errors import SettingsError
from atum_workers.postmark_api import ProviderFailed

if TYPE_CHECKING:
    from atum_schema.settings import Settings

URL = "https://mail.example.com/webhooks/postmark"
OLD, NEW = "postmark:the old password 1", "postmark:the:new password 2"
SECRET, FORMER = "a secret of the header", "a former one of the header"
KEYS = "a key of our own relay: long enough 1", "a key of our own relay: long enough 2"
NOW = 1_800_000_000.0


def make(**fields: Any) -> Settings:
    given = {
        "database_url": "postgresql://127.0.0.1/none",
        "content_keys": new_key("test"),
        "webhook_url": URL,
        "webhook_basic": SecretStr(f"{NEW},{OLD}"),
    }
    return settings.load(**{**given, **fields})


def registered(configured: Settings, **changes: Any) -> dict[str, Any]:
    """Give what the provider has once a plan was carried out."""
    want = wanted(configured, opens=False, clicks=False)
    document = dict(plan(want, stream="outbound", registered=[]).document)
    return {"ID": 7, "HttpAuth": None, "HttpHeaders": [], **document, **changes}


def changes(configured: Settings, ours: dict[str, Any], *, opens: bool | None = False) -> dict[str, str]:
    want = wanted(configured, opens=opens, clicks=False)
    return {each.what: each.becomes for each in plan(want, stream="outbound", registered=[ours]).changes}


def test_a_new_webhook_has_the_first_credentials_in_its_fields_and_never_in_its_url() -> None:
    configured = make(webhook_secret=SecretStr(f"{SECRET},{FORMER}"), webhook_secret_header="X-Lock")
    planned = plan(wanted(configured, opens=False, clicks=False), stream="outbound", registered=[])
    assert (planned.name, planned.webhook_id) == ("create", None)
    assert planned.document == {
        "MessageStream": "outbound",
        "Url": URL,
        "HttpAuth": {"Username": "postmark", "Password": "the:new password 2"},
        "HttpHeaders": [{"Name": "X-Lock", "Value": SECRET}],
        "Triggers": {
            "Delivery": {"Enabled": True},
            "Bounce": {"Enabled": True, "IncludeContent": False},
            "SpamComplaint": {"Enabled": True, "IncludeContent": False},
            "SubscriptionChange": {"Enabled": True},
            "Open": {"Enabled": False},
            "Click": {"Enabled": False},
        },
    }


def test_opens_and_clicks_are_told_where_they_are_asked_for() -> None:
    triggers = wanted(make(), opens=True, clicks=True).triggers
    assert (triggers["Open"], triggers["Click"]) == (True, True)
    assert wanted(make(), opens=None, clicks=None).triggers == dict.fromkeys(NEEDED, True)


def test_what_is_as_it_should_be_stays() -> None:
    configured = make(webhook_secret=SecretStr(SECRET))
    planned = plan(
        wanted(configured, opens=False, clicks=False), stream="outbound", registered=[registered(configured)]
    )
    assert (planned.name, planned.webhook_id, planned.changes) == ("keep", 7, ())


@pytest.mark.parametrize(
    ("was", "expected"),
    [
        ({"HttpAuth": None}, {"Basic credentials": "the first of ours"}),
        (
            {"HttpAuth": {"Username": "postmark", "Password": "the old password 1"}},
            {"Basic credentials": "the first of ours"},
        ),
        ({"HttpHeaders": []}, {"header X-Atum-Webhook-Secret": "the first of ours"}),
        (
            {"HttpHeaders": [{"Name": "x-atum-webhook-secret", "Value": FORMER}]},
            {"header X-Atum-Webhook-Secret": "the first of ours"},
        ),
        ({"Url": f"https://user:word@mail.example.com{URL[24:]}"}, {"URL": URL}),
        ({"Triggers": {}}, dict.fromkeys(NEEDED, "on")),
        ({"Triggers": None}, dict.fromkeys(NEEDED, "on")),
        (
            {"Triggers": {**{name: {"Enabled": True} for name in NEEDED}, "Open": {"Enabled": True}}},
            {"Open": "off"},
        ),
        (
            {
                "Triggers": {
                    **{name: {"Enabled": True} for name in NEEDED},
                    "Bounce": {"Enabled": True, "IncludeContent": True},
                }
            },
            {"Bounce: content": "left out"},
        ),
    ],
)
def test_each_thing_that_differs_is_changed_and_nothing_else(
    was: dict[str, Any], expected: dict[str, str]
) -> None:
    configured = make(webhook_secret=SecretStr(SECRET))
    assert changes(configured, registered(configured, **was)) == expected


def test_a_check_minds_neither_opens_nor_clicks() -> None:
    configured = make()
    ours = registered(configured)
    ours["Triggers"] = {**ours["Triggers"], "Open": {"Enabled": True}}
    assert changes(configured, ours, opens=None) == {}


def test_headers_of_others_are_kept_and_a_secret_takes_the_place_of_its_former_value() -> None:
    configured = make(webhook_secret=SecretStr(SECRET))
    foreign = {"Name": "X-Route", "Value": "1"}
    ours = registered(configured, HttpHeaders=[foreign, {"Name": "x-atum-webhook-secret", "Value": FORMER}])
    planned = plan(wanted(configured, opens=False, clicks=False), stream="outbound", registered=[ours])
    assert planned.document["HttpHeaders"] == [
        foreign,
        {"Name": "X-Atum-Webhook-Secret", "Value": SECRET},
    ]
    assert "MessageStream" not in planned.document


def test_others_in_the_stream_are_left_alone_and_shown_without_credentials() -> None:
    other = {"ID": 1, "Url": "https://me:pass@other.example.com/hook?token=t#f"}
    planned = plan(wanted(make(), opens=False, clicks=False), stream="outbound", registered=[other])
    assert (planned.name, planned.others) == ("create", ("https://other.example.com/hook",))


@pytest.mark.parametrize(
    "url",
    [
        "https://MAIL.example.com/webhooks/postmark",
        "https://mail.example.com:443/webhooks/postmark/",
        "https://user:pass@mail.example.com/webhooks/postmark",
    ],
)
def test_the_same_place_is_the_same_webhook_however_it_is_written(url: str) -> None:
    configured = make()
    ours = registered(configured, Url=url)
    planned = plan(wanted(configured, opens=False, clicks=False), stream="outbound", registered=[ours])
    assert (planned.name, planned.webhook_id) == ("update", 7)


@pytest.mark.parametrize(
    "url",
    [
        "https://mail.example.com/webhooks/postmarks",
        "https://mail.example.com:8443/webhooks/postmark",
        "https://mail.example.org/webhooks/postmark",
        "https://mail.example.com:x/webhooks/postmark",
        "",
        None,
        7,
    ],
)
def test_another_place_is_another_webhook(url: Any) -> None:
    configured = make()
    ours = registered(configured, Url=url)
    planned = plan(wanted(configured, opens=False, clicks=False), stream="outbound", registered=[ours])
    assert planned.name == "create"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"webhook_url": None}, "ATUM_WEBHOOK_URL is not set"),
        ({"webhook_url": "mail.example.com/hook"}, "must be an absolute"),
        ({"webhook_url": "https://mail.example.com:x/hook"}, "must be an absolute"),
        ({"webhook_url": "https://mail.example.com/a b"}, "must be an absolute"),
        ({"webhook_url": "https://me:pa55word@mail.example.com/hook"}, "must have no credentials"),
        ({"webhook_url": "http://mail.example.com/hook"}, "must begin with https"),
        ({"webhook_basic": None}, "are not set"),
        ({"webhook_basic": None, "webhook_signing_keys": SecretStr(KEYS[0])}, "does not sign"),
        ({"webhook_basic": SecretStr("postmark:short")}, "shorter"),
    ],
)
def test_what_the_provider_could_or_should_not_use_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        wanted(make(**fields), opens=False, clicks=False)
    assert "pa55word" not in str(caught.value)


def test_plain_http_will_do_for_a_simulator_that_speaks_it_too() -> None:
    configured = make(webhook_url="http://127.0.0.1:8026/hook", postmark_url="http://127.0.0.1:8025")
    assert wanted(configured, opens=False, clicks=False).url == "http://127.0.0.1:8026/hook"


def test_neither_a_plan_nor_what_is_wanted_shows_a_credential() -> None:
    configured = make(webhook_secret=SecretStr(SECRET))
    want = wanted(configured, opens=False, clicks=False)
    text = repr(want) + repr(plan(want, stream="outbound", registered=[]))
    assert "password" not in text
    assert SECRET not in text


@pytest.mark.parametrize("url", ["", None, 7, "https://[broken", "//"])
def test_what_is_no_url_can_be_shown(url: Any) -> None:
    assert shown(url) == "(no URL)"


def test_a_refusal_has_the_providers_words_but_no_credential_that_they_quote() -> None:
    said = f"Verification failed for Bounce (401)\nwith {SECRET}"
    failure = refused(
        ProviderFailed("HTTP 422, ErrorCode 1364", status=422, code=1364, said=said), secrets=[SECRET]
    )
    assert "Bounce (401) with …" in failure.remedy
    assert "webhook check" in failure.remedy
    assert SECRET not in failure.remedy
    assert "ATUM_POSTMARK_TOKEN" in refused(ProviderFailed("HTTP 401", status=401), secrets=[]).remedy


def test_every_answer_that_is_not_200_has_a_remedy() -> None:
    remedies = {status: remedy(status) for status in (None, *range(201, 600))}
    assert all(remedies.values())
    assert len({remedies[status] for status in (None, 302, 401, 404, 429, 500, 503)}) == 7


ACCESSES: list[dict[str, Any]] = [
    {"webhook_basic": basic, "webhook_secret": secret, "webhook_signing_keys": keys}
    for basic, secret, keys in itertools.product(
        (None, SecretStr(NEW), SecretStr(f"{NEW},{OLD}")),
        (None, SecretStr(SECRET), SecretStr(f"{SECRET},{FORMER}")),
        (None, SecretStr(",".join(KEYS))),
    )
    if basic or secret or keys
]


@pytest.mark.parametrize("fields", ACCESSES)
def test_test_events_have_each_live_credential_once_and_each_kind_wrong_once(fields: dict[str, Any]) -> None:
    configured = make(**fields)
    demanded = access.demanded(configured)
    made = probes(configured, now=NOW)
    for probe in made:
        headers = {name.lower(): value for name, value in httpx.Headers(probe.headers).raw}
        standing = demanded.standing(headers, now=NOW)
        taken = standing is Standing.GENUINE or (
            standing is Standing.CLAIMED and demanded.is_signed(headers, probe.body)
        )
        assert taken is probe.genuine, probe.name
    kinds = [len(demanded.basic), len(demanded.secrets), len(demanded.signing_keys)]
    # The first secret goes along with Basic credentials.
    together = bool(demanded.basic and demanded.secrets)
    assert sum(probe.genuine for probe in made) == sum(kinds) - together
    assert sum(not probe.genuine for probe in made) == 1 + sum(map(bool, kinds))
    sent = {value for probe in made for value in probe.headers.values()}
    assert {FORMER} <= sent or len(demanded.secrets) < 2
    assert len({probe.identity for probe in made}) == len(made)


GENUINE = Probe("Basic credential 1 of 1", {}, b"{}", genuine=True)
WRONG = Probe("a wrong password", {}, b"{}", genuine=False)


@pytest.mark.parametrize(
    ("probe", "status", "error", "verdict"),
    [
        (GENUINE, 200, None, Verdict.GOOD),
        (GENUINE, 204, None, Verdict.BAD),
        (GENUINE, 401, "x", Verdict.BAD),
        (GENUINE, 503, "the database did not answer in time", Verdict.BAD),
        (GENUINE, 503, "nothing is taken from there yet", Verdict.NOTE),
        (GENUINE, None, "ConnectError", Verdict.UNKNOWN),
        (WRONG, 200, None, Verdict.BAD),
        (WRONG, 204, None, Verdict.BAD),
        (WRONG, 401, None, Verdict.GOOD),
        (WRONG, 403, None, Verdict.GOOD),
        (WRONG, 429, None, Verdict.GOOD),
        (WRONG, 503, None, Verdict.UNKNOWN),
        (WRONG, None, "ConnectError", Verdict.UNKNOWN),
    ],
)
def test_answers_to_test_events_are_judged(
    probe: Probe, status: int | None, error: str | None, verdict: Verdict
) -> None:
    finding = judged(probe, Answer(status, error))
    assert finding.verdict is verdict
    assert finding.verdict is not Verdict.BAD or finding.remedy


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8026/webhooks/postmark"),
        ("0.0.0.0", "http://127.0.0.1:8026/webhooks/postmark"),
        ("::", "http://[::1]:8026/webhooks/postmark"),
        ("fd00::1", "http://[fd00::1]:8026/webhooks/postmark"),
    ],
)
def test_a_local_endpoint_is_looked_for_where_it_can_be_reached(host: str, url: str) -> None:
    assert webhook_probe.local_url(make(webhook_host=host)) == url


FRESH = Freshness(
    last_s=5.0, states={"applied": 3}, sources={"webhook": 3}, new=0, oldest_s=0.0, parked=0, untold=0
)


@pytest.mark.parametrize(
    ("changed", "about", "verdict"),
    [
        ({}, None, Verdict.GOOD),
        ({"last_s": None}, "last event", Verdict.NOTE),
        ({"untold": SILENT - 1}, "last event", Verdict.GOOD),
        ({"untold": SILENT}, "last event", Verdict.BAD),
        ({"new": 5, "oldest_s": STALE_S}, "waiting", Verdict.GOOD),
        ({"new": 5, "oldest_s": STALE_S + 1}, "waiting", Verdict.BAD),
        ({"states": {"unmatched": 1}}, "last 24 h", Verdict.NOTE),
        ({"states": {"unreadable": 1}}, "last 24 h", Verdict.NOTE),
    ],
)
def test_silence_and_events_that_nobody_applies_are_seen(
    changed: dict[str, Any], about: str | None, verdict: Verdict
) -> None:
    findings = webhook_check.fresh(FRESH._replace(**changed))
    odd = [finding for finding in findings if finding.verdict is not Verdict.GOOD]
    assert [(finding.about, finding.verdict) for finding in odd] == (
        [] if verdict is Verdict.GOOD else [(about, verdict)]
    )


def test_settings_with_which_the_endpoint_would_not_start_are_bad_and_the_others_are_told_in_kinds_and_numbers() -> (
    None
):
    good = webhook_check.configured(
        make(webhook_secret=SecretStr(SECRET), webhook_allow="10.0.0.0/8", webhook_proxies="::1")
    )
    assert [(each.verdict, each.says) for each in good] == [
        (Verdict.GOOD, "Basic: 2 live, header X-Atum-Webhook-Secret: 1 live"),
        (Verdict.GOOD, "10.0.0.0/8"),
        (Verdict.GOOD, "::1/128"),
    ]
    bad = webhook_check.configured(
        make(webhook_basic=None, webhook_allow="10.0.0.0/8,nonsense", webhook_proxies="x")
    )
    assert {each.verdict for each in bad} == {Verdict.BAD}


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [
        ([], 0),
        ([Verdict.GOOD, Verdict.NOTE], 0),
        ([Verdict.GOOD, Verdict.UNKNOWN], 3),
        ([Verdict.UNKNOWN, Verdict.BAD], 1),
    ],
)
def test_the_exit_status_is_the_gravest(verdicts: list[Verdict], status: int) -> None:
    assert webhook_check.status([Finding("x", verdict, "x") for verdict in verdicts]) == status
