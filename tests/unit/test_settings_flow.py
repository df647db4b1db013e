"""Settings of flow control: rates by lane, and when windows close."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from atum_schema import settings
from atum_schema.encryption import new_key
from atum_schema.errors import SettingsError
from atum_schema.flow import Policy

if TYPE_CHECKING:
    from atum_schema.settings import Settings


def load(**values: Any) -> Settings:
    return settings.load(database_url="postgresql://x", content_keys=new_key("k"), **values)


def test_lanes_have_no_rate_unless_one_is_set() -> None:
    assert load().lane_rates == {}
    assert load(rates="").lane_rates == {}


def test_rates_are_read_by_lane() -> None:
    rates = load(rates=" broadcast = 50 , transactional=0.5,").lane_rates
    assert rates == {"broadcast": 50.0, "transactional": 0.5}


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        ("broadcast", "must be lane=rate"),
        ("broadcast=fast", "must be lane=rate"),
        ("news=5", "'news' is no lane of ATUM_LANES"),
        ("broadcast=0", "the rate of broadcast is 0, must be 0.01 to 1000000"),
        ("broadcast=nan", "the rate of broadcast is nan"),
        ("broadcast=1e7", "the rate of broadcast is 1e"),
        ("broadcast=1,broadcast=2", "a lane appears twice"),
    ],
)
def test_rates_that_make_no_sense_are_refused_at_start(rates: str, words: str) -> None:
    with pytest.raises(SettingsError, match=f"ATUM_RATES: .*{words}"):
        load(rates=rates)


def test_the_largest_distance_of_probes_is_not_below_the_first() -> None:
    with pytest.raises(SettingsError, match=r"ATUM_PROBE_MAX_S: .*below ATUM_PROBE_S \(5\.0\)"):
        load(probe_s=5, probe_max_s=4)


def test_the_policy_is_that_of_the_settings_and_remembers_as_long_as_a_request_may_last() -> None:
    assert load().flow_policy == Policy()
    other = load(
        outage_share=0.9,
        outage_requests=7,
        probe_s=2,
        probe_max_s=3,
        pause_probe_s=4,
        request_timeout_s=1,
    )
    assert other.flow_policy == Policy(
        share=0.9, requests=7, probe_s=2, probe_max_s=3, pause_probe_s=4, half_life_s=10
    )
