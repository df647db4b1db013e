"""The commands with curl that our pages show, sent as curl would: curl itself is not everywhere."""

from __future__ import annotations

import shlex
from string import Template
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping


def run(command: str, environment: Mapping[str, str]) -> httpx.Response:
    """Send one request; only `-X`, `-H`, `-d` and variables are understood."""
    name, *words = [
        Template(word).substitute(environment) for word in shlex.split(command.replace("\\\n", ""))
    ]
    assert name == "curl", command
    method, url, headers, body = "", "", {}, None
    while words:
        word = words.pop(0)
        if word == "-X":
            method = words.pop(0)
        elif word == "-H":
            header, _, value = words.pop(0).partition(": ")
            headers[header] = value
        elif word == "-d":
            method, body = method or "POST", words.pop(0)
        else:
            assert not word.startswith("-"), command
            url = word
    return httpx.request(method or "GET", url, headers=headers, content=body, timeout=30)
