"""Receivers of alerts, each over its real wire: what arrives, and what is said when nothing does."""

from __future__ import annotations

import logging
import os
import socketserver
import sys
import threading
import time
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest
from pydantic import SecretStr

from atum_ops.alerts import catalogue
from atum_ops.alerts.breach import Breach, Kind, Metrics, Times, breach, document
from atum_ops.alerts.receivers import command, entry_points, mail, slack, webhook
from atum_ops.alerts.receivers.opening import receivers
from atum_ops.alerts.receivers.receiver import TIMEOUT, TIMEOUT_S, NotTaken, Receiver
from atum_ops.alerts.telling import BUSY, Telling
from atum_ops.stack.ports import free_port
from atum_schema.errors import SettingsError
from tests.alerting import load
from tests.nodes import eventually
from tests.smtp import PASSWORD, USER, Authority, Relay, Script, faulty

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.receiving import Receiver as Hook

SETTINGS = load("postgresql://nowhere", alert_dashboard_url="https://grafana.example.com/d/atum")
SECRET = "s3cr3t-path"


def notice(name: str = "AtumBacklogHigh", kind: Kind = Kind.FIRING, *, is_test: bool = False) -> Breach:
    alert = next(one for one in catalogue.alerts(SETTINGS) if one.name == name)
    return breach(
        alert,
        kind,
        id="0b5c8f6e-4e5f-5d0e-9d3a-6d9b6f0a8c11",
        value=412.0,
        metrics=Metrics(1.25, 5, 400, 412, 95.5, 3, 2, 1),
        times=Times(
            1_795_871_700.0,
            1_795_872_300.0,
            1_795_876_000.25 if kind is Kind.RESOLVED else None,
            1_795_876_000.25,
        ),
        settings=SETTINGS,
        is_test=is_test,
    )


def failure(receiver: Receiver, *, told: Breach | None = None) -> str:
    with pytest.raises(NotTaken) as raised:
        receiver.tell(told or notice())
    assert SECRET not in repr(raised.value)
    assert raised.value.__cause__ is None
    return str(raised.value)


def test_a_webhook_gets_the_document_and_the_token(hook: Hook) -> None:
    webhook.receiver(SecretStr(f"{hook.url}/in"), SecretStr("t0ken")).tell(notice())
    (got,) = hook.received
    assert got.event == document(notice())
    assert (got.path, got.headers["authorization"], got.headers["content-type"]) == (
        "/in",
        "Bearer t0ken",
        "application/json",
    )


@pytest.mark.parametrize("status", [301, 400, 401, 404, 429, 500, 503])
def test_any_answer_but_success_is_a_failure_and_no_redirect_is_followed(hook: Hook, status: int) -> None:
    hook.answer = lambda _: status
    for receiver in (
        webhook.receiver(SecretStr(f"{hook.url}/{SECRET}"), None),
        slack.receiver(SecretStr(f"{hook.url}/{SECRET}")),
    ):
        assert failure(receiver) == f"HTTP {status}"
    assert len(hook.received) == 2


def test_a_receiver_that_is_away_is_named_by_the_kind_of_failure_alone() -> None:
    url = SecretStr(f"http://127.0.0.1:{free_port()}/{SECRET}")
    assert failure(webhook.receiver(url, None)) == "connection refused"
    assert failure(slack.receiver(url)) == "connection refused"
    assert failure(mail_to(free_port())) == "connection refused"


def test_no_receiver_is_waited_for_for_long(hook: Hook) -> None:
    release = threading.Event()
    hook.answer = lambda _: 200 if release.wait(60) else 503
    try:
        assert failure(webhook.receiver(SecretStr(hook.url), None, timeout_s=0.2)) == "timeout"
    finally:
        release.set()


@contextmanager
def dripping() -> Iterator[int]:
    """Run a server that answers a byte in a twentieth of a second, for ever; give its port."""
    ended = threading.Event()

    class Drip(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
            with suppress(OSError):
                while not ended.wait(0.05):
                    self.wfile.write(b"y")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Drip) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server.server_address[1]
        ended.set()
        server.shutdown()


def test_a_receiver_that_drips_is_cut_off_and_can_be_told_again() -> None:
    with dripping() as port:
        receiver = webhook.receiver(SecretStr(f"http://127.0.0.1:{port}/{SECRET}"), None, timeout_s=0.5)
        for _ in range(2):
            began = time.monotonic()
            assert failure(receiver) == "timeout"
            assert time.monotonic() - began < 30


@pytest.mark.parametrize("step", ["greeting", "EHLO", "MAIL", "END"])
def test_a_mail_server_that_drips_is_cut_off(step: str) -> None:
    with faulty() as server:
        server.script = Script(replies={step: "drip"})
        url = SecretStr(f"smtp://127.0.0.1:{server.port}")
        receiver = mail.receiver(url, sender="a@example.com", recipients="b@example.com", timeout_s=0.5)
        began = time.monotonic()
        assert failure(receiver) == "timeout"
        assert time.monotonic() - began < 30


def test_the_proxy_of_the_environment_is_never_asked(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    webhook.receiver(SecretStr(hook.url), None).tell(notice())
    assert len(hook.received) == 1


def test_a_message_to_slack_has_a_line_and_blocks_in_which_nothing_is_a_link(hook: Hook) -> None:
    told = notice()
    slack.receiver(SecretStr(hook.url)).tell(told)
    (got,) = hook.received
    assert got.event["text"] == "FIRING (warning): AtumBacklogHigh: Mail piles up."
    text = "\n".join(block["text"]["text"] for block in got.event["blocks"])
    assert "412 mails are due or sending; the threshold is 100." in text
    assert "*runbook:* docs/runbooks/AtumBacklogHigh.md" in text


def mail_to(
    port: int, *, user: str | None = None, scheme: str = "smtp", to: str = "ops@example.com"
) -> Receiver:
    login = "" if user is None else f"{user}:{PASSWORD.replace(' ', '%20')}@"
    url = SecretStr(f"{scheme}://{login}127.0.0.1:{port}")
    return mail.receiver(url, sender="Atum <alerts@example.com>", recipients=to)


def test_a_mail_says_all_and_no_answering_machine_answers_it() -> None:
    with Relay() as relay:
        mail_to(relay.port, to="ops@example.com, Jané <jane@example.com>").tell(notice(is_test=True))
        (taken,) = relay.taken
        (message,) = relay.messages
    assert taken.recipients == ("ops@example.com", "jane@example.com")
    assert message["Subject"] == "[test] FIRING (warning): AtumBacklogHigh: Mail piles up."
    assert message["Auto-Submitted"] == "auto-generated"
    assert str(message["Message-ID"]).endswith("@example.com>")
    body = message.get_content()
    assert "backlog: 412 mails" in body
    assert "since: 2026-11-28 13:15:00 UTC" in body


@pytest.mark.parametrize("name", ["alert_email_to", "alert_email_from"])
def test_no_address_breaks_out_of_its_header(name: str) -> None:
    with pytest.raises(SettingsError, match=name.upper()):
        load("postgresql://nowhere", **{name: "ops@example.com\r\nBcc: all@example.com"})


@pytest.mark.parametrize("at_once", [False, True])
def test_a_password_goes_over_tls_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, at_once: bool
) -> None:
    authority = Authority(tmp_path)
    with Relay(certificate=authority.certificate(), at_once=at_once, auth=True) as relay:
        receiver = mail_to(relay.port, user=USER, scheme="smtps" if at_once else "smtp")
        assert failure(receiver) == "TLS: the certificate or the protocol is not good"
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
        receiver.tell(notice())
        assert len(relay.taken) == 1


def test_a_server_without_starttls_gets_no_password() -> None:
    with Relay() as relay:
        assert failure(mail_to(relay.port, user=USER)) == "SMTP: the server offers no STARTTLS"
        assert relay.taken == []


@pytest.mark.parametrize("good_bye", ["421 too busy", "", "silence"])
def test_a_server_that_has_the_mail_has_it_however_it_says_good_bye(good_bye: str) -> None:
    with faulty() as server:
        server.script = Script(replies={"QUIT": good_bye})
        began = time.monotonic()
        mail_to(server.port).tell(notice())
        assert time.monotonic() - began < TIMEOUT_S
        assert len(server.taken) == 1


def test_recipients_that_a_server_refuses_are_counted_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with faulty() as server:
        url = SecretStr(f"smtp://127.0.0.1:{server.port}")
        mail.receiver(url, sender="a@example.com", recipients="bad@example.com, ops@example.com").tell(
            notice()
        )
        [record] = caplog.records
        assert record.__dict__["count"] == 1
        assert "bad@" not in f"{record.__dict__}"
        assert len(server.taken) == 1
        everybody = mail.receiver(url, sender="a@example.com", recipients="bad@example.com")
        assert failure(everybody) == "SMTP: no recipient was taken"


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / "told.py"
    path.write_text(text)
    return f"{sys.executable} {path} '{tmp_path}'"


def test_a_command_gets_the_document_and_nothing_of_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATUM_POSTMARK_TOKEN", SECRET)
    words = script(
        tmp_path,
        "import json, os, pathlib, sys\n"
        "got = {'in': json.load(sys.stdin), 'environment': dict(os.environ), 'argv': sys.argv[1:]}\n"
        "pathlib.Path(sys.argv[1], 'got').write_text(json.dumps(got))\n",
    )
    command.receiver(words).tell(notice())
    got = orjson.loads((tmp_path / "got").read_bytes())
    assert got["in"] == document(notice())
    assert got["argv"] == [str(tmp_path)]
    assert SECRET not in str(got["environment"])
    # What Python itself adds is not ours.
    assert set(got["environment"]) - {"LC_CTYPE"} <= {"PATH", "HOME", "LANG"}


def test_a_command_that_fails_has_not_taken_it(tmp_path: Path) -> None:
    assert failure(command.receiver(script(tmp_path, "raise SystemExit(3)"))) == "exit status 3"
    assert failure(command.receiver("/nowhere/at-all")) == "cannot be started: FileNotFoundError"


def test_a_command_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    # A shell: Python may need seconds to begin, and then the child would not be there yet.
    path = tmp_path / "told.sh"
    path.write_text('sleep 600 & echo "$!" > "$1/pid"; wait\n')
    assert failure(command.receiver(f"/bin/sh {path} {tmp_path}", timeout_s=5)) == "killed after 5 s"
    pid = int((tmp_path / "pid").read_text())
    assert eventually(lambda: not _runs(pid))


def _runs(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_no_shell_reads_the_command(tmp_path: Path) -> None:
    words = script(tmp_path, "import sys; raise SystemExit(len(sys.argv) - 2)")
    assert failure(command.receiver(f"{words} ; touch '{tmp_path}/made' $(id)")) == "exit status 4"
    assert not (tmp_path / "made").exists()


PACKAGE = """
told = []
def failure_rate(breach):
    told.append(("failure_rate", breach.alert, breach.kind))
def backlog(breach):
    told.append(("backlog", breach.alert, breach.kind))
    return 0
def any_breach(breach):
    told.append(("breach", breach.alert, breach.kind))
    raise KeyError("https://hooks.example.com/s3cr3t-path")
not_callable = 7
"""
POINTS = """
[atum_mailer.alert.failure_rate]
ours = atum_told:failure_rate
gone = atum_told:nothing
[atum_mailer.alert.backlog]
ours = atum_told:backlog
number = atum_told:not_callable
[atum_mailer.alert.breach]
ours = atum_told:any_breach
away = atum_nowhere:told
script = atum_script:told
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """An installed package that brings entry points along; gives what it was told."""
    (tmp_path / "atum_told.py").write_text(PACKAGE)
    (tmp_path / "atum_script.py").write_text("raise SystemExit(0)")
    metadata = tmp_path / "atum_told-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: atum-told\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "atum_told", raising=False)
    import importlib

    told: list[tuple[str, str, str]] = importlib.import_module("atum_told").told
    return told


def test_an_entry_point_is_told_of_what_its_group_is_for(package: list[tuple[str, str, str]]) -> None:
    found, _ = entry_points.load()
    assert [one.name for one in found] == ["failure_rate:ours", "backlog:ours", "breach:ours"]
    areas = {one.name: one.areas for one in found}
    for alert in catalogue.alerts(SETTINGS):
        wants = {
            name for name in areas if next(o for o in found if o.name == name).listener.wants(alert.area)
        }
        assert ("failure_rate:ours" in wants) == (alert.area == "failures")
        assert ("backlog:ours" in wants) == (alert.area == "backlog")
        assert "breach:ours" in wants
    found[0].tell(notice("AtumFailureRateHigh"))
    assert package == [("failure_rate", "AtumFailureRateHigh", "firing")]


def test_a_broken_entry_point_is_named_and_stops_no_other(package: list[tuple[str, str, str]]) -> None:
    del package
    _, broken = entry_points.load()
    assert [(one.name, one.why) for one in broken] == [
        ("failure_rate:gone", "cannot be loaded: AttributeError"),
        ("backlog:number", "is nothing that can be called"),
        ("breach:away", "cannot be loaded: ModuleNotFoundError"),
        ("breach:script", "cannot be loaded: SystemExit"),
    ]


def test_what_an_entry_point_raises_is_its_own_failure_and_its_words_are_not_kept(
    package: list[tuple[str, str, str]],
) -> None:
    found, _ = entry_points.load()
    told = notice()
    results = Telling(found).tell({one.name: [told] for one in found[1:]})
    assert [(one.receiver, one.failure) for one in results] == [
        ("backlog:ours", None),
        ("breach:ours", "KeyError"),
    ]
    assert len(package) == 2


def test_a_listener_that_returns_nothing_changes_no_threshold(package: list[tuple[str, str, str]]) -> None:
    before = catalogue.alerts(SETTINGS)
    found, _ = entry_points.load()
    for one in found[:2]:
        # They return None and 0, which would have been a threshold once.
        one.tell(notice())
    del package
    assert [(one.name, one.threshold, one.for_s) for one in catalogue.alerts(SETTINGS)] == [
        (one.name, one.threshold, one.for_s) for one in before
    ]


def test_no_name_of_a_group_serves_two_purposes() -> None:
    names = sorted(entry_points.GROUPS)
    assert len(set(names)) == 3
    assert not any(later.startswith(earlier) for earlier, later in pairwise(names))
    assert not any(name.endswith("threshold") for name in names)


def test_a_receiver_that_hangs_holds_up_nobody_and_is_not_called_again_meanwhile() -> None:
    release, called = threading.Event(), []

    def hang(_: Breach) -> None:
        called.append(1)
        release.wait(60)

    heard: list[Breach] = []
    telling = Telling([Receiver("hangs", hang), Receiver("well", heard.append)], limit_s=5)
    began = time.monotonic()
    results = telling.tell({"hangs": [notice()], "well": [notice(), notice()]})
    assert time.monotonic() - began < 30
    assert [(one.receiver, one.failure) for one in results] == [
        ("hangs", TIMEOUT),
        ("well", None),
        ("well", None),
    ]
    assert telling.tell({"hangs": [notice()]})[0].failure == BUSY
    assert len(called) == 1
    release.set()
    assert eventually(lambda: telling.tell({"hangs": [notice()]})[0].failure is None)


def test_an_error_that_is_its_own_cause_is_a_failure_like_any_other() -> None:
    def fail(_: Breach) -> None:
        try:
            os.environ[SECRET]
        except KeyError as error:
            raise error from error

    telling = Telling([Receiver("odd", fail)])
    assert telling.tell({"odd": [notice()]})[0].failure == "KeyError"


def test_a_receiver_that_fails_is_left_alone_for_the_rest_of_the_round() -> None:
    def fail(_: Breach) -> None:
        raise NotTaken("HTTP 503")

    telling = Telling([Receiver("ill", fail)])
    assert len(telling.tell({"ill": [notice(), notice()]})) == 1
    assert len(telling.tell({"ill": [notice(), notice()]}, all_of_them=True)) == 2


def test_nobody_to_tell_is_an_error_that_names_every_way() -> None:
    with pytest.raises(SettingsError, match="nobody is told") as raised:
        receivers(load("postgresql://nowhere"))
    for word in (
        "ATUM_ALERT_WEBHOOK_URL",
        "ATUM_ALERT_SLACK_URL",
        "ATUM_ALERT_EMAIL_URL",
        "ATUM_ALERT_COMMAND",
    ):
        assert word in str(raised.value)
    for group in entry_points.GROUPS:
        assert group in str(raised.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"alert_email_to": "ops@example.com"},
            "ATUM_ALERT_EMAIL_TO needs ATUM_ALERT_EMAIL_FROM and ATUM_ALERT_EMAIL_URL",
        ),
        (
            {"alert_webhook_token": SecretStr(SECRET), "alert_command": SecretStr("true")},
            "ATUM_ALERT_WEBHOOK_TOKEN needs ATUM_ALERT_WEBHOOK_URL",
        ),
    ],
)
def test_settings_that_need_others_say_so(given: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError) as raised:
        receivers(load("postgresql://nowhere", **given))
    assert str(raised.value) == words


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("alert_email_url", f"smtp://user:{SECRET}/x@mail.example.com"),
        ("alert_email_url", f"http://{SECRET}"),
        ("alert_webhook_url", f"https://hooks.example.com:{SECRET}/x"),
        ("alert_slack_url", f"ftp://hooks.example.com/{SECRET}"),
        ("alert_command", f"notify --token '{SECRET}"),
    ],
)
def test_a_wrong_url_is_refused_without_being_shown(name: str, url: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load("postgresql://nowhere", **{name: SecretStr(url)})
    assert SECRET not in str(raised.value)
    assert name.upper() in str(raised.value)


def test_all_settings_together_make_four_receivers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    settings = load(
        "postgresql://nowhere",
        alert_webhook_url=SecretStr(f"https://hooks.example.com/{SECRET}"),
        alert_slack_url=SecretStr(f"https://slack.example.com/{SECRET}"),
        alert_email_to="ops@example.com",
        alert_email_from="alerts@example.com",
        alert_email_url=SecretStr(f"smtp://u:{SECRET}@mail.example.com"),
        alert_command=SecretStr(f"{os.sep}bin/true"),
    )
    found = receivers(settings)
    assert [one.name for one in found.usable] == ["webhook", "slack", "email", "command"]
    assert SECRET not in caplog.text + repr(found) + repr(settings)
