"""The fixtures themselves: what every other test takes for granted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pika

if TYPE_CHECKING:
    from tests.nodes import VirtualHosts


def test_two_tests_never_share_a_virtual_host(virtual_hosts: VirtualHosts) -> None:
    urls = [virtual_hosts.fresh() for _ in range(2)]
    assert urls[0] != urls[1]
    for url in urls:
        connection = pika.BlockingConnection(pika.URLParameters(url))
        channel = connection.channel()
        # Would be refused as inequivalent, were the queue there already.
        channel.queue_declare("mail.test", durable=True, arguments={"x-queue-type": "quorum"})
        assert channel.queue_declare("mail.test", passive=True).method.message_count == 0
        channel.basic_publish("", "mail.test", b"left behind")
        connection.close()
