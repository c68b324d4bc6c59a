"""A folder of many runs, as a sweep over seeds leaves it."""

from __future__ import annotations

import json
from pathlib import Path

from workbench.training import Recipe


def make_many(root: Path, number: int, *, ended: int) -> None:
    """Runs `run-0000` and so on with 40 kB of metrics each; those that have ended reached AP 0, 0.001, 0.002 ..."""
    shipped = Recipe.load("digit-scenes/faster-rcnn", trial=False)
    row = json.dumps({"step": 5, "time": 1.0, "kind": "train", **{f"loss/{part}": 0.123456 for part in range(10)}})
    last = json.dumps({"step": 5, "time": 1.0, "kind": "val", "AP": 0.5})
    for place in range(number):
        folder = root / f"run-{place:04d}"
        folder.mkdir()
        shipped.model_copy(update={"seed": place}).save(folder / "recipe.yaml")
        (folder / "metrics.jsonl").write_text(f"{row}\n" * 180 + f"{last}\n")
        (folder / "proc.lock").touch()
        if place < ended:
            (folder / "done.json").write_text(json.dumps({"seconds": 1.0, "result": {"AP": place / 1000}}))
