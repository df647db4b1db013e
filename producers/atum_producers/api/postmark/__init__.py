"""The Postmark-compatible API: programs that use a Postmark client send through us without a change in their code.

The paths, and the endpoint of each method. Sources: Postmark developer docs; `docs/postmark-api.md` lists what differs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from atum_producers.api.postmark.looking import Looking
from atum_producers.api.postmark.sending import Sending

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from atum_producers.api.service import Service


def endpoints(service: Service) -> Mapping[str, Mapping[str, Callable[[Request], Awaitable[Response]]]]:
    """Give the endpoints by path and method; paths as `dialect.spelt` writes them."""
    sending, looking = Sending(service), Looking(service)
    return {
        "/email": {"POST": sending.single},
        "/email/batch": {"POST": sending.batch},
        "/email/withtemplate": {"POST": sending.template},
        "/email/batchwithtemplates": {"POST": sending.template},
        "/messages/outbound": {"GET": looking.search},
        "/messages/outbound/{id}/details": {"GET": looking.details},
        "/server": {"GET": looking.server},
    }
