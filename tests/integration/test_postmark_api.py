"""Postmark's read and management APIs: what they say is typed, and what fails says how, and nothing secret."""

from __future__ import annotations

import socket
import threading
import time
import uuid
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.process import SimulatorProcess
from atum_schema.webhook import read_time
from atum_workers import postmark_api, postmark_webhooks
from atum_workers.deadline import Deadline
from atum_workers.postmark_api import PostmarkApi, ProviderFailed
from tests.answering import answering
from tests.nodes import eventually
from tests.receiving import Receiver, receiver
from tests.simulating import HEADERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

TOKEN = HEADERS["X-Postmark-Server-Token"]
MAIL, BATCH = uuid.uuid4(), uuid.uuid4()
JANE = "jane@example.org"
NOW = datetime.now(UTC)
#: Much for a machine that does other things, and nothing where there is no deadline.
SOON_S = 20.0


@pytest.fixture(scope="module")
def shared() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(SimulatorConfig(fates={}, time_scale=0.0005)) as simulator:
        yield simulator


@pytest.fixture
def api(simulator: SimulatorProcess) -> Iterator[PostmarkApi]:
    yield from opened(simulator.url)


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as one:
        yield one


def opened(url: str) -> Iterator[PostmarkApi]:
    api = PostmarkApi(base_url=url, token=TOKEN)
    yield api
    api.close()


def failure(url: str, *, seconds: float = 60.0) -> ProviderFailed:
    """Ask a provider for anything; give how that failed."""
    for api in opened(url):
        with pytest.raises(ProviderFailed) as failed:
            api.suppress("outbound", [JANE], Deadline.start(seconds))
    cause = failed.value.__cause__
    assert JANE not in str(failed.value)
    assert TOKEN not in f"{failed.value!r} {failed.value} {cause!r} {cause}"
    return failed.value


def soon() -> Deadline:
    return Deadline.start(60)


def send(client: httpx.Client, *to: str, stream: str = "outbound") -> str:
    answer = client.post(
        "/email",
        json={
            "From": "Shop <shop@example.com>",
            "To": ", ".join(to),
            "Subject": "Hello",
            "TextBody": "Hello",
            "MessageStream": stream,
            "Metadata": {"atum-mail": str(MAIL), "atum-batch": str(BATCH)},
        },
    )
    answer.raise_for_status()
    message_id: str = answer.json()["MessageID"]
    return message_id


def test_details_have_our_ids_and_what_happened_to_each_recipient(
    api: PostmarkApi, client: httpx.Client
) -> None:
    message_id = send(client, JANE, "Delay@example.org")

    def story() -> list[tuple[str, str]]:
        details = api.details(message_id, soon())
        assert details is not None
        assert (details.mail_id, details.batch_id, details.stream) == (MAIL, BATCH, "outbound")
        assert details.recipients == (JANE, "delay@example.org")
        return sorted((event.recipient, event.type) for event in details.events)

    told = [
        ("delay@example.org", "Delivered"),
        ("delay@example.org", "Transient"),
        (JANE, "Delivered"),
    ]
    assert eventually(lambda: story() == told), story()


@pytest.mark.parametrize("message_id", ["5d4f1c9e-8a4b-4f52-9c1e-1f2a3b4c5d6e", "../server", "a/b?c#d"])
def test_a_message_that_the_provider_does_not_know_is_none(message_id: str, api: PostmarkApi) -> None:
    assert api.details(message_id, soon()) is None


def test_bounces_and_complaints_are_those_of_the_stream(api: PostmarkApi, client: httpx.Client) -> None:
    send(client, "bounce-hard@example.org", "complaint@example.org")
    send(client, "bounce-soft@example.org", stream="broadcast")

    def types(stream: str) -> list[str]:
        page = api.bounces(stream, since=NOW, offset=0, deadline=soon())
        assert page.total == len(page.bounces)
        return sorted(bounce["Type"] for bounce in page.bounces)

    assert eventually(lambda: types("outbound") == ["HardBounce", "SpamComplaint"])
    assert eventually(lambda: types("broadcast") == ["SoftBounce"])
    assert api.bounces("outbound", since=NOW, offset=2, deadline=soon()).bounces == []


def test_bounces_can_be_asked_for_up_to_a_moment_and_none_before_it_is_missed(
    api: PostmarkApi, client: httpx.Client
) -> None:
    send(client, "bounce-hard@example.org")
    assert eventually(
        lambda: api.bounces("outbound", since=NOW, offset=0, deadline=soon()).total == 1,
    )
    (bounce,) = api.bounces("outbound", since=NOW, offset=0, deadline=soon()).bounces
    at = read_time(bounce["BouncedAt"])
    assert at is not None

    def total(until: datetime) -> int:
        return api.bounces("outbound", since=NOW, until=until, offset=0, deadline=soon()).total

    assert total(at) == 1
    assert total(at - timedelta(hours=2)) == 0


def test_the_streams_are_those_that_send(api: PostmarkApi) -> None:
    assert sorted(api.streams(soon())) == ["broadcast", "outbound"]


def test_suppressions_are_told_address_by_address(api: PostmarkApi, simulator: SimulatorProcess) -> None:
    simulator.set_suppressions([{"EmailAddress": "c@example.org", "SuppressionReason": "SpamComplaint"}])
    assert [(one.address, one.status) for one in api.suppress("outbound", [JANE], soon())] == [
        (JANE, "Suppressed")
    ]
    listed = {one.address: (one.reason, one.origin) for one in api.suppressions("outbound", soon())}
    assert listed[JANE] == ("manual", "customer")
    assert listed["c@example.org"][0] == "complaint"
    answers = api.unsuppress("outbound", [JANE, "c@example.org"], soon())
    assert [(one.address, one.status) for one in answers] == [(JANE, "Deleted"), ("c@example.org", "Failed")]
    assert answers[1].message


def test_more_addresses_than_the_provider_takes_at_once_are_refused_and_none_is_suppressed(
    api: PostmarkApi,
) -> None:
    most = postmark_api.ADDRESSES_AT_ONCE
    addresses = [f"a{number}@example.org" for number in range(most + 1)]
    for tell in (api.suppress, api.unsuppress):
        with pytest.raises(ProviderFailed, match="HTTP 422, ErrorCode 1410"):
            tell("outbound", addresses, soon())
    assert api.suppressions("outbound", soon()) == []
    assert len(api.suppress("outbound", addresses[:most], soon())) == most
    assert len(api.suppressions("outbound", soon())) == most


def test_webhooks_are_made_changed_verified_and_looked_at(api: PostmarkApi, hook: Receiver) -> None:
    settings = {
        "Url": hook.url,
        "MessageStream": "broadcast",
        "HttpAuth": {"Username": "u", "Password": "a-secret-password"},
        "HttpHeaders": [{"Name": "X-A", "Value": "a-secret-value"}],
        "Triggers": {"Delivery": {"Enabled": True}, "Bounce": {"Enabled": True}},
    }
    made = postmark_webhooks.create_webhook(api, settings, soon())
    assert made == postmark_webhooks.Webhook(
        made.id,
        "broadcast",
        hook.url,
        ("u", "a-secret-password"),
        {"X-A": "a-secret-value"},
        frozenset({"Delivery", "Bounce"}),
    )
    assert "secret" not in repr(made)
    changed = postmark_webhooks.edit_webhook(
        api, made.id, {"Triggers": {"Bounce": {"Enabled": False}}}, soon()
    )
    assert changed.triggers == {"Delivery"}
    assert postmark_webhooks.webhooks(api, soon()) == [changed]
    assert postmark_webhooks.webhook_statistics(api, made.id, soon()) == {"Delivery": "Active"}
    assert postmark_webhooks.verify_webhook(api, made.id, soon()) == (True, {})
    hook.answer = lambda _: 500
    assert postmark_webhooks.verify_webhook(api, made.id, soon()) == (False, {"Delivery": 500})
    with pytest.raises(ProviderFailed) as failed:
        postmark_webhooks.edit_webhook(api, made.id, {"Url": hook.url}, soon())
    assert failed.value.code == postmark_webhooks.NOT_VERIFIED
    assert "Delivery (500)" in (failed.value.said or "")


def test_a_sandbox_is_known(api: PostmarkApi) -> None:
    assert postmark_webhooks.delivery_type(api, soon()) == "Sandbox"


def test_a_refused_token_is_told_from_all_else(simulator: SimulatorProcess) -> None:
    api = PostmarkApi(base_url=simulator.url, token="a-wrong-token")
    with pytest.raises(ProviderFailed, match="HTTP 401") as failed:
        api.streams(soon())
    api.close()
    assert failed.value.unauthorized
    assert failed.value.is_of_all
    assert "a-wrong-token" not in str(failed.value)


def test_an_answer_of_too_fast_says_for_how_long() -> None:
    with answering(429, b'{"ErrorCode": 0}', {"Retry-After": "7"}) as url:
        error = failure(url)
    assert (error.status, error.retry_after_s, error.is_of_all) == (429, 7.0, True)


@pytest.mark.parametrize("status", [500, 503, 302, 404])
def test_other_failures_have_their_status(status: int) -> None:
    words = f'{{"ErrorCode": 17, "Message": "about {JANE}"}}'.encode()
    with answering(status, words, {"Location": "/"}) as url:
        error = failure(url)
    assert (error.status, error.code, error.is_of_all) == (status, 17, False)


@pytest.mark.parametrize("body", [b"", b"<html>", b"null", b"[]", b"3", b'{"Suppressions": 1}'])
def test_an_answer_that_makes_no_sense_is_a_failure(body: bytes) -> None:
    with answering(200, body) as url:
        failure(url)


def test_an_answer_is_bounded_in_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postmark_api, "_LARGEST", 1000)
    with answering(200, b" " * 1001) as url:
        assert "bytes" in str(failure(url))


def test_nobody_there_is_a_failure_without_a_status() -> None:
    assert failure("http://127.0.0.1:1").status is None


def test_an_answer_that_never_ends_is_given_up_by_the_deadline() -> None:
    with answering(200, b"{", {"Content-Length": "100"}) as url:
        began = time.monotonic()
        error = failure(url, seconds=0.5)
        assert time.monotonic() - began < SOON_S
    assert error.status is None


def test_an_answer_that_drips_is_given_up_by_the_deadline() -> None:
    with dripping() as url:
        began = time.monotonic()
        error = failure(url, seconds=0.5)
        assert time.monotonic() - began < SOON_S
    assert error.status is None


@contextmanager
def dripping() -> Iterator[str]:
    """Run a server that gives a byte every now and then, so that no single read ever waits for long."""
    gone = threading.Event()

    def drip() -> None:
        peer, _ = server.accept()
        with peer, suppress(OSError):
            peer.recv(65536)
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not gone.wait(0.05):
                peer.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            gone.set()
            thread.join()
