"""SMTP against somebody else's server: encrypted, logged in, over connections that are kept."""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from atum_schema import settings
from atum_schema.encryption import new_key
from atum_schema.steps import Reached, Step, go_on
from atum_workers import smtp
from atum_workers.deadline import Deadline
from atum_workers.outcome import Accepted, Deferred, Rejected, Unclear
from atum_workers.smtp_outcome import CERTIFICATE, CREDENTIALS, NO_STARTTLS
from tests.deadlines import OnceSent
from tests.integration.test_provider_conformance import item
from tests.nodes import eventually
from tests.smtp import PASSWORD, USER, Authority, Relay, Script, faulty

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from atum_workers.smtp import Smtp

SECONDS = 60


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def opened() -> Iterator[list[Smtp]]:
    """Providers that are closed in the end."""
    providers: list[Smtp] = []
    yield providers
    for provider in providers:
        provider.close()


def build(
    opened: list[Smtp], url: str, *, ca: Path | None = None, reached: Reached = go_on, **fields: Any
) -> Smtp:
    loaded = settings.load(
        database_url="postgresql://127.0.0.1/x",
        content_keys=new_key("test"),
        smtp_url=url,
        smtp_ca=None if ca is None else ca.read_text(),
        **fields,
    )
    provider = smtp.build(loaded, reached=reached)
    assert provider is not None
    opened.append(provider)
    return provider


def post(provider: Smtp, number: int = 1, **fields: Any) -> list[Any]:
    return list(provider.post([{**item(), **fields} for _ in range(number)], Deadline.start(SECONDS)))


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_mail_is_encrypted_and_logged_in_and_arrives_as_it_was_written(
    scheme: str, authority: Authority, opened: list[Smtp]
) -> None:
    with Relay(certificate=authority.certificate(), at_once=scheme == "smtps", auth=True) as relay:
        provider = build(
            opened,
            f"{scheme}://127.0.0.1:{relay.port}",
            ca=authority.ca_file,
            smtp_username=USER,
            smtp_password=SecretStr(PASSWORD),
        )
        (outcome,) = post(provider, Bcc="sam@example.org", TextBody=".\nGrüße\n..")
    assert isinstance(outcome, Accepted)
    assert "queued as 4D2F1" in (outcome.remark or "")
    (envelope,), (message,) = relay.taken, relay.messages
    assert envelope.sender == "app@example.com"
    assert envelope.recipients == ("kim@example.net", "sam@example.org")
    assert message["Message-ID"] == f"<{outcome.message_id}>"
    assert message.get_content().replace("\r\n", "\n") == ".\nGrüße\n..\n"
    assert message["Bcc"] is None


def test_a_wrong_password_is_for_a_person_and_costs_no_attempt(
    authority: Authority, opened: list[Smtp]
) -> None:
    with Relay(certificate=authority.certificate(), auth=True) as relay:
        provider = build(
            opened,
            f"smtp://127.0.0.1:{relay.port}",
            ca=authority.ca_file,
            smtp_username=USER,
            smtp_password=SecretStr("wrong"),
        )
        outcomes = post(provider, 2)
    assert [(type(each), each.reason, each.charged) for each in outcomes] == [
        (Deferred, CREDENTIALS, False)
    ] * 2
    assert "wrong" not in repr(outcomes)
    assert relay.taken == []


def test_a_server_that_wants_a_password_that_we_do_not_have_is_for_a_person(
    authority: Authority, opened: list[Smtp]
) -> None:
    with Relay(certificate=authority.certificate(), auth=True) as relay:
        (outcome,) = post(build(opened, f"smtp://127.0.0.1:{relay.port}", ca=authority.ca_file))
    assert (outcome.reason, outcome.charged) == (CREDENTIALS, False)


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_certificate_that_nobody_trusts_is_for_a_person(
    scheme: str, authority: Authority, opened: list[Smtp]
) -> None:
    with Relay(certificate=authority.certificate(), at_once=scheme == "smtps") as relay:
        (outcome,) = post(build(opened, f"{scheme}://127.0.0.1:{relay.port}"))
    assert (outcome.reason, outcome.charged) == (CERTIFICATE, False)
    assert relay.taken == []


def test_a_certificate_of_another_host_is_for_a_person(authority: Authority, opened: list[Smtp]) -> None:
    with Relay(certificate=authority.certificate("elsewhere.example.com")) as relay:
        (outcome,) = post(build(opened, f"smtp://127.0.0.1:{relay.port}", ca=authority.ca_file))
    assert outcome.reason == CERTIFICATE


def test_a_server_without_starttls_gets_nothing_in_clear(opened: list[Smtp]) -> None:
    with faulty() as server:
        provider = build(
            opened,
            f"smtp://127.0.0.1:{server.port}",
            smtp_username=USER,
            smtp_password=SecretStr(PASSWORD),
        )
        (outcome,) = post(provider)
        assert (outcome.reason, outcome.charged) == (NO_STARTTLS, False)
        assert server.commands == ["EHLO"]


def test_words_that_were_slipped_in_before_the_handshake_end_the_connection(opened: list[Smtp]) -> None:
    with faulty() as server:
        server.script = Script({"STARTTLS": "220 go on\r\n250 injected"}, extensions=("STARTTLS",))
        (outcome,) = post(build(opened, f"smtp://127.0.0.1:{server.port}"))
    assert (type(outcome), outcome.reason) == (Deferred, "not_sent")


def plain(opened: list[Smtp], port: int, **fields: Any) -> Smtp:
    return build(opened, f"smtp+plain://127.0.0.1:{port}", **fields)


def test_connections_are_kept_and_there_are_never_more_than_allowed(opened: list[Smtp]) -> None:
    with Relay() as relay:
        provider = plain(opened, relay.port, smtp_connections=1)
        assert all(isinstance(each, Accepted) for each in post(provider, 5) + post(provider, 5))
        assert len({each.peer for each in relay.taken}) == 1


def test_a_connection_that_was_closed_meanwhile_is_opened_anew_without_a_word(opened: list[Smtp]) -> None:
    with faulty() as server:
        provider = plain(opened, server.port)
        assert isinstance(post(provider)[0], Accepted)
        # The next transaction finds it closed, and nothing of the mail was sent.
        server.script = Script({"MAIL": ""}, times=1)
        assert isinstance(post(provider)[0], Accepted)
        assert (server.connections, server.copies().total()) == (2, 2)


def test_a_refused_mail_does_not_cost_the_connection(opened: list[Smtp]) -> None:
    with faulty() as server:
        provider = plain(opened, server.port)
        outcomes = post(provider, 1, To="bad@example.net") + post(provider)
        assert [type(each) for each in outcomes] == [Rejected, Accepted]
        assert server.connections == 1
        assert "RSET" in server.commands


def test_of_several_recipients_one_that_is_refused_stops_the_mail_for_all(opened: list[Smtp]) -> None:
    # A13: neither a partial success nor a silent loss.
    with faulty() as server:
        (outcome,) = post(plain(opened, server.port), To="kim@example.net, bad@example.net")
        assert (type(outcome), outcome.reason) == (Rejected, "smtp_550")
        assert "DATA" not in server.commands
        assert server.taken == []


def test_a_server_that_goes_away_in_the_middle_of_a_batch_leaves_the_rest_for_later(
    opened: list[Smtp],
) -> None:
    with faulty() as server:
        provider = plain(opened, server.port)
        server.script = Script({"END": "250 ok", "greeting": "421 too many"}, times=0)
        assert isinstance(post(provider)[0], Accepted)
        server.script = Script({"MAIL": "421 closing", "greeting": "421 closing"})
        outcomes = post(provider, 3)
        assert [(type(each), each.charged) for each in outcomes] == [(Deferred, False)] * 3
        assert server.connections == 2


def test_an_international_domain_is_sent_in_its_ascii_form_and_an_international_mailbox_is_refused_in_words(
    opened: list[Smtp],
) -> None:
    with Relay() as relay:
        provider = plain(opened, relay.port)
        items = [item("kim@exämple.net"), item("jürgen@example.net")]
        good, bad = provider.post(items, Deadline.start(SECONDS))
    assert isinstance(good, Accepted)
    assert relay.taken[0].recipients == ("kim@xn--exmple-cua.net",)
    assert isinstance(bad, Rejected)
    assert "non-ASCII mailbox" in bad.detail
    assert "rgen" not in bad.detail


def test_what_cannot_be_written_is_rejected_and_harms_no_other(opened: list[Smtp]) -> None:
    with Relay() as relay:
        provider = plain(opened, relay.port)
        broken = {**item(), "Headers": [{"Name": "X-Note", "Value": "a\r\nBcc: sam@example.org"}]}
        outcomes = provider.post([broken, item()], Deadline.start(SECONDS))
    assert [type(each) for each in outcomes] == [Rejected, Accepted]
    assert len(relay.taken) == 1


def test_closing_says_good_bye_and_ends_in_time_where_nobody_answers(opened: list[Smtp]) -> None:
    with faulty() as server:
        provider = plain(opened, server.port)
        post(provider)
        server.script = Script({"QUIT": "silence"})
        begun = time.monotonic()
        provider.close()
        assert time.monotonic() - begun < 20
        assert eventually(lambda: server.commands[-1] == "QUIT")


def test_who_waits_for_a_connection_in_vain_has_sent_nothing(opened: list[Smtp]) -> None:
    with faulty() as server:
        server.script = Script({"END": "silence"})
        once = OnceSent(0.5, lambda: bool(server.taken))
        provider = plain(opened, server.port, smtp_connections=1, reached=once.reached)
        outcomes = provider.post([item(), item()], once.deadline)
    assert [type(each) for each in outcomes] == [Unclear, Deferred]


@pytest.mark.parametrize(
    ("words", "outcome"), [("250 ok: queued", Accepted), ("silence", Unclear), ("drip", Unclear)]
)
def test_an_answer_that_is_there_counts_for_who_was_frozen_beyond_the_deadline_and_none_is_waited_for(
    opened: list[Smtp], words: str, outcome: type[object]
) -> None:
    with faulty() as server:
        passed = [0.0]
        deadline = Deadline.start(SECONDS, boot=lambda: passed[0], wall=lambda: passed[0])

        def freeze(step: Step) -> None:
            if step is Step.BODY_SENT:
                assert eventually(lambda: bool(server.taken if outcome is Unclear else server.answered))
                passed[0] = SECONDS + 1.0

        server.script = Script({"END": words})
        provider = plain(opened, server.port, reached=freeze)
        begun = time.monotonic()
        (given,) = provider.post([item()], deadline)
        # Silence and drops would last for ever.
        assert time.monotonic() - begun < SECONDS
    assert isinstance(given, outcome)


def test_the_default_context_checks_names_and_certificates() -> None:
    context = ssl.create_default_context()
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
