"""Whoever dies or freezes, wherever: every mail ends once, with an explanation. Also written down in the docs."""

from __future__ import annotations

import os
import queue
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import pytest

from atum_schema.steps import Step
from tests.matrix import table
from tests.matrix.cells import CELLS, Cell, Effect
from tests.matrix.runner import Result, World, run, world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.nodes import Databases, VirtualHosts

#: Cells mostly wait, so several run at once, each in a world of its own.
WORLDS = int(os.environ.get("ATUM_MATRIX_WORLDS", "4"))
Outcomes: TypeAlias = "dict[Cell, Future[Result]]"


class Worlds:
    """Systems to run cells in, one at a time each; one in which a cell failed is not used again."""

    def __init__(self, make: Callable[[], World], number: int) -> None:
        self._make = make
        self._free: queue.SimpleQueue[World | None] = queue.SimpleQueue()
        for _ in range(number):
            self._free.put(None)

    def run(self, cell: Cell) -> Result:
        """Run a cell in a free world."""
        world = self._free.get()
        good = None
        try:
            world = world or self._make()
            result = run(world, cell)
            good = world
            return result
        finally:
            self._free.put(good)


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, databases: Databases, virtual_hosts: VirtualHosts
) -> Iterator[Outcomes]:
    """Run what the selected tests ask for: their own cells, or all."""
    items = [item for item in request.session.items if item.path == request.path]
    asked = [item.callspec.params["cell"] for item in items if hasattr(item, "callspec")]
    cells = CELLS if len(asked) < len(items) and _wants_all(items) else asked
    making = threading.Lock()
    with ExitStack() as undo:

        def make(*, smtp: bool) -> World:
            with making:
                database_url = undo.enter_context(databases.fresh())
                amqp_url = virtual_hosts.fresh()
                return undo.enter_context(world(smtp=smtp, database_url=database_url, amqp_url=amqp_url))

        worlds = {smtp: Worlds(partial(make, smtp=smtp), WORLDS) for smtp in (False, True)}
        with ThreadPoolExecutor(WORLDS) as executor:
            yield {cell: executor.submit(worlds[cell.smtp].run, cell) for cell in cells}


def _wants_all(items: list[pytest.Item]) -> bool:
    return any("table" in item.name for item in items)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_every_mail_ends_once_whoever_dies_or_freezes_wherever(outcomes: Outcomes, cell: Cell) -> None:
    result = outcomes[cell].result()
    assert result.status == cell.status
    assert result.copies in ({0, 1} if cell.copies is None else {cell.copies})


def test_every_step_that_the_parts_name_is_in_the_matrix() -> None:
    assert {cell.step for cell in CELLS if cell.effect is Effect.KILLED} == set(Step)


def test_the_table_in_the_docs_is_what_happens(outcomes: Outcomes) -> None:
    text = table.section({cell: outcome.result() for cell, outcome in outcomes.items()})
    if os.environ.get("ATUM_WRITE_MATRIX"):
        table.write(text)
    assert table.without_seconds(table.read()) == table.without_seconds(text)
