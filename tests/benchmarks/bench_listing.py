"""How long a list of a thousand runs takes: of those that have ended, and of those that are alive or failed."""

from __future__ import annotations

import tempfile
from pathlib import Path

from many_runs import make_many
from measure import Row, milliseconds

from workbench.training.listing import read_runs

RUNS, MOST_MS = 1000, 500.0


def run(quick: bool = False) -> list[Row]:
    """Both lists, as a row each."""
    rows = []
    for what, ended in (("ended", RUNS), ("failed", 0)):
        with tempfile.TemporaryDirectory() as folder:
            make_many(Path(folder), RUNS, ended=ended)
            job = f"a list of {RUNS} runs that have {what}"
            rows.append(milliseconds(job, lambda root=folder: read_runs(root), aim=MOST_MS, rounds=3 if quick else 9))
    return rows
