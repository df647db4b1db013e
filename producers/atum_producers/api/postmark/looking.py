"""`GET /messages/outbound`, its details, and `GET /server`: a client's own mails, from the log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from uuid import UUID

from atum_producers import story_store
from atum_producers.api.clients_store import Scope
from atum_producers.api.postmark import search_store, texts, views
from atum_producers.api.postmark.dialect import TOKEN, json
from atum_producers.api.postmark.query import query_of
from atum_producers.api.postmark.texts import Refused
from atum_schema.document import decode_content
from atum_schema.errors import ContentUnreadable

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from atum_producers.api.postmark.search_store import ContentRow
    from atum_producers.api.service import Service
    from atum_schema.document import Content

log = logging.getLogger(__name__)


class Looking:
    """The endpoints that show."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def search(self, request: Request) -> Response:
        """Give a page of the client's mails, newest first."""
        client = await self._service.access.admit(request.headers.get(TOKEN), Scope.READ)
        query = query_of(request.query_params.multi_items())
        found = await self._service.read(search_store.searching(client.client, query))
        messages = [views.message(mail._asdict()) for mail in found.mails]
        return json({"TotalCount": found.total, "Messages": messages})

    async def details(self, request: Request) -> Response:
        """Show a mail. Nobody learns whether an id that is not the client's own is somebody else's."""
        client = await self._service.access.admit(request.headers.get(TOKEN), Scope.READ)
        mail_id = _id(request)
        view = await self._service.read(story_store.telling(mail_id, client=client.client))
        if view is None:
            raise _no_message()
        row = await self._service.read(search_store.reading_content(mail_id))
        content = None if row is None else await self._decrypt(mail_id, row)
        return json(views.details(view.mail, view.events, content))

    async def server(self, request: Request) -> Response:
        """Say that the token is good, and whose it is."""
        client = await self._service.access.admit(request.headers.get(TOKEN), Scope.READ)
        return json(views.server(client.client))

    async def _decrypt(self, mail_id: UUID, row: ContentRow) -> Content | None:
        try:
            return await self._service.aside(
                len(row.body),
                lambda: decode_content(self._service.keyring.decrypt(mail_id, row.key_id, row.body)),
            )
        except ContentUnreadable as error:
            # The mail's story can be told without it; the message names the mail and the key id only.
            log.warning("api: content cannot be read", extra={"mail": mail_id, "detail": str(error)})
            return None


def _id(request: Request) -> UUID:
    try:
        return UUID(request.path_params["id"])
    except ValueError:
        raise _no_message() from None


def _no_message() -> Refused:
    return Refused(701, texts.NO_MESSAGE)
