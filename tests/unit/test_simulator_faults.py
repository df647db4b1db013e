from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_ops.simulator.faults import (
    EFFECTS,
    SEARCH_ONLY,
    FaultKind,
    FaultPlan,
    FaultRule,
    Target,
    Truth,
)
from atum_ops.simulator.injector import Injector
from atum_ops.simulator.oddities import alterations
from atum_ops.simulator.presets import PRESETS, preset
from atum_schema.errors import SettingsError

MAIL: dict[str, Any] = {"To": "jane@example.com", "Metadata": {"order": "7"}}

rules = st.builds(
    FaultRule,
    kind=st.sampled_from([kind for kind in FaultKind if kind not in SEARCH_ONLY]),
    probability=st.floats(0, 1),
    nth=st.none() | st.integers(1, 5),
    max_count=st.none() | st.integers(1, 5),
    metadata_key=st.just("order"),
    metadata_value=st.none() | st.just("7"),
    recipient=st.none() | st.sampled_from(["jane", "bob"]),
)
plans = st.builds(
    FaultPlan,
    rules=st.lists(rules, max_size=6).map(tuple),
    seed=st.integers(),
    hang_s=st.floats(0.1, 60),
    late_s=st.floats(0.1, 60),
)


def run(plan: FaultPlan, requests: int = 50) -> list[FaultKind | None]:
    injector = Injector(plan)
    fired = [injector.choose([MAIL]) for _ in range(requests)]
    return [fault.rule.kind if fault is not None else None for fault in fired]


@given(plans)
def test_the_same_plan_fires_the_same_faults_again(plan: FaultPlan) -> None:
    assert run(plan) == run(plan)


@given(plans)
def test_a_plan_survives_the_way_through_json(plan: FaultPlan) -> None:
    assert FaultPlan.from_document(plan.to_document()) == plan


@given(plans)
def test_no_rule_fires_more_often_than_its_limits_allow(plan: FaultPlan) -> None:
    injector = Injector(plan)
    fired = Counter(fault.rule for _ in range(60) if (fault := injector.choose([MAIL])) is not None)
    for rule, count in fired.items():
        copies = plan.rules.count(rule)
        assert rule.nth is None or count <= copies
        assert rule.max_count is None or count <= rule.max_count * copies
        assert rule.recipient != "bob"


def test_another_seed_fires_other_faults() -> None:
    assert run(preset("default", seed=1), 2000) != run(preset("default", seed=2), 2000)


def test_probabilities_of_rules_add_up_and_hold() -> None:
    fired = Counter(run(preset("default", seed=3), 20_000))
    expected = sum(rule.probability for rule in PRESETS["default"])
    assert 1 - fired[None] / 20_000 == pytest.approx(expected, abs=0.01)
    assert fired[FaultKind.MIXED] / 20_000 == pytest.approx(0.02, abs=0.004)
    assert set(fired) - {None} == {rule.kind for rule in PRESETS["default"]}


def test_the_nth_matching_request_is_hit_and_no_other() -> None:
    rule = FaultRule(kind=FaultKind.MAINTENANCE, nth=3, recipient="jane")
    injector = Injector(FaultPlan(rules=(rule,)))
    other = {"To": "bob@example.com"}
    assert injector.choose([other]) is None
    assert [injector.choose([other, MAIL]) is not None for _ in range(5)] == [
        False,
        False,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("rule", "applies"),
    [
        (FaultRule(kind=FaultKind.MIXED, metadata_key="order"), True),
        (FaultRule(kind=FaultKind.MIXED, metadata_key="order", metadata_value="7"), True),
        (FaultRule(kind=FaultKind.MIXED, metadata_key="order", metadata_value="8"), False),
        (FaultRule(kind=FaultKind.MIXED, metadata_key="invoice"), False),
        (FaultRule(kind=FaultKind.MIXED, recipient="jane@"), True),
        (FaultRule(kind=FaultKind.MIXED, recipient="jane@", metadata_key="invoice"), False),
        (FaultRule(kind=FaultKind.MAINTENANCE, target=Target.SEARCH), False),
    ],
)
def test_a_rule_fires_only_for_mail_that_meets_its_conditions(rule: FaultRule, applies: bool) -> None:
    assert (Injector(FaultPlan(rules=(rule,))).choose([{"To": "x@example.com"}, MAIL]) is not None) is applies


def test_a_mixed_batch_fails_the_mails_its_rule_names() -> None:
    injector = Injector(FaultPlan(rules=(FaultRule(kind=FaultKind.MIXED, recipient="jane"),)))
    items = [{"To": "bob@example.com"}, MAIL, {"To": "carol@example.com"}]
    fault = injector.choose(items)
    assert fault is not None
    assert set(alterations(fault, items).failing) == {1}


def test_a_mixed_batch_without_conditions_fails_one_in_ten() -> None:
    fault = Injector(FaultPlan(rules=(FaultRule(kind=FaultKind.MIXED),))).choose([MAIL] * 200)
    assert fault is not None
    failing = alterations(fault, [MAIL] * 200).failing
    assert len(failing) == 20
    assert {refusal.code for refusal in failing.values()} == {300, 406, 9876}


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "503", "probability": 1.5},
        {"kind": "503", "probability": "often"},
        {"kind": "503", "nth": 0},
        {"kind": "503", "max_count": 0},
        {"kind": "503", "metadata_value": "7"},
        {"kind": "500_after", "target": "search"},
        {"kind": "503", "target": "search", "recipient": "jane"},
        {"kind": "item_413", "target": "search"},
        {"kind": "search_empty"},
        {"kind": "no such fault"},
        {"kind": "503", "colour": "red"},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        FaultPlan.from_document({"rules": [wrong]})


def test_a_plan_whose_times_make_no_sense_is_refused() -> None:
    with pytest.raises(SettingsError, match="hang_s"):
        FaultPlan(hang_s=0)
    with pytest.raises(SettingsError, match="late_s"):
        FaultPlan(late_s=-1)


@pytest.mark.parametrize("kind", FaultKind)
def test_the_name_of_a_kind_is_a_plan_in_which_it_hits_every_request_it_can(kind: FaultKind) -> None:
    (rule,) = preset(kind).rules
    assert (rule.kind, rule.probability) == (kind, 1.0)
    assert rule.target is (Target.SEARCH if kind in SEARCH_ONLY else Target.SEND)


NEIGHBOURS = [
    {"From": "Shop <shop@Example.com>", "To": "a@example.COM, b@example.com"},
    {"From": "shop@example.com", "To": "a@example.com", "Bcc": "b@example.org"},
    {"From": "shop@example.com", "To": "nonsense"},
]


def test_an_account_pending_approval_refuses_mail_that_leaves_the_domain() -> None:
    fault = Injector(preset("item_412")).choose(NEIGHBOURS)
    assert fault is not None
    assert {index: one.code for index, one in alterations(fault, NEIGHBOURS).failing.items()} == {1: 412}


def test_an_account_state_refuses_only_the_mail_that_its_rule_names() -> None:
    rule = FaultRule(kind=FaultKind.SENDER_UNCONFIRMED, recipient="nonsense")
    fault = Injector(FaultPlan(rules=(rule,))).choose(NEIGHBOURS)
    assert fault is not None
    ((index, refusal),) = alterations(fault, NEIGHBOURS).failing.items()
    assert (index, refusal.code) == (2, 401)
    assert "(shop@example.com)" in refusal.message


def test_an_unknown_preset_is_refused_with_the_names_of_the_others() -> None:
    with pytest.raises(SettingsError, match="default"):
        preset("bad luck")


def test_every_kind_says_what_the_client_sees_and_what_is_true() -> None:
    assert set(EFFECTS) == set(FaultKind)
    for kind in FaultKind:
        if kind.endswith("_before"):
            assert EFFECTS[kind].truth is Truth.NOTHING
        if kind.endswith("_after") and kind is not FaultKind.RATE_LIMIT_RETRY_AFTER:
            assert EFFECTS[kind].truth is Truth.ALL
