"""Where a request comes from, and whether events may come from there."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_producers.webhooks import limits
from atum_producers.webhooks.limits import Failures
from atum_producers.webhooks.sources import Sources, known, neighbourhood, read
from atum_schema import settings
from atum_schema.encryption import new_key
from atum_schema.errors import SettingsError

TRUSTED = "10.0.0.0/8, ::ffff:192.168.0.0/112, fd00::/8"
PROXIES = ("10.1.2.3", "192.168.7.7", "fd00::7", "::ffff:10.9.9.9")
ANYTHING = st.one_of(
    st.text(st.characters(max_codepoint=255), max_size=30),
    st.sampled_from([*PROXIES, "3.134.147.250", "", ",", "unknown", "127.0.0.1"]),
)


def sources(**given: Any) -> Sources:
    return known(
        settings.load(
            database_url="postgresql://x",
            content_keys=new_key("test"),
            **{f"webhook_{k}": v for k, v in given.items()},
        )
    )


@given(
    st.lists(ANYTHING, max_size=5),
    st.ip_addresses().filter(lambda found: not sources(allow=TRUSTED).allows(read(str(found)))),
    st.lists(st.sampled_from(PROXIES), max_size=4),
    st.sampled_from(PROXIES),
)
def test_d9_what_a_client_says_of_itself_never_changes_where_it_comes_from(
    said: list[str], client: Any, hops: list[str], peer: str
) -> None:
    """Each proxy appends whom it spoke to; all in front of that is the client's own word, in however many lines."""
    appended = ", ".join([str(client), *hops])
    found = sources(proxies=TRUSTED)
    expected = read(str(client))
    assert found.client(peer, [appended]) == expected
    assert found.client(peer, [*said, appended]) == expected
    assert found.client(peer, [",".join([*said, appended])]) == expected


@given(st.lists(ANYTHING, max_size=5))
def test_d9_nobody_is_believed_who_is_no_proxy_of_ours(said: list[str]) -> None:
    assert sources(proxies=TRUSTED).client("203.0.113.9", said) == IPv4Address("203.0.113.9")
    assert sources().client("10.1.2.3", said) == IPv4Address("10.1.2.3")
    assert sources(proxies=TRUSTED).client(None, said) is None


@pytest.mark.parametrize("said", ["", "unknown", "1.2.3.4, nonsense", "1.2.3.4, ", "10.1.1.1", "1.2.3.4:80"])
def test_what_a_proxy_does_not_say_well_leaves_the_proxy(said: str) -> None:
    assert sources(proxies=TRUSTED).client("10.1.2.3", [said]) == IPv4Address("10.1.2.3")


def test_d10_an_address_of_ipv4_is_one_however_it_is_written() -> None:
    found = sources(allow="3.134.147.250, ::ffff:50.31.156.0/124")
    for address in ("3.134.147.250", "::ffff:3.134.147.250", "::ffff:50.31.156.6", "50.31.156.6"):
        assert found.allows(read(address)), address
    for address in ("3.134.147.251", "::ffff:3.134.147.251", "50.31.156.77", "::1"):
        assert not found.allows(read(address)), address


def test_families_do_not_cross_and_the_unknown_is_outside() -> None:
    assert not sources(allow="0.0.0.0/0").allows(read("2001:db8::1"))
    assert not sources(allow="0.0.0.0/0, ::/0").allows(None)
    assert sources().allows(None)


@pytest.mark.parametrize("variable", ["allow", "proxies"])
@pytest.mark.parametrize("entry", ["nonsense", "10.0.0.1/8", "1.2.3", "1.2.3.4/33", "*", "01.2.3.4"])
def test_d8_an_entry_that_is_none_is_an_error_at_the_start(variable: str, entry: str) -> None:
    with pytest.raises(SettingsError, match=f"ATUM_WEBHOOK_{variable.upper()}: '") as caught:
        sources(**{variable: f"1.2.3.4, {entry}"})
    assert entry in str(caught.value)


@pytest.mark.parametrize("variable", ["allow", "proxies"])
@pytest.mark.parametrize("text", ["", " ", ",", " , "])
def test_d8_a_list_of_nothing_is_an_error_and_no_open_door(variable: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"ATUM_WEBHOOK_{variable.upper()} is set and lists nothing"):
        sources(**{variable: text})


def test_a_neighbourhood_is_what_one_customer_has() -> None:
    assert neighbourhood(read("::ffff:1.2.3.4")) == "1.2.3.4"
    assert neighbourhood(ip_address("2001:db8:1:2:3:4:5:6")) == neighbourhood(ip_address("2001:db8:1:2::9"))
    assert neighbourhood(ip_address("2001:db8:1:3::9")) != neighbourhood(ip_address("2001:db8:1:2::9"))


def test_d6_who_fails_too_often_waits_and_others_do_not() -> None:
    failures = Failures(now=0)
    waits = [failures.wait_s("1.2.3.4", now=0) for _ in range(20)]
    assert waits[0] == 0
    assert waits[-1] > 0
    assert failures.wait_s("1.2.3.5", now=0) == 0
    assert failures.wait_s("1.2.3.4", now=1) == 0


def test_d6_all_failures_together_have_a_limit_too() -> None:
    failures = Failures(now=0)
    waits = [failures.wait_s(f"10.0.{n // 256}.{n % 256}", now=0) for n in range(int(limits.TOTAL_RATE) + 10)]
    assert waits[0] == 0
    assert waits[-1] > 0


def test_d6_however_many_fail_the_memory_is_bounded() -> None:
    failures = Failures(now=0)
    for number in range(limits.SOURCES + 500):
        failures.wait_s(str(number), now=number)
    assert len(failures._sources) == limits.SOURCES
