"""`python -m atum_ops.stack.ensure`: install PostgreSQL and RabbitMQ where they are missing and it may."""

from __future__ import annotations

import sys

from atum_ops.stack.find import find_postgres, find_rabbit, usual_places
from atum_ops.stack.packages import POSTGRES_PACKAGE, RABBIT_PACKAGE, install
from atum_schema.errors import StackError


def main() -> int:
    """Give exit status 0 when both are there now, else 1 with what to do on stderr."""
    places = usual_places()
    missing = [] if find_postgres(places) is not None else [POSTGRES_PACKAGE]
    missing += [] if find_rabbit(places) is not None else [RABBIT_PACKAGE]
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
