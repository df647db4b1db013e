"""Lanes in settings obey the rule that mails obey."""

from __future__ import annotations

import pytest

from atum_schema.encryption import new_key
from atum_schema.errors import SettingsError
from atum_schema.settings import load


@pytest.mark.parametrize("lanes", ["", " , ", "Transactional", "a b", "ok,no/slash", "x" * 33])
def test_a_lane_name_that_no_queue_can_have_is_refused_at_start(lanes: str) -> None:
    with pytest.raises(SettingsError, match="ATUM_LANES: "):
        load(database_url="postgresql://x", content_keys=new_key("k"), lanes=lanes)


def test_lane_names_keep_their_order_and_lose_their_blanks() -> None:
    settings = load(database_url="postgresql://x", content_keys=new_key("k"), lanes=" fast , slow ")
    assert settings.lane_names == ("fast", "slow")
