"""Ladders, faults and registration of webhooks in the simulator: the decisions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_ops.simulator.config import DEFAULT_STREAMS, SimulatorConfig
from atum_ops.simulator.texts import Refusal
from atum_ops.simulator.webhook_events import TRIGGERS, probe, subscription
from atum_ops.simulator.webhook_faults import SAYS, WEBHOOK_PRESETS, WebhookFaults, posts, webhook_preset
from atum_ops.simulator.webhook_ladder import Verdict, judge, ladder_s
from atum_ops.simulator.webhooks import Webhook, Webhooks
from atum_schema import webhook
from atum_schema.errors import SettingsError

FRACTION = st.floats(0, 1, exclude_max=True)
DRAWS = st.lists(FRACTION, min_size=7, max_size=7)
MAIL = "0192d0c5-0000-7000-8000-000000000001"
DELIVERY: dict[str, Any] = {
    **probe("Delivery", "outbound", 0.0),
    "MessageID": "11111111-1111-4111-8111-111111111111",
    "Metadata": {"atum-mail": MAIL},
}
BOUNCE: dict[str, Any] = {
    **probe("Bounce", "outbound", 0.0),
    "MessageID": "11111111-1111-4111-8111-111111111111",
    "Metadata": {"atum-mail": MAIL},
}


def test_the_new_rules_take_72_minutes_and_the_old_ones_ten_hours_and_a_half() -> None:
    assert [sum(ladder_s("new", kind)) / 60 for kind in TRIGGERS] == [72] * 6
    assert sum(ladder_s("old", "Bounce")) / 60 == 621
    assert ladder_s("old", "Open") == (60, 300, 900)


@pytest.mark.parametrize(
    ("status", "new", "old"),
    [
        (200, "taken", "taken"),
        (201, "retry", "retry"),
        (204, "retry", "retry"),
        (301, "retry", "retry"),
        (400, "drop", "retry"),
        (401, "drop", "retry"),
        (403, "drop", "drop"),
        (404, "drop", "retry"),
        (408, "retry", "retry"),
        (429, "retry", "retry"),
        (500, "retry", "retry"),
        (503, "retry", "retry"),
        (None, "retry", "retry"),
    ],
)
def test_what_follows_from_an_answer(status: int | None, new: str, old: str) -> None:
    assert (judge("new", status), judge("old", status)) == (Verdict(new), Verdict(old))


@given(draws=DRAWS, event=st.sampled_from([DELIVERY, BOUNCE]), recipients=st.integers(1, 3))
def test_what_is_left_of_an_event_can_still_be_matched(
    draws: list[float], event: dict[str, Any], recipients: int
) -> None:
    (post,) = posts(event, {"fields_missing"}, WebhookFaults(), recipients=recipients, draws=draws)
    told = webhook.read(post.event)
    assert told.message_id is not None or str(told.mail_id) == MAIL
    assert told.recipient is not None or recipients == 1
    assert told.kind == webhook.read(event).kind
    assert post.event.items() <= event.items()


@given(draws=DRAWS)
def test_somebody_else_s_event_keeps_its_message_id(draws: list[float]) -> None:
    event = {**DELIVERY, "Metadata": {"other": "1"}}
    for hits in ({"fields_missing"}, {"malformed_id"}):
        (post,) = posts(event, hits, WebhookFaults(), recipients=1, draws=draws)
        assert post.event["MessageID"] == event["MessageID"]


@given(draws=DRAWS)
def test_a_change_by_hand_still_says_which_address_of_which_stream(draws: list[float]) -> None:
    event = subscription("broadcast", "a@example.org", 0.0, reason="ManualSuppression", origin="Customer")
    for hits in ({"fields_missing"}, {"malformed_id"}):
        (post,) = posts(event, hits, WebhookFaults(), recipients=0, draws=draws)
        assert (post.event["Recipient"], post.event["MessageStream"]) == ("a@example.org", "broadcast")
        assert post.event["MessageID"] is None


@given(draws=DRAWS)
def test_only_the_flag_says_that_a_soft_bounce_deactivates_so_it_stays(draws: list[float]) -> None:
    event = {**BOUNCE, "Type": "SoftBounce", "TypeCode": 4096}
    (post,) = posts(event, {"fields_missing"}, WebhookFaults(), recipients=1, draws=draws)
    assert webhook.read(post.event).kind is webhook.Kind.BOUNCED


def test_each_fault_does_what_it_says() -> None:
    faults, draws = WebhookFaults(late_s=100, reorder_s=10), [0.5] * 7

    def what(*hits: str) -> list[Any]:
        return posts(DELIVERY, set(hits), faults, recipients=1, draws=draws)

    assert what() == [(DELIVERY, 0.0, False)]
    assert what("lost", "duplicated") == []
    assert what("duplicated") == [(DELIVERY, 0.0, False)] * 2
    assert what("duplicated_untraced") == [(DELIVERY, 0.0, False), (DELIVERY, 0.0, True)]
    assert what("reordered") == [(DELIVERY, 5.0, False)]
    assert what("late", "reordered") == [(DELIVERY, 105.0, False)]
    ((unmatched, *_),) = what("malformed_id")
    assert (unmatched["MessageID"], unmatched["Metadata"]) == ("not-a-message", DELIVERY["Metadata"])
    ((wider, *_),) = what("unknown_fields")
    assert wider.keys() > DELIVERY.keys()
    _, (odd, *_) = what("unknown_type")
    assert webhook.read(odd).kind is None
    _, (foreign, *_) = what("foreign")
    assert foreign["MessageID"] != DELIVERY["MessageID"]
    assert foreign["Metadata"] == {}


def test_what_hits_an_event_hangs_on_seed_and_event_alone() -> None:
    first, again, other = (webhook_preset("all", seed=seed) for seed in (1, 1, 2))
    about = [("Delivery", str(mail), "jane@example.org") for mail in range(300)]
    assert [first.hits(*one) for one in about] == [again.hits(*one) for one in about]
    assert [first.hits(*one) for one in about] != [other.hits(*one) for one in about]
    hits = [hit for one in about for hit in first.hits(*one)]
    assert set(hits) == set(SAYS) - {"early"}
    assert 0 < sum(first.hurries(str(mail)) for mail in range(300)) < 100


def test_presets_are_named_and_so_are_single_faults() -> None:
    assert webhook_preset("none") == WebhookFaults()
    assert webhook_preset("lost").lost == 1.0
    assert webhook_preset("unlost").lost == 0 < webhook_preset("unlost").late
    assert set(WEBHOOK_PRESETS["all"]) == set(SAYS)
    with pytest.raises(SettingsError, match="unlost"):
        webhook_preset("luck")


@pytest.mark.parametrize(
    ("document", "words"),
    [({"luck": 1}, "luck"), ({"late": 1.5}, "1.5"), ({"late_s": -1}, "late_s"), ({"outage": "on"}, "outage")],
)
def test_wrong_faults_are_explained(document: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        WebhookFaults.from_document(document)


@pytest.mark.parametrize(
    ("document", "code", "words"),
    [
        ({}, 1352, "Url"),
        ({"Url": "ftp://example.org"}, 1352, "Url"),
        ({"Url": "http://example.org:port"}, 1352, "Url"),
        ({"Url": "http://a", "MessageStream": "nope"}, 1226, "stream"),
        ({"Url": "http://a", "MessageStream": "inbound"}, 1226, "stream"),
        ({"Url": "http://a", "HttpAuth": {"Username": "u"}}, 1353, "HttpAuth"),
        ({"Url": "http://a", "HttpHeaders": [{"Name": "a", "Value": "b\r\nc: d"}]}, 1353, "HttpHeaders"),
        ({"Url": "http://a", "Triggers": {"Open": True}}, 1353, "Triggers.Open"),
        ({"Url": "http://a", "Triggers": {"Click": {"PostFirstOpenOnly": True}}}, 1353, "Triggers.Click"),
        ({"Url": "http://a", "Triggers": {"Sent": {"Enabled": True}}}, 1353, "Triggers.Sent"),
    ],
)
def test_a_wrong_webhook_is_refused(document: dict[str, Any], code: int, words: str) -> None:
    refusal = Webhooks(DEFAULT_STREAMS).read(document)
    assert isinstance(refusal, Refusal)
    assert refusal.code == code
    assert words in refusal.message


def test_an_edit_changes_what_it_names_and_keeps_the_rest() -> None:
    webhooks = Webhooks(DEFAULT_STREAMS)
    given = {
        "Url": "http://a",
        "HttpAuth": {"Username": "u", "Password": "p"},
        "Triggers": {"Bounce": {"Enabled": True, "IncludeContent": True}},
    }
    first = webhooks.read(given)
    assert isinstance(first, Webhook)
    change = {"Triggers": {"Bounce": {"Enabled": False}}, "MessageStream": "broadcast"}
    second = webhooks.read(change, first.settings)
    assert isinstance(second, Webhook)
    assert first.settings["Triggers"]["Bounce"]["Enabled"] is True
    assert second.settings["Triggers"]["Bounce"] == {"Enabled": False, "IncludeContent": True}
    assert (second.settings["HttpAuth"], second.settings["MessageStream"]) == (given["HttpAuth"], "outbound")


def test_settings_of_webhooks_survive_the_way_through_json_and_are_checked() -> None:
    config = SimulatorConfig(
        fates={"open": 0.5}, webhook_faults="all", webhooks=[{"Url": "http://127.0.0.1:1/"}], time_scale=0.5
    )
    again = SimulatorConfig.from_document(config.to_document())
    assert again.to_document() == config.to_document()
    assert again.telling_faults() == webhook_preset("all")
    wrong: list[dict[str, Any]] = [
        {"retry_rules": "x"},
        {"fates": {"x": 1}},
        {"webhooks": [{}]},
        {"webhook_faults": "x"},
        {"webhook_connections": 0},
        {"time_scale": -1},
    ]
    for one in wrong:
        with pytest.raises(SettingsError):
            SimulatorConfig(**one)
