"""What our processes would have written into their logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atum_schema import logs

if TYPE_CHECKING:
    import pytest


def said(caplog: pytest.LogCaptureFixture) -> str:
    """Give the caught records as lines of JSON."""
    formatter = logs.formatter(service="tests")
    return "\n".join(map(formatter.format, caplog.records))
