"""The environment that an experiment starts in: settings of other systems must not reach its parts."""

from __future__ import annotations

import os

from atum_schema.settings_files import PREFIX


def leave_out() -> list[str]:
    """Take every setting of ours out of this process' environment; give a line for people that names them, if any.

    Only names are told. A server, a token or a time that was set for something else is of no concern here.
    """
    names = sorted(name for name in os.environ if name.startswith(PREFIX))
    for name in names:
        del os.environ[name]
    return [f"ignored, as only private servers are used: {', '.join(names)}"] if names else []
