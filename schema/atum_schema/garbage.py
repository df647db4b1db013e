"""When Python looks for garbage in a process of ours."""

from __future__ import annotations

import gc
from typing import Final

# Work leaves no cycles, so looking for them is work for nothing: new objects before the youngest are looked at.
_LOOK_AFTER: Final = 20_000


def look_for_garbage_seldom() -> None:
    """Leave what was loaded out of every later search for garbage: it stays for as long as the process lives."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_LOOK_AFTER, *gc.get_threshold()[1:])
