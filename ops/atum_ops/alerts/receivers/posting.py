"""A POST of JSON as receivers make it: no redirects, no proxy of the environment, and only the status is read."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import httpx
import orjson

from atum_ops.alerts.cutting import cut_after
from atum_ops.alerts.receivers.receiver import TIMEOUT, TIMEOUT_S, NotTaken, words

if TYPE_CHECKING:
    from collections.abc import Mapping


def post(
    url: str,
    body: Mapping[str, Any],
    *,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> None:
    """POST; any answer but 2xx is no success. Raises `NotTaken`, whose words never hold the URL.

    It takes `timeout_s` altogether from when it is connected, whoever drips.
    """
    content = orjson.dumps(body)
    sent = {"Content-Type": "application/json", "User-Agent": "atum-mailer", **(headers or {})}
    began = time.monotonic()
    with ExitStack() as limited:

        def note(step: str, about: Mapping[str, Any]) -> None:
            if step == "connection.connect_tcp.complete":
                wire = about["return_value"].get_extra_info("socket")
                limited.enter_context(cut_after(wire, timeout_s))

        try:
            with (
                httpx.Client(timeout=timeout_s, follow_redirects=False, trust_env=False) as client,
                client.stream(
                    "POST", url, content=content, headers=sent, extensions={"trace": note}
                ) as answer,
            ):
                status = answer.status_code
        except httpx.TimeoutException:
            raise NotTaken(TIMEOUT) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise NotTaken(TIMEOUT if time.monotonic() - began >= timeout_s else words(error)) from None
    if not 200 <= status < 300:  # noqa: PLR2004  what HTTP calls success
        raise NotTaken(f"HTTP {status}")
