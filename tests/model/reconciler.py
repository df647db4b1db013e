"""The reconciler: reads an unknown batch, searches the provider, commits what the search is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model import outcomes
from tests.model.case import committed
from tests.model.promises import Broken
from tests.model.state import Reconciler, Step, batch_of, with_fact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.model.case import Case
    from tests.model.state import Batch, Database, World

_IDLE = Reconciler()


def steps(case: Case, world: World) -> Iterator[Step]:
    """Give what the reconcilers may do."""
    idle = False
    for number, one in enumerate(world.reconcilers):
        if one.result:
            yield _commit(case, world, number, one)
        elif not idle:
            idle = True
            yield from _search(case, world, number)


def _with(world: World, number: int, one: Reconciler) -> World:
    return world._replace(reconcilers=(*world.reconcilers[:number], one, *world.reconcilers[number + 1 :]))


def _search(case: Case, world: World, number: int) -> Iterator[Step]:
    for batch in world.db.batches:
        if batch.state != "unknown" or batch.search_in > 0:
            continue
        found = tuple(mail for mail in batch.mails if _is_found(case, world, batch, mail))
        overlooked = not found and any(copy.visible and copy.mail in batch.mails for copy in world.copies)
        result = "found" if found else "empty"
        controlled = not case.scope.busy or world.control == "visible"
        what = f"finds {'it' if found else 'nothing'}" + ("" if controlled else ", nor the control")
        yield Step(
            f"reconciler {number + 1} searches for batch {batch.id} and {what}",
            _with(world, number, Reconciler(batch.id, result, found, controlled)),
            (Broken.PROOF_OVERLOOKED,) if overlooked else (),
        )
        if world.left.failed_searches:
            left = world.left._replace(failed_searches=world.left.failed_searches - 1)
            failed = _with(world._replace(left=left), number, Reconciler(batch.id, "failed"))
            yield Step(f"reconciler {number + 1} searches for batch {batch.id} and gets an error", failed)


def _is_found(case: Case, world: World, batch: Batch, mail: int) -> bool:
    if batch.by_mail:
        return any(copy.visible and copy.mail == mail for copy in world.copies)
    searched = {batch.id}
    if case.rules.all_unresolved_are_searched:
        searched |= {earlier for earlier, _ in world.db.mails[mail].unresolved}
    return any(copy.visible and copy.mail == mail and copy.batch in searched for copy in world.copies)


def _commit(case: Case, world: World, number: int, one: Reconciler) -> Step:
    rules = case.rules
    batch = batch_of(world.db, one.batch)
    label = f"reconciler {number + 1} commits: {one.result}"
    idle = _with(world, number, _IDLE)
    if one.result == "found":
        db = world.db
        for mail in one.found:
            db = outcomes.prove(rules, db, mail)
        return Step(label, _outdated(_proven(committed(case, idle, db, synchronous=True), one), one.batch))
    current = batch is not None and batch.state == "unknown"
    untouched = one.fresh and batch is not None and batch.search_in == 0
    if batch is None or not current or (rules.searches_compare_and_set and not untouched):
        return Step(f"{label}, which counts for nothing any more", idle)
    counts = (one.result == "empty" and (one.controlled or not rules.empty_needs_control)) or (
        one.result == "failed" and not rules.failed_search_counts_nothing
    )
    if not counts:
        postponed = committed(case, idle, outcomes.postponed(case.scope, world.db, batch), synchronous=True)
        return Step(f"{label}, which does not count", _outdated(postponed, batch.id))
    db = outcomes.counted(case.scope, rules, world.db, batch)
    after = _outdated(committed(case, idle, db, synchronous=True), batch.id)
    if batch_of(db, batch.id) is not None:
        control = "" if case.scope.fresh_control else after.control
        return Step(f"{label}, which counts", after._replace(control=control))
    after, resent = _settled(after, world.db, batch)
    breach = any(world.db.mails[mail].expired for mail in resent)
    label += ", and the policy decides: " + ("resend" if resent else "no resend")
    return Step(label, after, (Broken.RESENT_EXPIRED,) if breach else ())


def _proven(world: World, one: Reconciler) -> World:
    for mail in one.found:
        fact = world.facts[mail]
        world = with_fact(world, mail, fact._replace(proven=True, open=()))
    return world


def _outdated(world: World, batch: int) -> World:
    """Note that `search_at` of a batch is no longer what other reconcilers have read."""
    if not any(one.batch == batch and one.fresh for one in world.reconcilers):
        return world
    return world._replace(
        reconcilers=tuple(one._replace(fresh=one.fresh and one.batch != batch) for one in world.reconcilers)
    )


def _settled(world: World, before: Database, batch: Batch) -> tuple[World, list[int]]:
    """Note that the settling covers the attempts of a batch; give the mails that may be sent again."""
    resent = [mail for mail in batch.mails if world.db.mails[mail].status == "waiting"]
    for mail in batch.mails:
        covered = {token for _, token in before.mails[mail].unresolved}
        fact = world.facts[mail]
        left = tuple(token for token in fact.open if token not in covered)
        world = with_fact(world, mail, fact._replace(open=left))
    return world, resent
