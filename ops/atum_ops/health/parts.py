"""`relays`, `workers`, `parts`: the processes that must run do, and get something done."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from atum_ops import show
from atum_ops.health import database_store
from atum_ops.health.findings import Finding, bad, good, warning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_ops.health.database_store import Part
    from atum_ops.health.surroundings import Surroundings

RELAYS: Final = "relays"
WORKERS: Final = "workers"
NAME: Final = "parts"
ALIVE_S: Final = 20.0
"""A process that nobody has seen for so long is gone: it says so every 5 s."""

STUCK_S: Final = 90.0
"""A relay or worker that has done nothing for so long, not even looked, is stuck."""

LATELY_S: Final = 900.0


def relays(surroundings: Surroundings) -> list[Finding]:
    """Look at the relays."""
    return judge(RELAYS, "relay", database_store.parts(surroundings.connection))


def workers(surroundings: Surroundings) -> list[Finding]:
    """Look at the workers."""
    return judge(WORKERS, "worker", database_store.parts(surroundings.connection))


def others(surroundings: Surroundings) -> list[Finding]:
    """Look at all processes together: whether any vanished, and whether they are of one version."""
    return judge_all(database_store.parts(surroundings.connection))


def judge(name: str, kind: str, parts: Sequence[Part]) -> list[Finding]:
    """Say whether at least one process of a kind is at work, and none is stuck."""
    of_kind = [part for part in parts if part.kind == kind]
    alive = [part for part in of_kind if _is_alive(part)]
    start = f"start one: atum-mailer {kind}"
    if not alive:
        seen = f"; the last was seen {show.age(of_kind[0].seen_s)} ago" if of_kind else ""
        return [bad(name, f"no {kind} runs{seen}", start)]
    stuck = [part for part in alive if (part.age_s if part.worked_s is None else part.worked_s) > STUCK_S]
    if stuck:
        names = ", ".join(part.name for part in stuck[:3])
        text = f"{len(stuck)} of {len(alive)} did nothing for {show.age(STUCK_S)}: {names}"
        remedy = f"see its log, then restart it: atum-mailer {kind}"
        return [bad(name, text, remedy) if len(stuck) == len(alive) else warning(name, text, remedy)]
    last = min((part.worked_s for part in alive if part.worked_s is not None), default=None)
    sign = "no sign of it yet" if last is None else f"the last sign of it {show.age(last)} ago"
    return [good(name, f"{len(alive)} at work, {sign}")]


def judge_all(parts: Sequence[Part]) -> list[Finding]:
    """Say which processes vanished lately without a good-bye, and which versions run at once."""
    found = []
    vanished = [part for part in parts if not part.ended and ALIVE_S < part.seen_s < LATELY_S]
    if vanished:
        names = ", ".join(f"{part.kind} {part.name}" for part in vanished[:3])
        text = f"{len(vanished)} vanished without a good-bye in the last {show.age(LATELY_S)}: {names}"
        found.append(warning(NAME, text, "see their logs, and the kernel's for the out-of-memory killer"))
    alive = [part for part in parts if _is_alive(part)]
    versions = sorted({part.version for part in alive})
    if len(versions) > 1:
        text = f"processes of several versions run: {', '.join(versions)}"
        found.append(warning(NAME, text, "restart those of the older version"))
    kinds = Counter(part.kind for part in alive)
    return found or [good(NAME, ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items())) or "none runs")]


def _is_alive(part: Part) -> bool:
    return not part.ended and part.seen_s <= ALIVE_S
