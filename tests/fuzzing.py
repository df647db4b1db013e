"""Requests that nobody would write, against a real API: schemathesis reads what the API says of itself, and checks it.

`python -m tests.fuzzing` is `make fuzz`. The seed is fixed; ids that the API
answers with, which differ, go into later requests. Two clients take part, so that each mail is
asked for by the one that does not own it as well.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.api import Api, add_client
from tests.nodes import Databases, private_postgres

SEED: Final = 4711
#: Requests that a run has to make.
CASES: Final = 5000
#: Requests of each operation in each of the random phases, at most; enough for `CASES`.
EXAMPLES: Final = 800
ALL_PHASES: Final = ("examples", "coverage", "fuzzing", "stateful")
_ROOT: Final = Path(__file__).parents[1]
_LONGEST_S: Final = 900

# A rule that a schema cannot say may refuse what the schema allows, but by 422 and not by another status: the moments of a
# mail in the wrong order, a key that was used before.
_CONFIG: Final = """
continue-on-failure = true
request-timeout = 20
[auth.wfc]
path = {clients}
peers = ["one", "other"]
[generation]
database = "none"
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 404, 409, 422]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run found."""

    #: Requests that were made and checked.
    cases: int
    #: Distinct failures, and errors of the run itself.
    failures: int
    #: The end of what was printed.
    output: str


def fuzz(
    api: Api,
    *,
    seed: int = SEED,
    examples: int = EXAMPLES,
    phases: tuple[str, ...] = ALL_PHASES,
    show: bool = False,
) -> Outcome:
    """Fuzz an API that runs."""
    with tempfile.TemporaryDirectory(prefix="atum-fuzz-") as name:
        folder = Path(name)
        report = folder / "report.json"
        printed = folder / "printed.txt"
        arguments = [
            *("--config-file", str(_configuration(api, folder)), "run", f"{api.url}/openapi.json"),
            # A cancelled mail is still there, on purpose.
            *("--checks", "all", "--exclude-checks", "use_after_free"),
            *("--phases", ",".join(phases), "--max-examples", str(examples)),
            *("--seed", str(seed), "--no-color", "--report-json-path", str(report)),
        ]
        with printed.open("wb") as file:
            ended = subprocess.run(
                [sys.executable, "-m", "schemathesis.cli", *arguments],
                env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.fuzzing_hooks", "PYTHONPATH": str(_ROOT)},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=None if show else file,
                stderr=subprocess.STDOUT,
                timeout=_LONGEST_S,
                check=False,
            )
        output = printed.read_text()
        if not report.exists():
            raise RuntimeError(f"schemathesis made no report, exit status {ended.returncode}: {output}")
        return _outcome(json.loads(report.read_text()), api, ended.returncode, output)


def _configuration(api: Api, folder: Path) -> Path:
    clients = folder / "clients.json"
    keys = {name: add_client(api.database_url, f"fuzz-{name}") for name in ("one", "other")}
    entries = [
        {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {key}"}]}
        for name, key in keys.items()
    ]
    clients.write_text(json.dumps({"auth": entries}))
    config = folder / "schemathesis.toml"
    config.write_text(_CONFIG.format(clients=json.dumps(str(clients))))
    return config


def _outcome(report: dict[str, Any], api: Api, status: int, output: str) -> Outcome:
    counts = report["test_cases"]
    failures = counts["unique_failures"] + len(report["errors"]) + api.output().count("an error of ours")
    unfinished = (
        status != 0
        or not report["complete"]
        or report["operations"]["tested"] != report["operations"]["total"]
    )
    return Outcome(
        cases=counts["generated"] - counts["without_checks"],
        failures=max(failures, int(unfinished)),
        output=output,
    )


def main() -> None:
    """Run `make fuzz`."""
    parser = argparse.ArgumentParser(prog="make fuzz", description="Fuzz the API; the last line is JSON.")
    parser.add_argument("--seed", type=int, default=SEED, help="where the random choices begin")
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="requests of each operation and phase")
    given = parser.parse_args()
    with private_postgres() as node, Databases(node).fresh() as url, Api(url) as api:
        outcome = fuzz(api, seed=given.seed, examples=given.examples, show=True)
    good = outcome.failures == 0 and outcome.cases >= CASES
    sys.stdout.write(
        f"\n{outcome.cases:,} requests checked (at least {CASES:,} wanted), {outcome.failures} failures\n"
    )
    sys.stdout.write(
        json.dumps({"seed": given.seed, "cases": outcome.cases, "failures": outcome.failures, "holds": good})
        + "\n"
    )
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
