"""`audit`: who did what, for everybody who asks."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from atum_schema import audit as audit_log

if TYPE_CHECKING:
    from tests.command_line import Place


def record(place: Place) -> None:
    with place.connection.transaction():
        audit_log.record(place.connection, "operator:jane", "mail.canceled", {"mail": "1", "note": "=1+1"})
        audit_log.record(place.connection, "operator:joe", "mail.held", {"mail": "2"})
        audit_log.record(place.connection, "client:shop", "suppression.added", {"address": "a@example.org"})
        audit_log.record(place.connection, "operator:jane", "mailing.planned", {})


def actions(place: Place, *arguments: str) -> list[Any]:
    answer = place.run("audit", "--format=json", *arguments)
    assert answer.status == 0
    return [entry["action"] for entry in answer.json]


def test_everything_that_was_done_is_listed_newest_first(place: Place) -> None:
    """F3."""
    record(place)
    assert actions(place) == ["mailing.planned", "suppression.added", "mail.held", "mail.canceled"]
    table = place.run("audit").out
    assert "operator:joe" in table
    assert "mail: 2" in table


def test_it_is_filtered_by_who_what_and_when(place: Place) -> None:
    record(place)
    place.sql("UPDATE atum.audit SET at = now() - interval '3 hours' WHERE action = 'mail.held'")
    assert actions(place, "--actor", "operator:jane") == ["mailing.planned", "mail.canceled"]
    assert actions(place, "--actor", "shop") == ["suppression.added"]
    assert actions(place, "--actor", "operator") == ["mailing.planned", "mail.held", "mail.canceled"]
    assert actions(place, "--action", "mail") == ["mail.held", "mail.canceled"]
    assert actions(place, "--action", "mail.canceled") == ["mail.canceled"]
    assert actions(place, "--until", "2h") == ["mail.held"]
    assert "mail.held" not in actions(place, "--since", "2h")
    assert actions(place, "--limit", "1") == ["mailing.planned"]
    assert "--limit" in place.run("audit", "--limit", "1").err


def test_pages_are_put_together(place: Place) -> None:
    place.sql(
        "INSERT INTO atum.audit (actor, action) SELECT 'operator:jane', 'n.' || n FROM generate_series(1, 2500) n"
    )
    assert actions(place, "--limit", "2300") == [f"n.{n}" for n in range(2500, 200, -1)]


def test_as_csv_its_cells_are_no_formulas(place: Place) -> None:
    """C18."""
    record(place)
    place.sql("UPDATE atum.audit SET actor = '=1+1' WHERE action = 'mail.held'")
    rows = list(csv.reader(io.StringIO(place.run("audit", "--format=csv").out)))
    assert rows[0] == ["at", "actor", "action", "detail"]
    assert rows[3][1] == "'=1+1"
    assert len(rows) == 5
