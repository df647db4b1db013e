"""The inbox over real HTTP."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from atum_ops.simulator.process import SimulatorProcess

FILE = bytes(range(256)) * 100
MAIL = {
    "From": "Shop <shop@example.com>",
    "To": "Jane Doe <jane@example.org>",
    "Subject": "Your order",
    "TextBody": "Hello Jane",
    "HtmlBody": "<p>Hello <b>Jane</b></p>",
    "Attachments": [
        {"Name": "bill.pdf", "Content": base64.b64encode(FILE).decode(), "ContentType": "application/pdf"}
    ],
}


def test_people_see_without_a_token_what_was_accepted(
    simulator: SimulatorProcess, client: httpx.Client
) -> None:
    client.post("/email", json=MAIL)
    client.post("/email", json={**MAIL, "To": "nonsense"})
    with httpx.Client(base_url=simulator.url, timeout=30) as browser:
        listed = browser.get("/")
        assert (listed.status_code, listed.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert listed.text.count('href="/inbox/') == 2  # one mail and the style sheet
        assert "1 accepted" in listed.text
        mail = browser.get("/inbox/1")
        assert "Jane Doe &lt;jane@example.org&gt;" in mail.text
        assert browser.get("/inbox/1/html").text == "<p>Hello <b>Jane</b></p>"
        assert browser.get("/inbox/1/attachments/1").content == FILE
        assert browser.get("/inbox/1/json").json()["message"] == MAIL
        assert browser.get("/inbox/style.css").headers["Content-Type"] == "text/css; charset=utf-8"
        assert browser.get("/inbox/2").status_code == 404
        assert browser.post("/").status_code == 404


def test_looking_counts_as_no_request_of_the_provider(
    simulator: SimulatorProcess, client: httpx.Client
) -> None:
    client.post("/email", json=MAIL)
    for path in ("/", "/inbox", "/inbox/1"):
        client.get(path)
    summary = simulator.summary()
    assert (summary.requests, summary.searches) == (1, 0)


def test_a_mail_is_in_the_inbox_before_a_search_may_find_it(
    simulator: SimulatorProcess, client: httpx.Client
) -> None:
    simulator.tune(index_lag_s=3600)
    client.post("/email", json=MAIL)
    assert client.get("/messages/outbound", params={"count": 1}).json()["TotalCount"] == 0
    assert "Your order" in client.get("/", params={"q": "jane"}).text
