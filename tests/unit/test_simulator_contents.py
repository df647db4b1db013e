"""What the simulator keeps of messages, and how little memory that may take."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.contents import Contents
from atum_schema.errors import SettingsError

MEGABYTE = 1024 * 1024


def message(size: int = 8, **change: Any) -> dict[str, Any]:
    attachments = [{"Name": "a.txt", "Content": "A" * size, "ContentType": "text/plain"}]
    return {"From": "shop@example.com", "To": "jane@example.org", "Attachments": attachments, **change}


def test_a_message_is_kept_as_it_was_sent_without_what_postmark_does_not_know() -> None:
    contents = Contents(most=1, most_bytes=MEGABYTE)
    item = message(TextBody="Hello", Headers=[{"Name": "X-A", "Value": "1"}], Cc="", Bcc=None)
    contents.keep(orjson.dumps({**item, "Unknown": "x"}), ["a"])
    assert contents.get("a") == {key: value for key, value in item.items() if value}
    assert contents.get("b") is None


def test_the_messages_of_a_batch_are_told_apart_and_refused_ones_are_not_kept() -> None:
    contents = Contents(most=10, most_bytes=MEGABYTE)
    batch = [message(Subject=str(number)) for number in range(4)]
    contents.keep(orjson.dumps(batch), ["a", None, "c", None])
    assert [contents.get(one) for one in ("a", "c")] == [batch[0], batch[2]]


batches = st.lists(st.lists(st.integers(0, 4000), min_size=1, max_size=6), max_size=20)


@given(batches, st.integers(0, 9), st.integers(0, 20_000))
def test_neither_bound_is_ever_exceeded_and_the_oldest_go_first(
    sizes: list[list[int]], most: int, most_bytes: int
) -> None:
    contents = Contents(most=most, most_bytes=most_bytes)
    ids: list[str] = []
    for batch in sizes:
        text = orjson.dumps([message(size) for size in batch])
        new = [str(len(ids) + number) for number in range(len(batch))]
        contents.keep(text, new)
        assert contents.bytes <= most_bytes
        if len(text) <= most_bytes:
            ids += new
            assert all(contents.get(one) is not None for one in new[-most:] if most)
    kept = [one for one in ids if contents.get(one) is not None]
    assert len(kept) <= most
    assert kept == ids[len(ids) - len(kept) :]
    contents.clear()
    assert (contents.bytes, [one for one in ids if contents.get(one) is not None]) == (0, [])


def test_a_request_larger_than_the_bound_leaves_what_is_kept_alone() -> None:
    contents = Contents(most=10, most_bytes=1000)
    contents.keep(orjson.dumps(message()), ["a"])
    contents.keep(orjson.dumps(message(2000)), ["b"])
    assert (contents.get("a"), contents.get("b")) == (message(), None)


@pytest.mark.parametrize("setting", ["keep_content", "keep_bytes"])
def test_a_negative_bound_is_refused(setting: str) -> None:
    with pytest.raises(SettingsError, match=f"{setting} is -1, it must not be negative"):
        SimulatorConfig.from_document({setting: -1})
