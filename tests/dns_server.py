"""A small DNS server over UDP on this machine, with records of one's own."""

from __future__ import annotations

import socketserver
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: (name, type) to the text of the record; a server without any answers SERVFAIL to everything.
Records = "Mapping[tuple[str, str], str]"


@contextmanager
def dns_server(records: Mapping[tuple[str, str], str] | None) -> Iterator[str]:
    """Serve these records, each name as `example.com`; give `address:port`. None: every question fails."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            data, sock = self.request
            question = dns.message.from_wire(data)
            sock.sendto(_answer(question, records).to_wire(), self.client_address)

    with socketserver.ThreadingUDPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _answer(
    question: dns.message.Message, records: Mapping[tuple[str, str], str] | None
) -> dns.message.Message:
    answer = dns.message.make_response(question)
    answer.flags |= dns.flags.RA
    asked = question.question[0]
    name, kind = str(asked.name).rstrip(".").lower(), dns.rdatatype.to_text(asked.rdtype)
    if records is None:
        answer.set_rcode(dns.rcode.SERVFAIL)
    elif (name, kind) in records:
        answer.answer.append(dns.rrset.from_text(asked.name, 60, "IN", kind, records[name, kind]))
    elif not any(known == name for known, _ in records):
        answer.set_rcode(dns.rcode.NXDOMAIN)
    return answer
