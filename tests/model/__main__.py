"""`python -m tests.model` makes the tables of the README again; with the name of a rule it tells what breaks."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.model import tables
from tests.model.mutants import MUTANTS

if len(sys.argv) == 1:
    tables.write(Path(__file__).with_name("README.md"))
for mutant in MUTANTS:
    if mutant.rule in sys.argv[1:]:
        sys.stdout.write(f"without {mutant.rule}, in {mutant.scope}: {tables.of_mutant(mutant).story()}\n")
