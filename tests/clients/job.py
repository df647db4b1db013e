"""What every Python client program does: read jobs from stdin, carry them out, print each answer or error as a line of JSON."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from tests.clients.letter import Letter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def run(jobs: Mapping[str, Callable[..., Any]], *, told: Callable[[Exception], Mapping[str, Any]]) -> None:
    """Carry out the jobs on stdin, one to a line: `jobs[name](url, token, **rest)`; `told` gives an error's `code` and `status`.

    Each has a process of its own, forked from this one: what was imported is there already, and what a job changes is gone
    with it. Only what a client raises is told; a job that it does not have ends the program.
    """
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _answer(json.loads(line), jobs, told)
            # Without the way up through the loop, whose line the parent reads.
            os._exit(0)
        if status := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            raise SystemExit(f"a job ended with {status}")


def _answer(
    given: dict[str, Any],
    jobs: Mapping[str, Callable[..., Any]],
    told: Callable[[Exception], Mapping[str, Any]],
) -> None:
    job, url, token = jobs[given.pop("job")], given.pop("url"), given.pop("token")
    if "letters" in given:
        given["letters"] = [Letter.from_document(one) for one in given["letters"]]
    try:
        answer = {"answer": job(url, token, **given)}
    except Exception as error:  # noqa: BLE001 - whatever a client raises is what the test wants to see
        answer = {"error": {"kind": type(error).__name__, "message": str(error), **told(error)}}
    print(json.dumps(answer), flush=True)  # noqa: T201 - the answer


def result(document: Mapping[str, Any]) -> dict[str, Any]:
    """Give one answer of the provider in the words of `drivers.Result`."""
    return {
        "accepted": "MessageID" in document,
        "message_id": document.get("MessageID"),
        "code": document.get("ErrorCode"),
        "message": document["Message"],
    }
