"""A worker that dies as soon as it renders a certain mail, as one would whose content breaks a library.

`python -m tests.poisoned_worker MAIL_ID`
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any
from uuid import UUID

from atum_ops import leash
from atum_schema import logs, settings
from atum_workers import main, render

if TYPE_CHECKING:
    from atum_schema.document_content import Content


def _poison(poison: UUID) -> None:
    healthy = render.item

    def item(content: Content, mail_id: UUID, batch_id: str) -> dict[str, Any]:
        if mail_id == poison:
            os.kill(os.getpid(), signal.SIGKILL)
        return healthy(content, mail_id, batch_id)

    render.item = item


if __name__ == "__main__":
    logs.configure(service="worker")
    leash.hold()
    _poison(UUID(sys.argv[1]))
    main.run(settings.load())
