"""The settings of the SMTP relay: checked at start, and the password is nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from atum_schema import live, settings
from atum_schema.encryption import new_key
from atum_schema.errors import SettingsError
from atum_schema.settings_smtp import SmtpServer
from atum_workers import smtp

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "correct horse"


def load(**fields: Any) -> settings.Settings:
    return settings.load(database_url="postgresql://127.0.0.1/x", content_keys=new_key("test"), **fields)


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://relay.example.com", SmtpServer("relay.example.com", 587, "starttls")),
        ("smtp://relay.example.com:2525", SmtpServer("relay.example.com", 2525, "starttls")),
        ("smtps://relay.example.com", SmtpServer("relay.example.com", 465, "tls")),
        ("smtp+plain://127.0.0.1:1025/", SmtpServer("127.0.0.1", 1025, "plain")),
        ("smtp+plain://[::1]:1025", SmtpServer("::1", 1025, "plain")),
        ("smtp+plain://localhost", SmtpServer("localhost", 25, "plain")),
        (None, None),
    ],
)
def test_a_url_says_where_the_relay_is_and_how_the_connection_is_protected(
    url: str | None, server: SmtpServer | None
) -> None:
    assert load(smtp_url=url).smtp_server == server


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("relay.example.com:587", "smtp://host"),
        ("http://relay.example.com", "smtp://host"),
        ("smtp://", "smtp://host"),
        ("smtp://relay.example.com:port", "not a URL"),
        ("smtp://relay.example.com/path", "end after host and port"),
        ("smtp+plain://relay.example.com", "on this machine only"),
        (f"smtp://kim:{SECRET.replace(' ', '%20')}@relay.example.com", "ATUM_SMTP_USERNAME"),
    ],
)
def test_a_url_that_cannot_be_right_is_refused_without_a_password_in_the_words(url: str, words: str) -> None:
    with pytest.raises(SettingsError, match=f"ATUM_SMTP_URL.*{words}") as caught:
        load(smtp_url=url)
    assert "correct" not in str(caught.value)


def test_a_password_needs_a_user() -> None:
    with pytest.raises(SettingsError, match=r"ATUM_SMTP_PASSWORD.*ATUM_SMTP_USERNAME") as caught:
        load(smtp_password=SECRET)
    assert SECRET not in str(caught.value)


def test_a_password_is_masked_and_comes_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text(f"{SECRET}\n")
    monkeypatch.setenv("ATUM_SMTP_PASSWORD_FILE", str(tmp_path / "password"))
    loaded = load(smtp_username="kim")
    assert loaded.smtp_password is not None
    assert loaded.smtp_password.get_secret_value() == SECRET
    assert SECRET not in repr(loaded)


def test_an_account_cannot_have_the_name_of_the_smtp_relays() -> None:
    with pytest.raises(SettingsError, match=r"ATUM_ACCOUNT.*'smtp'"):
        load(account="smtp")


def test_the_mode_may_change_while_it_runs_and_the_relay_may_not() -> None:
    assert {"fallback", "fallback_after_s"} <= set(live.NAMES)
    assert not [name for name in live.NAMES if name.startswith("smtp_")]


@pytest.mark.parametrize(
    "words", ["nothing", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----", "ä"]
)
def test_certificates_that_cannot_be_used_are_refused_at_start(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ca.pem").write_text(words)
    monkeypatch.setenv("ATUM_SMTP_CA_FILE", str(tmp_path / "ca.pem"))
    with pytest.raises(SettingsError, match="ATUM_SMTP_CA: "):
        smtp.build(load(smtp_url="smtp://relay.example.com"))


def test_without_a_url_there_is_no_second_provider() -> None:
    # A14: nothing takes mail that nobody set up.
    assert smtp.build(load()) is None
