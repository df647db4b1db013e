"""The provider: takes requests off the network, answers or does not, and indexes late."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model.state import Copy, Step, names, with_fact, with_worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.model.case import Case
    from tests.model.state import Request, World


def steps(case: Case, world: World) -> Iterator[Step]:
    """Give what the network and the provider may do."""
    for request in world.wire:
        rest = world._replace(wire=tuple(other for other in world.wire if other != request))
        for answer in case.scope.answers:
            yield _answer(rest, request, answer)
        if case.scope.unclear:
            yield Step(f"the POST of batch {request.batch} is lost", rest)
    if not world.stalled:
        yield from _index(world)


def _answer(world: World, request: Request, answer: str) -> Step:
    if answer == "accepted":
        copies = [Copy(mail, request.batch) for mail in request.mails]
        world = world._replace(copies=tuple(sorted((*world.copies, *copies))))
    if answer == "deferred":
        for mail in request.mails:
            fact = world.facts[mail]
            world = with_fact(world, mail, fact._replace(failures=fact.failures + 1))
    label = f"the provider answers batch {request.batch}: {answer}, {names(request.mails)}"
    for number, worker in enumerate(world.workers):
        if worker.at == "posted" and (worker.batch, worker.token) == (request.batch, request.token):
            return Step(label, with_worker(world, number, worker._replace(answer=answer)))
    return Step(f"{label}; nobody hears it", world)


def _index(world: World) -> Iterator[Step]:
    hidden = [copy for copy in world.copies if not copy.visible]
    for copy in dict.fromkeys(hidden):
        others = list(world.copies)
        others.remove(copy)
        copies = tuple(sorted((*others, copy._replace(visible=True, age=0))))
        yield Step(f"a search now finds {names((copy.mail,))}", world._replace(copies=copies))
    # In order: the control was accepted after everything that is searched for.
    if world.control == "accepted" and not hidden:
        yield Step("a search now finds the control", world._replace(control="visible"))
