"""What every client of the simulator says in tests."""

from __future__ import annotations

from typing import Final

HEADERS: Final = {"X-Postmark-Server-Token": "simulator-token", "Accept": "application/json"}
