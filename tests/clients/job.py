"""What every Python client program does: read one job from stdin, carry it out, print the answer or the error as JSON."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from tests.clients.letter import Letter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TOKEN_VARIABLE = "POSTMARK_SERVER_TOKEN"


def run(jobs: Mapping[str, Callable[..., Any]], *, told: Callable[[Exception], Mapping[str, Any]]) -> None:
    """Carry out the job on stdin: `jobs[name](url, token, **rest)`; `told` gives an error's `code` and `status`.

    Only what a client raises is told; a job that it does not have ends the program.
    """
    given = json.load(sys.stdin)
    job, url = jobs[given.pop("job")], given.pop("url")
    if "letters" in given:
        given["letters"] = [Letter.from_document(one) for one in given["letters"]]
    try:
        answer = {"answer": job(url, os.environ[TOKEN_VARIABLE], **given)}
    except Exception as error:  # noqa: BLE001 - whatever a client raises is what the test wants to see
        answer = {"error": {"kind": type(error).__name__, "message": str(error), **told(error)}}
    json.dump(answer, sys.stdout)


def result(document: Mapping[str, Any]) -> dict[str, Any]:
    """Give one answer of the provider in the words of `drivers.Result`."""
    return {
        "accepted": "MessageID" in document,
        "message_id": document.get("MessageID"),
        "code": document.get("ErrorCode"),
        "message": document["Message"],
    }
