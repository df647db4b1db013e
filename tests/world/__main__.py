"""`python -m tests.world 1234` tells the life of that seed step by step; `python -m tests.world 0 9999` runs them."""

from __future__ import annotations

import sys
import time
from collections import Counter
from random import Random

from tests.world.life import live
from tests.world.plan import draw
from tests.world.promises import Broken


def tell(seed: int) -> int:
    """Tell one seed."""
    trace: list[str] = []
    verdict = "all promises are kept"
    try:
        live(seed, trace)
    except Broken as broken:
        verdict = f"broken: {broken}"
    plan = draw(Random(seed))  # noqa: S311
    sys.stdout.write("\n".join([f"seed {seed}: {plan}", *trace, verdict, ""]))
    return int(verdict.startswith("broken"))


def run(first: int, last: int) -> int:
    """Run many seeds, and say how long it took and what they met."""
    began, steps, excused, statuses, broken = time.monotonic(), 0, Counter[str](), Counter[str](), 0
    for seed in range(first, last + 1):
        try:
            world = live(seed)
        except Broken as what:
            broken += 1
            sys.stdout.write(f"seed {seed}: {what}\n")
            continue
        steps += world.steps
        excused += world.excused
        statuses.update(mail.status.value for mail in world.store.mail.values())
    seconds = time.monotonic() - began
    number = last - first + 1
    sys.stdout.write(
        f"{number} seeds, {steps} steps, {seconds:.1f} s, {seconds / number * 1000:.2f} ms each; {broken} broken\n"
        f"mails: {dict(statuses)}\ncopies within the honest bound: {dict(excused)}\n"
    )
    return int(broken > 0)


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    sys.exit(run(*numbers) if len(numbers) == 2 else tell(numbers[0]))
