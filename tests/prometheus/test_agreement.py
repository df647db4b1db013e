"""What Prometheus and `alerts watch` say of the same facts is the same: PromQL and Python, around every threshold.

Of each snapshot promtool is told the series that an exporter shows, and asked for the value of each expression.
"""

from __future__ import annotations

import json
import re
from itertools import product
from random import Random
from typing import TYPE_CHECKING, Final

import pytest

from atum_ops.alerts.alert import Seen
from atum_ops.alerts.catalogue import alerts
from atum_ops.signals.snapshot import (
    FAILED,
    LaneSignal,
    PartSignal,
    QueueSignal,
    Snapshot,
    TaskSignal,
    Waiting,
    WindowSignal,
)
from atum_schema.metrics_catalogue import FIXED
from tests.prometheus.series import shown
from tests.prometheus.tools import made_with, run, said

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# promtool's clock begins at 0; late enough for every age.
_AT: Final = 100_000.0
# Those that only Prometheus can see, that look at no snapshot, or at two of them.
_APART: Final = {"AtumDatabaseDown", "AtumAlertDeliveryFailing", "AtumWebhookRejecting"}
_COMPARED: Final = [
    alert for alert in alerts(made_with()) if alert.look is not None and alert.name not in _APART
]
_AGES: Final = (None, 1, 299, 300, 301, 899, 900, 901, 3599, 3600, 3601, 50_000, 86_399, 86_400)
_COUNTS: Final = (0, 1, 2, 4, 5, 9, 10, 19, 20, 21, 49, 50, 51, 99, 100, 101, 499, 500, 999, 1000, 1001)
_SEEDS: Final = range(6)
_EACH: Final = 25
_LANES: Final = ("broadcast", "transactional")
_RESULTS: Final = ("finished", "sent", "complained", *FAILED)


def snapshot(chance: Random) -> Snapshot:
    """Make what may be true at a moment, near the thresholds more often than far from them."""

    def count() -> int:
        return chance.choice(_COUNTS)

    def few() -> int:
        return chance.choice((0, 0, 1, 2))

    def time() -> float | None:
        age = chance.choice(_AGES)
        return None if age is None else _AT - age

    def recent(lane: str, period: str, result: str) -> int:
        # Mostly few failures of many mails, so that rates come near their thresholds.
        return count() if result in FAILED or chance.random() < 0.5 else 10 * count()

    return Snapshot(
        at=_AT,
        lanes=tuple(LaneSignal(lane, count(), count(), few(), few(), time()) for lane in _LANES),
        windows=tuple(_window(lane, chance.choice([None, *FIXED["why"]])) for lane in _LANES),
        held=Waiting(few(), time()),
        unknown=Waiting(few(), time()),
        search_failures=count(),
        dead=Waiting(few(), time()),
        stuck_batches=few(),
        recent={key: recent(*key) for key in product(_LANES, FIXED["period"], _RESULTS)},
        recent_deferrals={("30m", why): count() for why in ("rate_limited", "provider", "sender", "other")},
        recent_duplicates={"1h": few(), "24h": few()},
        webhook_last_at=time(),
        inbox_new=Waiting(few(), time()),
        parts={kind: PartSignal(few(), few(), few()) for kind in FIXED["part"] if few()},
        brokers={state: few() for state in FIXED["broker_state"]},
        orphaned={lane: few() for lane in _LANES if few()},
        queues={name: QueueSignal(count(), few()) for name in FIXED["queue"] if few() or few()},
        heartbeat_at=time(),
        tasks=(TaskSignal("add_up", None, bool(few()), bool(few())),),
    )


def _window(lane: str, why: str | None) -> WindowSignal:
    return WindowSignal(
        lane=lane,
        account="default",
        state="open" if why is None else "paused",
        why=why,
        by_person=False,
        since=0.0,
        size=1,
        ceiling=1,
        in_flight=0,
        sent_rate=0.0,
        outage_at=None,
        outage_end=None,
    )


def values(found: Sequence[Snapshot], folder: Path) -> list[dict[str, float | None]]:
    """Give what PromQL says of each snapshot, by the name of the alert; None: nothing."""
    tests = [
        {
            "name": str(number),
            "interval": f"{int(_AT)}s",
            "input_series": [{"series": one.name, "values": f"_ {one.value:.17g}"} for one in shown(now)],
            # Nobody expects this: promtool says what there is instead.
            "promql_expr_test": [
                {
                    "expr": alert.expr,
                    "eval_time": f"{int(_AT)}s",
                    "exp_samples": [{"labels": "nothing", "value": -1}],
                }
                for alert in _COMPARED
            ],
        }
        for number, now in enumerate(found)
    ]
    path = folder / "agreement.yml"
    path.write_text(json.dumps({"rule_files": [], "evaluation_interval": f"{int(_AT)}s", "tests": tests}))
    text = said(run("promtool", "test", "rules", path))
    # One answer for each expression, in order.
    answers = re.findall(r"^ +got: ?(.*)$", text, re.MULTILINE)
    size = len(_COMPARED)
    assert len(answers) == len(found) * size, text[:2000]
    return [
        {alert.name: _value(got) for alert, got in zip(_COMPARED, answers[start:], strict=False)}
        for start in range(0, len(answers), size)
    ]


def _value(got: str) -> float | None:
    return None if got == "nil" else float(got.rpartition(" ")[2])


def test_all_that_look_at_a_snapshot_are_compared() -> None:
    names = {alert.name for alert in alerts(made_with())}
    assert names >= _APART
    assert len(_COMPARED) > 25


@pytest.mark.parametrize("seed", _SEEDS)
def test_promql_and_python_say_the_same_of_the_same_facts(tmp_path: Path, seed: int) -> None:
    chance = Random(seed)  # noqa: S311 - the same facts in every run
    found = [snapshot(chance) for _ in range(_EACH)]
    for now, by_promql in zip(found, values(found, tmp_path), strict=True):
        by_python = {alert.name: alert.look(Seen(now)) for alert in _COMPARED if alert.look is not None}
        different = {
            name: (by_promql[name], value)
            for name, value in by_python.items()
            if by_promql[name] != (None if value is None else pytest.approx(value))
        }
        assert different == {}


def test_among_those_facts_each_condition_is_met_and_is_not() -> None:
    chances = [Random(seed) for seed in _SEEDS]  # noqa: S311
    found = [snapshot(chance) for chance in chances for _ in range(_EACH)]
    for alert in _COMPARED:
        assert alert.look is not None
        assert len({alert.look(Seen(now)) is None for now in found}) == 2, alert.name
