"""Clients that are slow, silent or many do not keep others from being served."""

from __future__ import annotations

import re
import socket
import time
from contextlib import ExitStack, contextmanager
from itertools import chain, repeat
from typing import TYPE_CHECKING

import pytest

from tests.api import Api, letter
from tests.nodes import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

HALF_A_HEAD = b"POST /v1/mails HTTP/1.1\r\nHost: x\r\nX-Slow: "
PATIENT = {"ATUM_API_HEAD_TIMEOUT_S": "60", "ATUM_API_BODY_TIMEOUT_S": "60"}
HASTY = {"ATUM_API_HEAD_TIMEOUT_S": "0.5", "ATUM_API_BODY_TIMEOUT_S": "0.5"}


@contextmanager
def crowd(api: Api, number: int, said: bytes) -> Iterator[list[socket.socket]]:
    """Open connections that have said this much and no more."""
    with ExitStack() as stack:
        sockets = []
        for _ in range(number):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", api.port), timeout=30))
            one.sendall(said)
            sockets.append(one)
        yield sockets


def answered(raw: socket.socket, *, seconds: float = 30) -> bytes:
    """Read to the end of the connection."""
    raw.settimeout(seconds)
    try:
        return b"".join(iter(lambda: raw.recv(65536), b""))
    except ConnectionResetError:
        return b""


def is_told(api: Api, said: bytes, *words: bytes) -> bool:
    """Whether a connection that said this much and no more is answered with these words, the first of them first."""
    with crowd(api, 1, said) as (one,):
        answer = answered(one)
    return answer.startswith(words[0]) and all(word in answer for word in words)


def is_told_in_time(api: Api, said: bytes, *words: bytes) -> bool:
    """As `is_told`, of a hasty API: again where it gave up a connection before a busy machine had said anything."""

    def told() -> bool:
        try:
            return is_told(api, said, *words)
        except ConnectionError:
            return False

    return eventually(told)


def half_a_body(key: str) -> bytes:
    return (
        f"POST /v1/mails HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nContent-Type: application/json\r\n"
        'Content-Length: 1000\r\n\r\n{"from":'
    ).encode()


@pytest.mark.parametrize("said", [b"", HALF_A_HEAD], ids=["silent", "half a head"])
def test_a_thousand_half_open_connections_do_not_stop_genuine_requests(
    database_url: str, said: bytes
) -> None:
    with Api(database_url, settings=PATIENT) as api, api.client() as shop, crowd(api, 1000, said):
        for _ in range(20):
            assert shop.post("/v1/mails", json=letter()).status_code == 202
        with api.http() as another:
            assert another.get("/readyz").status_code == 200


def test_a_thousand_half_sent_bodies_do_not_stop_genuine_requests(database_url: str) -> None:
    with (
        Api(database_url, settings=PATIENT) as api,
        api.client() as shop,
        crowd(api, 1000, half_a_body(shop.headers["authorization"])),
    ):
        for _ in range(20):
            assert shop.post("/v1/mails", json=letter()).status_code == 202


def test_beyond_the_bound_the_connection_that_waits_longest_makes_room(database_url: str) -> None:
    settings = PATIENT | {"ATUM_API_CONNECTIONS": "50"}
    with Api(database_url, settings=settings) as api, api.client() as shop:
        with crowd(api, 120, HALF_A_HEAD) as sockets:
            assert shop.post("/v1/mails", json=letter()).status_code == 202
            assert answered(sockets[0]) == b""
            with api.http() as another:
                assert another.get("/healthz").status_code == 200
        assert shop.get("/healthz").status_code == 200


def test_when_all_connections_are_at_work_another_is_told_to_come_back(database_url: str) -> None:
    settings = PATIENT | {"ATUM_API_CONNECTIONS": "10"}
    with Api(database_url, settings=settings) as api, api.client() as shop:
        assert shop.get("/v1/mails").status_code == 200
        with crowd(api, 12, half_a_body(shop.headers["authorization"])), api.http() as another:
            assert eventually(lambda: another.get("/healthz").status_code == 503)


def test_a_head_that_takes_too_long_is_given_up(database_url: str) -> None:
    with Api(database_url, settings=HASTY) as api:
        assert is_told_in_time(api, HALF_A_HEAD, b"HTTP/1.1 408 ")


def test_a_head_that_drips_is_given_up(database_url: str) -> None:
    with Api(database_url, settings=HASTY) as api:
        begun = time.monotonic()
        with socket.create_connection(("127.0.0.1", api.port), timeout=30) as slow:
            drops = chain([HALF_A_HEAD], repeat(b"x"))

            def refused() -> bool:
                try:
                    slow.sendall(next(drops))
                except OSError:
                    return True
                return False

            assert eventually(refused)
        assert time.monotonic() - begun >= 0.4


def test_an_idle_connection_is_closed(database_url: str) -> None:
    with Api(database_url, settings=HASTY) as api, crowd(api, 1, b"") as (idle,):
        assert answered(idle) == b""


def test_a_connection_that_idles_after_a_request_is_closed(database_url: str) -> None:
    with Api(database_url, settings=HASTY) as api:
        assert is_told_in_time(api, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 200 ")


def test_a_head_without_end_is_refused(database_url: str) -> None:
    with Api(database_url, settings=PATIENT) as api, crowd(api, 1, HALF_A_HEAD + b"x" * 70_000) as (large,):
        assert answered(large).startswith(b"HTTP/1.1 431 ")


def test_a_body_that_takes_too_long_is_given_up(database_url: str) -> None:
    with Api(database_url, settings=HASTY) as api, api.client() as shop:
        said = half_a_body(shop.headers["authorization"])
        assert is_told_in_time(api, said, b"HTTP/1.1 408 ", b"/docs#too-slow")


def test_requests_on_one_connection_are_answered_in_their_order(database_url: str) -> None:
    requests = b"".join(
        f"GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: {keep}\r\n\r\n".encode()
        for path, keep in (("healthz", "keep-alive"), ("nowhere", "keep-alive"), ("healthz", "close"))
    )
    with Api(database_url, settings=PATIENT) as api, crowd(api, 1, requests) as (raw,):
        answer = answered(raw)
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"404", b"200"]
