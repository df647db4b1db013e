"""docs/postmark-api.md says what the code does: codes, statuses, limits, and clients that are tested."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path

import pytest

from atum_producers.api.bodies import LARGEST
from atum_producers.api.drafts import MOST_MAILS
from atum_producers.api.postmark import endpoints, search_store
from atum_producers.api.postmark.dialect import ENVELOPES
from atum_producers.api.postmark.fields import TYPES
from atum_producers.api.postmark.query import MOST, REACHABLE
from atum_producers.api.postmark.views import STATUSES
from atum_producers.story_store import SCANNED
from atum_schema.limits import METADATA_FIELDS
from tests.clients.drivers import CLIENTS
from tests.clients.nodejs import FOLDER

PAGE = (Path(__file__).parents[2] / "docs" / "postmark-api.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """Give the first table after a heading, without its head."""
    table = PAGE.split(heading, 1)[1].split("\n|---", 1)[1].split("\n\n", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[1:]]


def test_the_page_lists_every_path() -> None:
    listed = " ".join(row[0] for row in rows("## What there is")).lower()
    # Nothing of the service is used before a request comes.
    paths = endpoints(None)  # type: ignore[arg-type]
    assert set(re.findall(r"/[a-z/{}]+", listed)) == set(paths)


def test_the_page_lists_every_code() -> None:
    listed = {
        (int(status), int(code))
        for statuses, codes, *_ in rows("## Errors")
        for status in statuses.split(", ")
        for code in codes.split(", ")
    }
    assert set(ENVELOPES.values()) <= listed
    own = {(422, code) for code in (300, 400, 402, 403, 410, 411, 700, 701, 1101, 1235)}
    assert listed == set(ENVELOPES.values()) | own


def test_the_page_lists_every_status() -> None:
    told = {row[0].strip("`"): row[1].partition(".")[0] for row in rows("until 10,000 match")}
    assert set(told) == set(STATUSES.values())
    for status, word in STATUSES.items():
        assert [name for name, words in told.items() if re.search(rf"\b{status.value}\b", words)] == [word]


def test_the_page_names_every_field() -> None:
    sentence = PAGE.split("## Fields", 1)[1].split("mean what they mean", 1)[0]
    assert set(re.findall(r"`(\w+)`", sentence)) == {*TYPES, "outbound"}


def test_the_page_has_the_limits() -> None:
    assert (MOST_MAILS, LARGEST, MOST, REACHABLE, METADATA_FIELDS) == (500, 50_000_000, 500, 10_000, 8)
    assert search_store.PAGES * SCANNED == 100_000
    for words in ("up to 500 messages and 50 MB", "(1 to 500)", "at most 10,000", "newest 100,000", "| 8,"):
        assert words in PAGE


@pytest.mark.parametrize("name", CLIENTS)
def test_the_page_names_the_version_of_each_client_that_is_tested(name: str) -> None:
    listed = {row[0].removeprefix("django-"): row[2] for row in rows("# The Postmark-compatible API")}
    assert set(listed) == set(CLIENTS)
    if name == "postmark.js":
        installed = json.loads((FOLDER / "package.json").read_text())["dependencies"]["postmark"]
    else:
        installed = version({"anymail": "django-anymail"}.get(name, name))
    assert f"{installed}.".startswith(f"{listed[name]}.")
