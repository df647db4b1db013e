"""The settings about logs, on real processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from tests.api import Api, letter

if TYPE_CHECKING:
    import httpx
    import pytest


def accepted(api: Api, shop: httpx.Client) -> list[dict[str, object]]:
    """Hand over two mails in one request; give what is said of it."""
    answer = shop.post("/v1/mails", json=[letter(), letter()], headers={"X-Request-Id": "order-1"})
    assert (answer.status_code, answer.headers["x-correlation-id"]) == (202, "order-1")
    lines = [orjson.loads(line) for line in api.output().splitlines()]
    ids = [one["id"] for one in answer.json()]
    return [line for line in lines if line.get("mails") == ids]


def test_a_request_is_one_line_with_its_mails_and_its_own_id(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However quiet our own environment is, the child says that it serves.
    monkeypatch.setenv("ATUM_LOG_LEVEL", "error")
    with Api(database_url) as api, api.client("shop") as shop:
        (line,) = accepted(api, shop)
    assert (line["event"], line["level"], line["service"]) == ("mails accepted", "info", "api")
    assert (line["client"], line["count"], line["correlation_id"]) == ("shop", 2, "order-1")


def test_people_can_have_text(database_url: str) -> None:
    api = Api(database_url, settings={"ATUM_LOG_FORMAT": "text"})
    api.says = "serving"  # type: ignore[misc]
    with api:
        assert "url=http://127.0.0.1" in api.output()
        assert '{"ts"' not in api.output()
