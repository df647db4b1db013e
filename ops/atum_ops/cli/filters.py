"""The filters of mails as options: the same ones wherever mails are listed, exported or ordered about."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from atum_ops.durations import Moment
from atum_ops.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Callable

_OPTIONS = (
    click.option("--lane", help="In this lane."),
    click.option("--stream", help="In this message stream."),
    click.option("--tag", help="With this tag."),
    click.option("--client", help="Handed over by this client."),
    click.option("--reason", "why", help="With this reason, a stable word as `mail show` has it."),
    click.option("--recipient", help="To this address, in any case: To, Cc or Bcc."),
    click.option("--domain", help="To any address at this domain."),
    click.option("--search", help="Part of a recipient or subject; or a code: http_422, http_4, pm_406."),
    click.option("--since", type=Moment(), help="From then on: 2h ago, or 2026-11-01, or 2026-11-01T12:00Z."),
    click.option("--until", type=Moment(), help="Before then, in the same forms."),
)
_STATUS = click.option(
    "--status",
    "statuses",
    multiple=True,
    help="With this status (may be repeated), or 'failed': dead, bounced or expired.",
)


def selecting(*, status: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options; the function gets one keyword argument `selection`. Without `status`, the command knows it.

    The words of an order are its --note: --reason is a filter.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            names = ("lane", "stream", "tag", "client", "recipient", "domain", "search", "since", "until")
            given = {name: kwargs.pop(name) for name in names}
            words = tuple(kwargs.pop("statuses", ())) or None
            selection = Selection(statuses=words, reason=kwargs.pop("why"), **given)
            return function(*args, selection=selection, **kwargs)

        for option in reversed((_STATUS, *_OPTIONS) if status else _OPTIONS):
            wrapped = option(wrapped)
        return wrapped

    return decorate
