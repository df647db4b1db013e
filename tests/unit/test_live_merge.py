"""Stored settings before those of the environment: what is valid is taken, what is not is refused with its range."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from atum_schema import live, live_merge, settings
from atum_schema.encryption import new_key
from atum_schema.errors import SettingsError
from atum_schema.live import Stored
from atum_schema.settings_fields import LIVE_NAMES, NAMES, is_secret, limits

if TYPE_CHECKING:
    from pathlib import Path

ENVIRONMENT: Final = {
    "ATUM_DATABASE_URL": "postgresql://app@127.0.0.1/mail",
    "ATUM_CONTENT_KEYS": new_key("k1"),
}
BASE: Final = settings.load_from(ENVIRONMENT, window=16)
# What people and accidents write into a text column.
VALUES: Final = st.one_of(
    st.integers(-10, 100_000).map(str),
    st.floats(allow_nan=True).map(str),
    st.sampled_from(
        ["", "auto", "on", "off", "transactional=5", "gone=5", "transactional,broadcast", "9e999"]
    ),
    st.text("abc=,.-09 \x00é", max_size=8),
)
STORED: Final = st.dictionaries(st.sampled_from([*LIVE_NAMES, "account", "lanes", "of_tomorrow"]), VALUES)


@given(values=STORED)
def test_whatever_is_stored_there_are_valid_settings_and_each_stored_value_is_used_or_named(
    values: dict[str, str],
) -> None:
    used, wrong = live_merge.usable(BASE, values)
    live_merge.merged(used, {})
    for name in NAMES:
        if name not in values or name not in LIVE_NAMES or name in wrong:
            assert getattr(used, name) == getattr(BASE, name)
    assert wrong.keys() <= values.keys() & set(LIVE_NAMES)


@given(values=STORED)
def test_what_makes_valid_settings_is_used_whole(values: dict[str, str]) -> None:
    try:
        together = live_merge.merged(BASE, values)
    except ValidationError:
        return
    assert live_merge.usable(BASE, values) == (together, {})


@given(values=STORED, before=STORED)
def test_a_change_that_is_planned_is_valid_and_leaves_all_others_alone(
    values: dict[str, str], before: dict[str, str]
) -> None:
    changes = {name: value for name, value in values.items() if name in LIVE_NAMES}
    try:
        plan = live.planned(BASE, Stored(3, before), changes)
    except SettingsError:
        return
    live_merge.merged(BASE, plan.values)
    for name in before.keys() | plan.values.keys():
        if name not in changes:
            assert plan.values.get(name) == before.get(name)
    again = live.planned(BASE, Stored(4, plan.values), changes)
    assert again.different == {}


def test_the_environment_and_its_files_are_not_read_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ATUM_WINDOW", "not a number")
    monkeypatch.setenv("ATUM_AMQP_URL_FILE", str(tmp_path / "gone"))
    assert live_merge.merged(BASE, {"attempts": "3"}).window == BASE.window


@pytest.mark.parametrize("name", [name for name in LIVE_NAMES if limits(name).startswith(("from", "above"))])
def test_out_of_range_values_are_refused_with_the_range(name: str) -> None:
    for value in ("-1", "1e12", "nan", "many"):
        with pytest.raises(SettingsError) as refused:
            live.planned(BASE, Stored(0, {}), {name: value})
        words = str(refused.value)
        assert f"ATUM_{name.upper()}" in words
        assert value in words
        assert limits(name) in words


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"retry_base_s": "3600", "retry_max_s": "60"},
            "ATUM_RETRY_MAX_S: is 60.0, below ATUM_RETRY_BASE_S (3600.0)",
        ),
        ({"probe_s": "3000"}, "ATUM_PROBE_MAX_S: is 60.0, below ATUM_PROBE_S (3000.0)"),
        ({"alert_failure_rate_threshold": "30"}, "ATUM_ALERT_FAILURE_RATE_CRITICAL_THRESHOLD: is 25, below"),
        ({"fallback": "sometimes"}, "must be one of off, auto, on, not 'sometimes'"),
        ({"rates": "gone=5"}, "'gone' is no lane of ATUM_LANES (transactional, broadcast)"),
        ({"rates": "transactional=0"}, "must be 0.01 to 1000000"),
        ({"resend_lanes": "gone"}, "gone is no lane of ATUM_LANES (transactional, broadcast)"),
    ],
)
def test_a_combination_that_makes_no_sense_is_refused_in_words(changes: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        live.planned(BASE, Stored(0, {}), dict(changes))
    assert words in str(refused.value)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in LIVE_NAMES])
def test_what_routes_mail_or_is_secret_or_belongs_to_a_part_cannot_be_stored_and_what_can_is_listed(
    name: str,
) -> None:
    with pytest.raises(SettingsError) as refused:
        live.planned(BASE, Stored(0, {}), {name: "canary"})
    assert ("is a secret" in str(refused.value)) == is_secret(name)
    assert ", ".join(LIVE_NAMES) in str(refused.value)
    assert "canary" not in str(refused.value)


def test_no_secret_and_nothing_that_says_where_mail_goes_or_whether_it_is_recorded_is_live() -> None:
    assert [name for name in LIVE_NAMES if is_secret(name)] == []
    routing = {"account", "lanes", "postmark_url", "postmark_token", "webhook_url", "privacy"}
    assert routing & set(LIVE_NAMES) == set()


def test_the_rate_of_a_lane_that_a_part_does_not_have_is_passed_by_and_the_others_hold() -> None:
    narrow = settings.load_from(ENVIRONMENT, lanes="transactional")
    assert live_merge.merged(narrow, {"rates": "transactional=3,broadcast=5"}).lane_rates == {
        "transactional": 3.0
    }


def test_a_value_is_stored_in_one_form_however_it_is_written() -> None:
    plan = live.planned(BASE, Stored(0, {}), {"attempts": "07", "retry_base_s": "5"})
    assert plan.values == {"attempts": "7", "retry_base_s": "5.0"}
    assert live.planned(BASE, Stored(1, plan.values), {"attempts": "7"}).different == {}
