"""What producers write down is read back as what was acknowledged, and nothing more."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from atum_ops.chaos import orders
from atum_ops.chaos.orders import Book
from atum_ops.chaos.producer import mail

if TYPE_CHECKING:
    from pathlib import Path


def test_what_was_acknowledged_is_read_back_with_its_order(tmp_path: Path) -> None:
    ids = [uuid4(), uuid4()]
    with Book(tmp_path / "book") as book:
        book.acknowledge(ids, ["a", "b"])
    assert orders.read([tmp_path / "book"]).acknowledged == dict(zip(ids, "ab", strict=True))


def test_an_order_that_was_intended_and_not_acknowledged_is_to_be_repeated(tmp_path: Path) -> None:
    with Book(tmp_path / "book") as book:
        book.intend(["a", "b"])
        book.acknowledge([uuid4()], ["a"])
    assert list(orders.read([tmp_path / "book"]).open) == ["b"]


def test_a_line_that_was_cut_off_acknowledges_nothing(tmp_path: Path) -> None:
    path = tmp_path / "book"
    path.write_text(f"acknowledged a {uuid4()}\nacknowledged b {uuid4()}")
    assert list(orders.read([path]).acknowledged.values()) == ["a"]


def test_a_book_is_continued_by_a_successor(tmp_path: Path) -> None:
    for order in "ab":
        with Book(tmp_path / "book") as book:
            book.acknowledge([uuid4()], [order])
    assert sorted(orders.read([tmp_path / "book"]).acknowledged.values()) == ["a", "b"]


def test_an_order_with_two_mail_ids_is_noticed(tmp_path: Path) -> None:
    with Book(tmp_path / "book") as book:
        book.acknowledge([uuid4()], ["a"])
        book.acknowledge([uuid4()], ["a"])
    assert orders.read([tmp_path / "book"]).split == ["a"]


def test_refusals_and_doubts_are_counted(tmp_path: Path) -> None:
    with Book(tmp_path / "book") as book:
        book.fail(3)
        book.doubt(2)
        book.doubt(1)
    notes = orders.read([tmp_path / "book", tmp_path / "missing"])
    assert (notes.failed, notes.uncertain) == (3, 3)


def test_a_line_of_another_kind_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "book").write_text("what is this\n")
    with pytest.raises(ValueError, match="not a note"):
        orders.read([tmp_path / "book"])


def test_the_same_order_always_makes_the_same_mail() -> None:
    assert mail("shop-1", keyed=True) == mail("shop-1", keyed=True)
    assert mail("shop-1", keyed=True).idempotency_key == "shop-1"
    assert mail("shop-1", keyed=False).idempotency_key is None
