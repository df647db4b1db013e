"""`BrokerMailer` on a real RabbitMQ: confirmed, or an error in time, and never a mail twice."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson
import pika
import pytest

from atum_ops.chaos.proxy import Proxy
from atum_producers import BrokerMailer
from atum_schema import topology
from atum_schema.errors import EnqueueFailed, EnqueueUncertain, MailRejected, SettingsError
from tests.intaking import Inbox, depth
from tests.nodes import eventually, private_rabbit, raise_alarm
from tests.system import letters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_ops.stack.rabbit import RabbitNode


@pytest.fixture(scope="module")
def rabbit() -> Iterator[RabbitNode]:
    """A RabbitMQ for this module alone, to block and to kill."""
    with private_rabbit() as node:
        yield node


@pytest.fixture
def own_url(rabbit: RabbitNode) -> Iterator[str]:
    """Its URL, with an empty intake."""
    yield rabbit.url
    connection = pika.BlockingConnection(pika.URLParameters(rabbit.url))
    with suppress(Exception):
        connection.channel().queue_delete(topology.INTAKE)
    connection.close()


@pytest.fixture
def mailer(amqp_url: str) -> Iterator[BrokerMailer]:
    with BrokerMailer(amqp_url, client="shop", timeout=60) as mailer:
        yield mailer


def taken(amqp_url: str) -> list[tuple[Any, dict[str, Any]]]:
    """Take all jobs from the queue: properties and document."""
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    channel = connection.channel()
    jobs = []
    while (message := channel.basic_get(topology.INTAKE, auto_ack=True))[0] is not None:
        jobs.append((message[1], orjson.loads(message[2] or b"")))
    connection.close()
    return jobs


def test_a_mail_is_in_the_queue_when_enqueue_returns(mailer: BrokerMailer, amqp_url: str) -> None:
    mail_id = mailer.enqueue(letters(1)[0])
    ((properties, document),) = taken(amqp_url)
    assert (mail_id.version, document["id"], properties.message_id) == (7, str(mail_id), str(mail_id))
    assert (properties.app_id, properties.delivery_mode) == ("shop", 2)
    assert properties.content_type == "application/json"
    assert document["to"] == ["r0@example.net"]


def test_a_list_gives_its_ids_in_order_and_an_empty_one_none(mailer: BrokerMailer, amqp_url: str) -> None:
    ids = mailer.enqueue(letters(1200))
    assert [document["id"] for _, document in taken(amqp_url)] == [str(one) for one in ids]
    assert mailer.enqueue([]) == []


def test_what_was_enqueued_is_stored_by_the_intake_once(database_url: str, amqp_url: str) -> None:
    with BrokerMailer(amqp_url, client="shop", timeout=60) as mailer, Inbox(database_url, amqp_url) as inbox:
        ids = mailer.enqueue(letters(20))
        keys = [f"mail:{one}" for one in ids]
        assert mailer.enqueue(letters(20), keys=keys) == ids
        inbox.await_mails(20)
        assert inbox.ids() == {str(one) for one in ids}
        assert inbox.sql("SELECT DISTINCT client FROM atum.mail") == [("shop",)]


def test_eight_threads_share_one_connection(mailer: BrokerMailer, amqp_url: str) -> None:
    def work(thread: int) -> list[uuid.UUID]:
        return [mailer.enqueue(mail) for mail in letters(50, name=f"t{thread}-")]

    with ThreadPoolExecutor(8) as pool:
        ids = [one for each in pool.map(work, range(8)) for one in each]
    assert mailer._line.connections == 1
    assert sorted(document["id"] for _, document in taken(amqp_url)) == sorted(map(str, ids))


def test_connections_that_the_broker_closes_do_not_fail_the_next_enqueue(
    own_url: str, rabbit: RabbitNode
) -> None:
    with BrokerMailer(own_url, timeout=60) as mailer:
        first = mailer.enqueue(letters(1)[0])
        rabbit.rabbitmqctl("close_all_connections", "maintenance")
        second = mailer.enqueue(letters(1)[0])
        assert mailer._line.connections == 2
    assert [document["id"] for _, document in taken(own_url)] == [str(first), str(second)]


@pytest.mark.parametrize("fault", ["reset", "partition", "unplug"])
def test_an_idle_connection_that_died_does_not_fail_the_next_enqueue(amqp_url: str, fault: str) -> None:
    with (
        Proxy(urlsplit(amqp_url).port or 0) as proxy,
        BrokerMailer(proxy.url(amqp_url), timeout=15) as mailer,
    ):
        first = mailer.enqueue(letters(1)[0])
        if fault == "reset":
            proxy.reset()
            second = mailer.enqueue(letters(1)[0])
        else:
            # A firewall forgot the connection: what is written goes nowhere, and new connections are fine.
            getattr(proxy, fault)()
            with ThreadPoolExecutor(1) as pool:
                enqueued = pool.submit(lambda: mailer.enqueue(letters(1)[0]))
                assert eventually(lambda: not mailer._line.connected)
                proxy.down()
                proxy.reset()
                proxy.heal()
                second = enqueued.result()
    found = [document["id"] for _, document in taken(amqp_url)]
    assert set(found) == {str(first), str(second)}


def test_a_broker_that_is_not_there_is_a_failure_in_time(rabbit: RabbitNode, own_url: str) -> None:
    with BrokerMailer(own_url, timeout=1) as mailer:
        rabbit.kill()
        try:
            asked = time.monotonic()
            with pytest.raises(EnqueueFailed, match="did not take the mails"):
                mailer.enqueue(letters(1)[0])
            assert 0.9 < time.monotonic() - asked < 20
        finally:
            rabbit.start()


def test_a_broker_that_comes_back_within_the_time_takes_the_mail(rabbit: RabbitNode, own_url: str) -> None:
    with BrokerMailer(own_url, timeout=120) as mailer:
        mailer.enqueue(letters(1)[0])
        # RabbitMQ writes a new quorum queue down a second later: killed before, it does not find it again.
        time.sleep(4)
        rabbit.kill()
        with ThreadPoolExecutor(1) as pool:
            enqueued = pool.submit(lambda: mailer.enqueue(letters(1)[0]))
            rabbit.start()
            came_back = time.monotonic()
            enqueued.result()
            assert time.monotonic() - came_back < 30
    assert len(taken(own_url)) == 2


def test_a_broker_that_answers_nobody_is_a_failure_in_time(amqp_url: str) -> None:
    with (
        Proxy(urlsplit(amqp_url).port or 0) as proxy,
        BrokerMailer(proxy.url(amqp_url), timeout=1) as mailer,
    ):
        proxy.partition()
        asked = time.monotonic()
        with pytest.raises(EnqueueFailed):
            mailer.enqueue(letters(1)[0])
        assert time.monotonic() - asked < 20


def test_a_blocked_broker_is_uncertain_in_time_and_repeating_is_safe(
    rabbit: RabbitNode, own_url: str, database_url: str
) -> None:
    with BrokerMailer(own_url, client="shop", timeout=6) as mailer:
        before = mailer.enqueue(letters(1)[0])
        raise_alarm(rabbit)
        try:
            asked = time.monotonic()
            with pytest.raises(EnqueueUncertain) as uncertain:
                mailer.enqueue(letters(3))
            assert time.monotonic() - asked < 30
            keys = uncertain.value.keys
            assert len(keys) == 3
        finally:
            rabbit.rabbitmqctl("set_vm_memory_high_watermark", "absolute", "1GB")
        ids: list[uuid.UUID] = []

        def repeated() -> bool:
            with suppress(EnqueueFailed, EnqueueUncertain):
                ids[:] = mailer.enqueue(letters(3), keys=keys)
            return bool(ids)

        # As often as it takes until RabbitMQ notices that the alarm is over.
        assert eventually(repeated, seconds=60)
        assert [f"mail:{one}" for one in ids] == list(keys)
    with Inbox(database_url, own_url) as inbox:
        inbox.await_mails(4)
        assert inbox.ids() == {str(before), *map(str, ids)}


def test_a_line_that_is_cut_while_it_waits_for_the_confirm_is_uncertain(amqp_url: str) -> None:
    with (
        Proxy(urlsplit(amqp_url).port or 0) as proxy,
        BrokerMailer(proxy.url(amqp_url), timeout=6) as mailer,
    ):
        mailer.enqueue(letters(1)[0])
        proxy.partition()
        asked = time.monotonic()
        with pytest.raises(EnqueueUncertain, match="did not confirm"):
            mailer.enqueue(letters(1)[0])
        assert time.monotonic() - asked < 30


def test_a_queue_that_was_deleted_is_declared_again_in_time(mailer: BrokerMailer, amqp_url: str) -> None:
    mailer.enqueue(letters(1)[0])
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    connection.channel().queue_delete(topology.INTAKE)
    connection.close()
    second = mailer.enqueue(letters(1)[0])
    assert [document["id"] for _, document in taken(amqp_url)] == [str(second)]


def test_a_user_who_may_only_write_uses_the_queue_that_is_there(rabbit: RabbitNode, own_url: str) -> None:
    rabbit.rabbitmqctl("add_user", "writer", "secret")
    try:
        rabbit.rabbitmqctl("set_permissions", "writer", "^$", "^amq.default$", "^$")
        theirs = own_url.replace(urlsplit(own_url).netloc.partition("@")[0], "writer:secret")
        with BrokerMailer(theirs, timeout=8) as mailer:
            with pytest.raises(EnqueueFailed, match=r"RabbitMQ has no queue mail\.intake"):
                mailer.enqueue(letters(1)[0])
            with BrokerMailer(own_url, timeout=60) as other:
                other.enqueue(letters(1)[0])
            mailer.enqueue(letters(1)[0])
        assert len(taken(own_url)) == 2
    finally:
        rabbit.rabbitmqctl("delete_user", "writer")


def test_a_queue_that_refuses_is_a_failure_in_time(rabbit: RabbitNode, own_url: str) -> None:
    rabbit.rabbitmqctl("set_policy", "full", "^mail.intake$", '{"max-length":1,"overflow":"reject-publish"}')
    try:
        with BrokerMailer(own_url, timeout=1) as mailer:
            # RabbitMQ notices a full queue with some delay.
            assert eventually(lambda: "refused" in failure(mailer))
    finally:
        rabbit.rabbitmqctl("clear_policy", "full")


def failure(mailer: BrokerMailer) -> str:
    """Hand over a mail; say why that certainly failed, where it did."""
    try:
        mailer.enqueue(letters(1)[0])
    except EnqueueFailed as error:
        return str(error)
    except EnqueueUncertain:
        return ""
    return ""


def test_what_cannot_be_a_job_is_refused_before_anything_is_published(
    mailer: BrokerMailer, amqp_url: str
) -> None:
    large = letters(1, text="\n" * 4_900_000, html="\n" * 4_900_000)[0]
    with pytest.raises(MailRejected, match=r"mail 1: document: is .* the limit is 14000000"):
        mailer.enqueue([*letters(1), large])
    with pytest.raises(MailRejected, match="mail 1: idempotency_key: 'a' appears twice"):
        mailer.enqueue(letters(2, idempotency_key="a"))
    for keys in (["mail:x"], ["a", "b"], [f"mail:{uuid.uuid4()}"] * 2):
        with pytest.raises(MailRejected, match="keys"):
            mailer.enqueue(letters(2 if len(keys) > 1 and keys[0] == keys[1] else 1), keys=keys)
    assert depth(amqp_url, topology.INTAKE) in (0, -1)


@pytest.mark.parametrize("url", ["amqp://u:secret@h:port/", "nonsense", "amqp://u:secret@h/?heartbeat=x"])
def test_a_url_that_cannot_be_read_is_said_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        BrokerMailer(url)
    assert "secret" not in str(refused.value)


def test_a_timeout_and_a_client_that_make_no_sense_are_refused() -> None:
    with pytest.raises(SettingsError, match="timeout"):
        BrokerMailer("amqp://127.0.0.1:1", timeout=0)
    with pytest.raises(MailRejected):
        BrokerMailer("amqp://127.0.0.1:1", client="")


def test_a_closed_mailer_takes_nothing_more_and_leaves_no_thread(amqp_url: str) -> None:
    mailer = BrokerMailer(amqp_url)
    mailer.enqueue(letters(1)[0])
    mailer.close()
    mailer.close()
    assert "atum-broker-mailer" not in [thread.name for thread in threading.enumerate()]
    with pytest.raises(EnqueueFailed, match="closed"):
        mailer.enqueue(letters(1)[0])
    BrokerMailer(amqp_url).close()


def test_closing_ends_an_enqueue_under_way(amqp_url: str) -> None:
    with Proxy(urlsplit(amqp_url).port or 0) as proxy, ThreadPoolExecutor(1) as pool:
        mailer = BrokerMailer(proxy.url(amqp_url), timeout=120)
        mailer.enqueue(letters(1)[0])
        proxy.down()
        proxy.reset()
        enqueued = pool.submit(lambda: mailer.enqueue(letters(1)[0]))
        assert eventually(lambda: mailer._line._longing > 0)
        asked = time.monotonic()
        mailer.close()
        with pytest.raises((EnqueueFailed, EnqueueUncertain)):
            enqueued.result()
        assert time.monotonic() - asked < 60


def test_the_producers_can_be_imported_without_a_broker_client() -> None:
    code = (
        "import sys; sys.modules['pika'] = None\n"
        "import atum_producers\n"
        "from atum_producers import Mailer\n"
        "try:\n    atum_producers.BrokerMailer\n"
        "except ImportError:\n    print('needs pika')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "needs pika\n"
