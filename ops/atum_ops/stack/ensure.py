"""`python -m atum_ops.stack.ensure`: install what the tests need where it is missing and it may.

That is PostgreSQL, RabbitMQ, Node.js for the Node.js clients, and Prometheus with Alertmanager for metrics and alerts.
"""

from __future__ import annotations

import shutil
import sys

from atum_ops.stack.find import find_postgres, find_rabbit, usual_places
from atum_ops.stack.packages import (
    NODE_PACKAGES,
    POSTGRES_PACKAGE,
    PROMETHEUS_PACKAGES,
    RABBIT_PACKAGE,
    install,
)
from atum_schema.errors import StackError


def main() -> int:
    """Give exit status 0 when all are there now, else 1 with what to do on stderr."""
    places = usual_places()
    missing = [] if find_postgres(places) is not None else [POSTGRES_PACKAGE]
    missing += [] if find_rabbit(places) is not None else [RABBIT_PACKAGE]
    programs = {**NODE_PACKAGES, **PROMETHEUS_PACKAGES}
    # Each package once, however many of its programs are missing.
    missing += dict.fromkeys(
        package for program, package in programs.items() if not shutil.which(program, path=places.path)
    )
    if not missing:
        return 0
    try:
        install(missing, places)
    except StackError as error:
        print(f"atum-mailer: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
