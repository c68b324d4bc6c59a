"""Which map to believe, on the test scenes of digits: `python tests/benchmarks/judge_saliency.py DETECTOR [OBJECTS]`.

Means with 95 % intervals, and differences from the box; five minutes of one thread for 60 objects.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from workbench.analysis.explain import ATTENTION, methods_of
from workbench.analysis.saliency_table import saliency_summary, saliency_table
from workbench.data import load_data
from workbench.detectors import load_detector

BODY = ["backbone.body"]
METHODS = {
    "layer-cam": {"method": "layer-cam"},
    "hires-cam": {"method": "hires-cam"},
    "layer-cam, body": {"method": "layer-cam", "layers": BODY},
    "hires-cam, body": {"method": "hires-cam", "layers": BODY},
    "d-rise": {"method": "d-rise", "masks": 500},
}


def main(name: str, objects: int) -> None:
    """Print the table of one detector."""
    torch.set_num_threads(1)
    detector = load_detector(name)
    methods = METHODS | ({ATTENTION: {"method": ATTENTION}} if ATTENTION in methods_of(detector) else {})
    table = saliency_table(detector, load_data("digit-scenes", split="test"), methods, objects=objects, steps=16)
    summary = saliency_summary(table)
    for measure, digits in (("deletion", 4), ("insertion", 3), ("energy", 2), ("points", 2)):
        columns = [column for column in summary.columns if column.startswith(measure)]
        print(summary[columns].round(digits).to_string(), end="\n\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 60)
