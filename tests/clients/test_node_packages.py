"""The Node.js packages are pinned, and their lock file says nothing of where they come from."""

from __future__ import annotations

import json
import re

from tests.clients.nodejs import FOLDER


def test_every_dependency_is_pinned_and_locked_with_a_checksum_and_no_address() -> None:
    wanted = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    text = (FOLDER / "package-lock.json").read_text()
    packages = json.loads(text)["packages"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    assert {name: packages[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert all("integrity" in package for path, package in packages.items() if path)
    assert "://" not in text
