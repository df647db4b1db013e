"""The Python that README.md and docs/producing.md show runs, and prints what they say it prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.command_line import Place, without_ours
from tests.system import System, letters

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]

# What the pages take for granted: the application's database, and Django set up as in any project.
PRELUDE = """
import os
from urllib.parse import unquote, urlsplit

import django.conf

DATABASE_URL = os.environ["ATUM_DATABASE_URL"]
_parts = urlsplit(DATABASE_URL)
django.conf.settings.configure(DATABASES={"default": {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": _parts.path.removeprefix("/"),
    "USER": _parts.username,
    "PASSWORD": unquote(_parts.password or ""),
    "HOST": _parts.hostname,
    "PORT": _parts.port,
}})
django.setup()
"""
CLOSING = """
from django.db import connections

connections.close_all()
mailer.close()
"""
# The page has an application and tests, and whoever reads it knows how to run those.
CALLING = """
import httpx

async def post():
    transport = httpx.ASGITransport(app=app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport) as client:
        answer = await client.post("http://shop.example.com/orders/4716")
        assert answer.status_code == 201
        assert (await app.state.mailer.wait(answer.json()["mail"], timeout=10)).status == "sent"

asyncio.run(post())
# Where the asynchronous view had its connection.
asyncio.run(sync_to_async(connections.close_all)())
"""
PYTEST = ("-m", "pytest", "-q", "-s", "-W", "error", "-p", "no:cacheprovider")
#: How each page is run, what comes behind its code, and what is printed besides.
PAGES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "README.md": ((), CLOSING, ""),
    "docs/producing.md": (PYTEST, CLOSING + CALLING, r"\.{5}.*5 passed in .*"),
}


@pytest.fixture
def system(database_url: str, amqp_url: str) -> Iterator[System]:
    with System(database_url=database_url, amqp_url=amqp_url) as system:
        with psycopg.connect(database_url) as connection:
            connection.execute("CREATE TABLE orders (id integer PRIMARY KEY, total numeric NOT NULL)")
        yield system


def blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)


def promised(code: str) -> list[str]:
    """Give what the comments behind `print(…)` say."""
    return re.findall(r"^ *print\(.*\)  # (.+)$", code, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_the_page_runs_in_order_and_prints_what_its_comments_say(
    page: str, system: System, tmp_path: Path
) -> None:
    how, behind, verdict = PAGES[page]
    code = "\n".join(blocks(page))
    expected = promised(code)
    assert expected
    assert len(expected) == code.count("print(")
    script = tmp_path / "page.py"
    script.write_text(f"{PRELUDE}\n{code}\n{behind}")
    ended = subprocess.run(
        [sys.executable, "-W", "error", *how, str(script)],
        env={**without_ours(os.environ), **system.environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
    lines = ended.stdout.splitlines()
    assert lines[: len(expected)] == expected
    assert re.fullmatch(verdict, "".join(lines[len(expected) :]))


def test_a_mail_that_opens_the_callers_transaction_is_gone_when_it_rolls_back(database_url: str) -> None:
    place = Place(database_url)
    try:
        with psycopg.connect(database_url) as connection:
            place.mailer.enqueue(letters(1)[0], connection=connection)
            connection.rollback()
        assert place.sql("SELECT count(*) FROM atum.mail") == [(0,)]
    finally:
        place.close()
