"""Measure the speed of the workbench against its peers: `python tests/benchmarks/run.py`.

Everything runs in one thread and is timed by CPU time; see `measure`. Ends with status 1 where an aim is missed.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import bench_adversary
import bench_annotations
import bench_aofd
import bench_dfv
import bench_faster_rcnn
import bench_focal
import bench_hiders
import bench_inverted_attention
import bench_listing
import bench_mask_proposals
import bench_mask_rcnn
import bench_ohem
import bench_retinanet
import bench_roi_align
import bench_roi_pool
import bench_saliency
import bench_scenes
import bench_widgets
from measure import Row, prepare, save, table

BENCHMARKS: dict[str, Callable[[bool], list[Row]]] = {
    "roi-align": bench_roi_align.run,
    "roi-pool": bench_roi_pool.run,
    "faster-rcnn": bench_faster_rcnn.run,
    "mask-rcnn": bench_mask_rcnn.run,
    "mask-proposals": bench_mask_proposals.run,
    "retinanet": bench_retinanet.run,
    "focal": bench_focal.run,
    "inverted-attention": bench_inverted_attention.run,
    "adversary": bench_adversary.run,
    "aofd": bench_aofd.run,
    "hiders": bench_hiders.run,
    "dfv": bench_dfv.run,
    "ohem": bench_ohem.run,
    "saliency": bench_saliency.run,
    "scenes": bench_scenes.run,
    "annotations": bench_annotations.run,
    "listing": bench_listing.run,
    "widgets": bench_widgets.run,
}


def main() -> int:
    """Run all benchmarks, or those named, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=sorted(BENCHMARKS), help="may be given several times")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a rough answer in a third of the time")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the numbers to this file")
    options = parser.parse_args()
    prepare()
    rows: list[Row] = []
    for name in options.only or BENCHMARKS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        found = BENCHMARKS[name](options.quick)
        rows += found
        if len(options.only or BENCHMARKS) > 1:
            print(table(found), file=sys.stderr, flush=True)
    print(table(rows))
    if options.json:
        save(rows, options.json)
    return int(any(row.met is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
