"""What becomes of accepted messages in the simulator."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_ops.simulator.fates import COURSES, Fate, FatePlan, What, forced, fractions, state
from atum_schema.errors import SettingsError

STATES = {
    Fate.DELIVERED: "delivered",
    Fate.OPEN: "delivered",
    Fate.CLICK: "delivered",
    Fate.DELAY: "delivered",
    Fate.STUCK: "delayed",
    Fate.BOUNCE_SOFT: "soft_bounced",
    Fate.BOUNCE_HARD: "bounced",
    Fate.BOUNCE_INACTIVE: "bounced",
    Fate.BOUNCE_LATE: "bounced",
    Fate.COMPLAINT: "complained",
    Fate.AUTOREPLY: "delivered",
    Fate.UNSUBSCRIBE: "delivered",
    Fate.RESUBSCRIBE: "delivered",
}


@pytest.mark.parametrize("fate", Fate)
def test_every_fate_ends_in_one_state(fate: Fate) -> None:
    steps = FatePlan().course("m", f"{fate}+7@example.org")
    assert state(steps) == STATES[fate]
    assert [step.what for step in steps] == [leg.what for leg in COURSES[fate].legs]
    assert [step.after_s for step in steps] == sorted(step.after_s for step in steps)


@pytest.mark.parametrize(
    ("address", "fate"),
    [
        ("bounce-hard@example.org", Fate.BOUNCE_HARD),
        ("Complaint+a+b@example.org", Fate.COMPLAINT),
        ("complaints@example.org", None),
        ("jane@example.org", None),
        ("jane+open@example.org", None),
    ],
)
def test_an_address_may_ask_for_its_fate(address: str, fate: Fate | None) -> None:
    assert forced(address) is fate


def test_without_shares_everything_is_delivered() -> None:
    plan = FatePlan(seed=3)
    assert {plan.fate(str(mail), "jane@example.org") for mail in range(200)} == {Fate.DELIVERED}


def test_shares_are_met_and_the_rest_is_delivered() -> None:
    plan = FatePlan(shares={Fate.BOUNCE_HARD: 0.2, Fate.COMPLAINT: 0.1})
    met = Counter(plan.fate(str(mail), "jane@example.org") for mail in range(5000))
    assert met.keys() == {Fate.BOUNCE_HARD, Fate.COMPLAINT, Fate.DELIVERED}
    assert 850 < met[Fate.BOUNCE_HARD] < 1150
    assert 400 < met[Fate.COMPLAINT] < 600


@given(mail=st.text(max_size=40), seed=st.integers(0, 9))
def test_a_fate_hangs_on_seed_mail_and_recipient_alone(mail: str, seed: int) -> None:
    shares = dict.fromkeys(Fate, 1 / len(Fate))
    first, again = (FatePlan(seed=seed, shares=shares) for _ in range(2))
    assert first.course(mail, "a@example.org") == again.course(mail, "a@example.org")


def test_recipients_and_seeds_are_drawn_apart() -> None:
    shares = dict.fromkeys(Fate, 1 / len(Fate))
    drawn = {
        tuple(FatePlan(seed=seed, shares=shares).fate(str(mail), to) for mail in range(30))
        for seed in (1, 2)
        for to in ("a@example.org", "b@example.org")
    }
    assert len(drawn) == 4


def test_time_can_be_scaled() -> None:
    slow, fast = (FatePlan(time_scale=scale).course("m", "complaint@example.org") for scale in (1.0, 0.001))
    assert [step.after_s for step in fast] == pytest.approx([step.after_s / 1000 for step in slow])


@given(st.lists(st.text(max_size=5), max_size=4))
def test_fractions_are_from_zero_to_one(parts: list[str]) -> None:
    assert all(0 <= one < 1 for one in fractions(*parts, count=8))


def test_states_do_not_hang_on_the_order_of_steps() -> None:
    steps = FatePlan().course("m", "bounce-late@example.org")
    assert state(steps[::-1]) is What.BOUNCED
    assert state(()) is None


@pytest.mark.parametrize(
    ("shares", "words"),
    [({"luck": 0.1}, "bounce-hard"), ({"open": 1.5}, "1.5"), ({"open": 0.6, "click": 0.6}, "add up to 1.2")],
)
def test_wrong_shares_are_explained(shares: dict[Fate, float], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        FatePlan(shares=shares)
