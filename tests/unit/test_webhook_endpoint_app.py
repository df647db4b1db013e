"""The endpoint does not start with settings that would not do what they say."""

from __future__ import annotations

import pytest

from atum_producers.webhooks.app import application
from atum_schema import settings
from atum_schema.encryption import new_key
from atum_schema.errors import SettingsError


@pytest.mark.parametrize("path", ["", "webhooks", "/healthz", "/readyz", "/a?b", "/a#b", "/a b", "/a\n"])
def test_a_path_at_which_nothing_could_arrive_is_refused(path: str) -> None:
    loaded = settings.load(
        database_url="postgresql://x",
        content_keys=new_key("test"),
        webhook_basic="u:" + "p" * 16,
        webhook_path=path,
    )
    with pytest.raises(SettingsError, match="ATUM_WEBHOOK_PATH"):
        application(loaded)


def test_d1_without_credentials_nothing_is_made() -> None:
    loaded = settings.load(database_url="postgresql://x", content_keys=new_key("test"))
    with pytest.raises(SettingsError, match="are not set"):
        application(loaded)
