"""`mail cancel`, `hold`, `release`, `retry`: orders on single mails."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from atum_ops import show
from atum_ops.cli import orders
from atum_ops.cli.connecting import connected
from atum_ops.mails import ordering
from atum_ops.mails.deciding import Order

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from atum_ops.mails.ordering import Answer

IDS = click.argument("mail_ids", type=click.UUID, metavar="ID", nargs=-1, required=True)


def _ordering(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add what all orders have in common."""
    for option in (show.FORMAT, orders.NOTE, orders.BY, IDS):
        function = option(function)
    return function


def _given(
    order: Order, mail_ids: Sequence[UUID], *, by: str, note: str | None, form: str, sure: bool = False
) -> None:
    with connected() as connection:
        answers = ordering.give(connection, order, mail_ids, by=by, note=note, sure=sure)
    _print(answers, form)
    if not all(answer.good for answer in answers):
        sys.exit(1)


def _print(answers: Sequence[Answer], form: str) -> None:
    if form == "json":
        show.json([{"id": one.mail_id, "done": one.good, "words": one.words} for one in answers])
        return
    for answer in answers:
        click.echo(f"{answer.mail_id}: {answer.words}", err=not answer.good)


@click.command()
@_ordering
@show.command_errors
def cancel(mail_ids: Sequence[UUID], *, by: str, note: str | None, form: str) -> None:
    """Stop mails for good. When this returns, no POST of a canceled mail follows; its content is gone.

    Exit status 1 when one could not be stopped, with the reason; the others are. What is being posted, or was posted
    without a clear answer, cannot be.

    \b
    Example:
      atum-mailer mail cancel 01932c5e-7d1a-7000-8000-5f3c1b2a4d6e --note "wrong invoice"
    """
    _given(Order.CANCEL, mail_ids, by=by, note=note, form=form)


@click.command()
@_ordering
@show.command_errors
def hold(mail_ids: Sequence[UUID], *, by: str, note: str | None, form: str) -> None:
    """Stop mails for the time being: they wait until somebody releases or cancels them.

    Exit status 1 when one could not be held, with the reason; the others are.

    \b
    Example:
      atum-mailer mail hold 01932c5e-7d1a-7000-8000-5f3c1b2a4d6e --note "ask sales first"
    """
    _given(Order.HOLD, mail_ids, by=by, note=note, form=form)


@click.command()
@_ordering
@click.option("--yes", is_flag=True, help="Release it although a second copy is possible.")
@show.command_errors
def release(mail_ids: Sequence[UUID], *, by: str, note: str | None, form: str, yes: bool) -> None:
    """Let held mails go out: at once, or at their own time if that is still to come.

    One that was posted without a clear answer may be at the provider already: it is released only with --yes. Exit
    status 1 when one was not released, with the reason; the others are.

    \b
    Example:
      atum-mailer mail release 01932c5e-7d1a-7000-8000-5f3c1b2a4d6e
    """
    _given(Order.RELEASE, mail_ids, by=by, note=note, form=form, sure=yes)


@click.command()
@_ordering
@show.command_errors
def retry(mail_ids: Sequence[UUID], *, by: str, note: str | None, form: str) -> None:
    """Make the next attempt of retrying mails due now. What they have used up of their attempts stays.

    Exit status 1 when one is not retrying, with what it is; the others are due.

    \b
    Example:
      atum-mailer mail retry 01932c5e-7d1a-7000-8000-5f3c1b2a4d6e
    """
    _given(Order.RETRY, mail_ids, by=by, note=note, form=form)
