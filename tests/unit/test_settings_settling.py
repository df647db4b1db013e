"""Settings of settling: the schedule, and the lanes whose mails go out again."""

from __future__ import annotations

import pytest

from atum_schema import settings
from atum_schema.encryption import new_key
from atum_schema.errors import SettingsError


def loaded(**values: str) -> settings.Settings:
    return settings.load(database_url="postgresql://127.0.0.1/mail", content_keys=new_key("test"), **values)


def test_the_schedule_is_read_in_seconds() -> None:
    assert loaded().settle_schedule == (30.0, 120.0, 600.0)
    assert loaded(settle_s="0.5, 60").settle_schedule == (0.5, 60.0)


@pytest.mark.parametrize(
    "schedule",
    [
        "",
        "soon",
        "0,1",
        "-1",
        "2,1",
        "30,30",
        "1,604801",
        "nan",
        "1,nan",
        "inf",
        ",".join(map(str, range(1, 12))),
    ],
)
def test_a_schedule_that_cannot_be_kept_is_refused_by_name(schedule: str) -> None:
    with pytest.raises(SettingsError, match=r"^ATUM_SETTLE_S: "):
        loaded(settle_s=schedule)


def test_lanes_that_resend_are_named_one_by_one() -> None:
    assert loaded(lanes="a,b", resend_lanes="b, a").resend_lane_names == ("b", "a")
    assert loaded(resend_lanes="").resend_lane_names == ()
