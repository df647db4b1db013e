"""The list of what the schema has is current, and tells a database that was altered by hand.

Weakness I2: "ok" compared a version string that was stored.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, LiteralString

import pytest

from atum_schema import fingerprint

if TYPE_CHECKING:
    from tests.command_line import Place

FILE = Path(fingerprint.__file__).with_name(fingerprint.FILE)


def test_the_list_is_what_the_migrations_make(place: Place) -> None:
    """After a change of the migrations, make it anew with: make fingerprint."""
    found = fingerprint.things(place.connection)
    if os.environ.get("ATUM_FINGERPRINT") == "write":
        FILE.write_text("\n".join(found) + "\n", "utf-8")
    assert fingerprint.expected() == found


@pytest.mark.parametrize(
    ("statement", "missing", "strange"),
    [
        ("ALTER TABLE atum.mail DROP COLUMN tag CASCADE", ["column mail.tag text"], []),
        ("ALTER TABLE atum.mail ADD COLUMN mine text", [], ["column mail.mine text"]),
        ("DROP INDEX atum.batch_lane", ["index batch.batch_lane"], []),
        (
            "ALTER TABLE atum.batch DROP CONSTRAINT batch_not_empty",
            ["constraint batch.batch_not_empty CHECK"],
            [],
        ),
        (
            "ALTER TABLE atum.flow ALTER COLUMN rate TYPE numeric",
            ["column flow.rate double precision"],
            ["column flow.rate numeric"],
        ),
        ("CREATE TABLE atum.mine (a int)", [], []),
        ("CREATE INDEX mine ON atum.mail (tag)", [], []),
    ],
)
def test_what_somebody_altered_by_hand_is_named(
    place: Place, statement: LiteralString, missing: list[str], strange: list[str]
) -> None:
    """Weakness I2."""
    place.sql(statement)
    found = fingerprint.difference(fingerprint.things(place.connection), fingerprint.expected())
    assert found == (missing, strange)


def test_partitions_of_other_months_make_no_difference(place: Place) -> None:
    place.sql("SELECT atum.ensure_partitions(9)")
    found = fingerprint.difference(fingerprint.things(place.connection), fingerprint.expected())
    assert found == ([], [])
