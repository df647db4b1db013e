"""A process that encrypts anew in small steps and kills itself after a number of them: ``-m tests.killed_rotation STEPS``."""

from __future__ import annotations

import os
import signal
import sys

from atum_ops import key_rotation
from atum_schema import database, settings
from atum_schema.maintenance import begin
from atum_workers.maintain import Lease
from atum_workers.reencrypt import Reencryption


def main(steps: int) -> None:
    """Take the task, and die in the middle of it, the lease still held."""
    loaded = settings.load()
    left = steps

    def sleep(seconds: float) -> None:
        nonlocal left
        del seconds
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    with database.pool(loaded.database_url.get_secret_value(), name="tests", size=2) as pool:
        with pool.connection() as connection:
            ((task,),) = connection.execute(key_rotation.TASK).fetchall()
            begun = begin(connection, task)
        assert begun is not None
        lease = Lease(pool=pool, token=begun.token, progress=begun.progress, stopping=lambda: False)
        Reencryption(pool=pool, keyring=loaded.keyring(), page=2, sleep=sleep).run(lease)


if __name__ == "__main__":
    main(int(sys.argv[1]))
