"""Settings: from the environment or a file, checked at start, masked when shown."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest

from atum_producers.mailer import Mailer
from atum_schema import settings
from atum_schema.encryption import new_key
from atum_schema.errors import SettingsError
from atum_workers.app import build

if TYPE_CHECKING:
    from pathlib import Path

KEY: Final = new_key("k1")
SECRETS: Final = {
    "ATUM_DATABASE_URL": "postgresql://app:pa55-db@127.0.0.1/mail",
    "ATUM_CONTENT_KEYS": KEY,
    "ATUM_AMQP_URL": "amqp://app:pa55-mq@127.0.0.1/",
    "ATUM_POSTMARK_TOKEN": "pa55-token",
}
HIDDEN: Final = ("pa55-db", KEY.partition(":")[2], "pa55-mq", "pa55-token")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment with the secrets set and nothing else of ours."""
    for variable in [name for name in os.environ if name.upper().startswith("ATUM_")]:
        monkeypatch.delenv(variable)
    for variable, value in SECRETS.items():
        monkeypatch.setenv(variable, value)
    return monkeypatch


def refused() -> str:
    with pytest.raises(SettingsError) as caught:
        settings.load()
    assert not [secret for secret in HIDDEN if secret in str(caught.value) + repr(caught.value)]
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_settings_come_from_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ATUM_WINDOW", "7")
    environment.setenv("ATUM_LANES", " receipts , newsletters ,")
    loaded = settings.load()
    assert loaded.window == 7
    assert loaded.lane_names == ("receipts", "newsletters")
    assert loaded.database_url.get_secret_value() == SECRETS["ATUM_DATABASE_URL"]


def test_an_override_wins_over_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ATUM_WINDOW", "7")
    assert settings.load(window=8).window == 8


@pytest.mark.parametrize("newline", ["", "\n"])
def test_a_secret_is_read_from_a_file_without_its_last_newline(
    environment: pytest.MonkeyPatch, tmp_path: Path, newline: str
) -> None:
    path = tmp_path / "token"
    path.write_text(f"token-from-file{newline}")
    environment.delenv("ATUM_POSTMARK_TOKEN")
    environment.setenv("ATUM_POSTMARK_TOKEN_FILE", str(path))
    assert settings.load().need_postmark_token() == "token-from-file"


def test_only_one_newline_is_dropped(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "account"
    path.write_text("main \n\n")
    environment.setenv("ATUM_ACCOUNT_FILE", str(path))
    assert settings.load().account == "main \n"


@pytest.mark.parametrize("name", sorted(settings.Settings.model_fields))
def test_a_variable_and_its_file_together_are_refused(
    environment: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    variable = f"ATUM_{name.upper()}"
    path = tmp_path / "value"
    path.write_text("1")
    environment.setenv(variable, os.environ.get(variable, "1"))
    environment.setenv(f"{variable}_FILE", str(path))
    assert refused() == f"{variable} and {variable}_FILE are both set; keep one"


def test_a_file_that_cannot_be_read_is_named(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.delenv("ATUM_CONTENT_KEYS")
    environment.setenv("ATUM_CONTENT_KEYS_FILE", str(tmp_path / "none"))
    assert refused() == f"ATUM_CONTENT_KEYS_FILE: cannot read {tmp_path}/none: FileNotFoundError"


def test_a_file_that_is_not_text_is_named(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "keys").write_bytes(b"\xff\xfe")
    environment.delenv("ATUM_CONTENT_KEYS")
    environment.setenv("ATUM_CONTENT_KEYS_FILE", str(tmp_path / "keys"))
    assert refused().startswith("ATUM_CONTENT_KEYS_FILE: cannot read")


@pytest.mark.parametrize("variable", ["ATUM_DATABASE_URL", "ATUM_CONTENT_KEYS"])
def test_what_everybody_needs_is_asked_for_by_name(environment: pytest.MonkeyPatch, variable: str) -> None:
    environment.delenv(variable)
    assert refused() == f"{variable} is not set (or {variable}_FILE)"


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("ATUM_THREADS", "eight", "must be a number from 1 to 256, not 'eight'"),
        ("ATUM_THREADS", "0", "must be a number from 1 to 256, not '0'"),
        ("ATUM_POLL_S", "nan", "must be a number above 0 to 60, not 'nan'"),
        ("ATUM_ALERT_COOLDOWN_SECONDS", "5", "must be a number from 60 to 86400, not '5'"),
    ],
)
def test_a_number_that_cannot_be_is_said_with_its_limits_and_its_value(
    environment: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    environment.setenv(variable, value)
    assert refused() == f"{variable}: {says}"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ATUM_WINDOW", "0"),
        ("ATUM_WINDOW", "10001"),
        ("ATUM_WINDOW", "many"),
        ("ATUM_WINDOW", "1.5"),
        ("ATUM_BATCH_MAILS", "501"),
        ("ATUM_BATCH_BYTES", "35000001"),
        ("ATUM_POLL_S", "0"),
        ("ATUM_POLL_S", "nan"),
        ("ATUM_POLL_S", "inf"),
        ("ATUM_REQUEST_TIMEOUT_S", "601"),
        ("ATUM_ATTEMPTS", ""),
        ("ATUM_TRIES", "10001"),
        ("ATUM_RETRY_BASE_S", "0"),
        ("ATUM_THREADS", "257"),
        ("ATUM_PRIVACY", "none"),
        ("ATUM_DATABASE_URL", ""),
        ("ATUM_DATABASE_URL", "pa55-db"),
        ("ATUM_DATABASE_URL", "postgresql://app:pa55-db@[127.0.0.1/mail"),
        ("ATUM_POSTMARK_URL", "api.postmarkapp.com"),
        ("ATUM_POSTMARK_URL", "ftp://api.postmarkapp.com"),
        ("ATUM_POSTMARK_URL", "https://"),
        ("ATUM_ACCOUNT", " "),
    ],
)
def test_a_bad_value_names_its_variable(environment: pytest.MonkeyPatch, variable: str, value: str) -> None:
    environment.setenv(variable, value)
    assert refused().startswith(f"{variable}: ")


def test_all_that_is_wrong_is_said_at_once(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ATUM_WINDOW", "x")
    environment.setenv("ATUM_THREADS", "0")
    environment.delenv("ATUM_DATABASE_URL")
    said = refused()
    assert [name in said for name in ("ATUM_WINDOW: ", "ATUM_THREADS: ", "ATUM_DATABASE_URL is not")] == [
        True
    ] * 3


def test_a_largest_back_off_below_the_first_is_refused(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ATUM_RETRY_BASE_S", "60")
    environment.setenv("ATUM_RETRY_MAX_S", "30")
    assert refused() == "ATUM_RETRY_MAX_S: is 30.0, below ATUM_RETRY_BASE_S (60.0)"


@pytest.mark.parametrize(
    ("lanes", "says"),
    [
        (" , ", "at least one name is needed"),
        ("", "at least one name is needed"),
        ("a,b,a", "a name appears twice"),
        ("a,b c", "lower-case letters"),
        ("Ä", "lower-case letters"),
    ],
)
def test_lanes_that_cannot_be_are_refused(environment: pytest.MonkeyPatch, lanes: str, says: str) -> None:
    environment.setenv("ATUM_LANES", lanes)
    assert refused().startswith("ATUM_LANES: ")
    assert says in refused()


def test_secrets_are_masked_however_settings_are_shown() -> None:
    loaded = settings.load()
    for shown in (
        repr(loaded),
        str(loaded),
        f"{loaded}",
        repr(loaded.model_dump()),
        loaded.model_dump_json(),
    ):
        assert not [secret for secret in HIDDEN if secret in shown]


def test_settings_are_frozen() -> None:
    loaded = settings.load()
    with pytest.raises(ValueError, match="frozen"):
        loaded.window = 1


def test_a_posting_lease_outlives_the_deadline_by_the_margin(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ATUM_REQUEST_TIMEOUT_S", "45")
    environment.setenv("ATUM_LEASE_MARGIN_S", "5")
    assert settings.load().posting_lease_s == 50


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize(
    ("variable", "method"),
    [("ATUM_AMQP_URL", "need_amqp_url"), ("ATUM_POSTMARK_TOKEN", "need_postmark_token")],
)
def test_what_only_some_parts_need_is_asked_for_when_they_need_it(
    environment: pytest.MonkeyPatch, variable: str, method: str, value: str | None
) -> None:
    environment.delenv(variable)
    if value is not None:
        environment.setenv(variable, value)
    loaded = settings.load()
    with pytest.raises(SettingsError, match=rf"{variable} is not set \(or {variable}_FILE\)"):
        getattr(loaded, method)()


@pytest.mark.parametrize(
    "url", ["http://app:pa55-mq@broker/mail", "amqp://", "amqp://app:pa55-mq@broker:many/mail", "broker"]
)
def test_what_is_no_url_of_rabbitmq_is_refused_where_it_is_needed_and_not_shown(
    environment: pytest.MonkeyPatch, url: str
) -> None:
    environment.setenv("ATUM_AMQP_URL", url)
    loaded = settings.load()
    with pytest.raises(SettingsError, match="ATUM_AMQP_URL is not a RabbitMQ connection URL") as caught:
        loaded.need_amqp_url()
    assert "pa55-mq" not in str(caught.value)


@pytest.mark.parametrize("keys", ["", " ", ","])
def test_without_a_content_key_neither_a_producer_nor_a_worker_starts(
    environment: pytest.MonkeyPatch, keys: str
) -> None:
    environment.setenv("ATUM_CONTENT_KEYS", keys)
    loaded = settings.load()
    with pytest.raises(SettingsError, match="content is never stored in clear"):
        Mailer(settings=loaded)
    with pytest.raises(SettingsError, match="content is never stored in clear"):
        build(loaded)


def test_migrating_needs_the_database_and_nothing_else(environment: pytest.MonkeyPatch) -> None:
    for variable in set(SECRETS) - {"ATUM_DATABASE_URL"}:
        environment.delenv(variable)
    assert settings.load_database_url() == SECRETS["ATUM_DATABASE_URL"]
    environment.delenv("ATUM_DATABASE_URL")
    with pytest.raises(SettingsError, match="ATUM_DATABASE_URL"):
        settings.load_database_url()


def test_variables_that_are_not_ours_change_nothing(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("WINDOW", "3")
    environment.setenv("ATUM_SIMULATOR_TOKEN", "t")
    assert settings.load().window == 32
