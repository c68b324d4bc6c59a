"""How long detection takes per image (Lin's thesis, Fig. 5.4 and Table 5.1e, which time single images on a GPU).

Where we depart: on a CPU the time is that of the process, with one thread, so that what else the machine does counts
little. Detectors take turns, and the median over rounds is given.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from workbench.detectors.base import Detects, asked
from workbench.detectors.load import DetectorLike, as_detector
from workbench.errors import DataError

if TYPE_CHECKING:
    from workbench.detectors import Detector


def detection_times(
    detectors: Mapping[str, DetectorLike], images: Sequence[Tensor], *, rounds: int = 5, threads: int = 1
) -> pd.DataFrame:
    """Milliseconds that `detect` takes for one image at a time.

    Args:
        detectors: by the name to show (each a detector, a `Run`, or its name or path); they must not need proposals.
        images: [3, H, W] each; all of them in every round, after one round that does not count.
        rounds: in each the detectors take turns.
        threads: of a CPU.

    Returns:
        One row per name: milliseconds (the median over rounds of the mean over images), fastest and slowest round.

    Raises:
        DataError: no detector, image or round, or a detector that needs proposals.
    """
    if not detectors or not len(images) or rounds < 1:
        raise DataError("to measure speed, give at least one detector, one image and one round")
    known = {name: as_detector(one) for name, one in detectors.items()}
    for name, detector in known.items():
        if detector.needs_proposals:
            raise DataError(f"{name} needs proposals, which would have to be timed as well; choose another detector")
    spent: dict[str, list[float]] = {name: [] for name in known}
    with _threads(threads):
        for _ in range(rounds + 1):
            for name, detector in known.items():
                spent[name].append(_seconds(detector, images) / len(images))
    kept = {name: 1000 * np.array(values[1:]) for name, values in spent.items()}
    rows = {name: {"milliseconds": np.median(v), "fastest": v.min(), "slowest": v.max()} for name, v in kept.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("detector")


def _seconds(detector: Detector, images: Sequence[Tensor]) -> float:
    """For all images, one by one; on a GPU until it has finished."""
    on_cpu = detector.device.type == "cpu"
    clock = time.process_time if on_cpu else time.perf_counter
    finder, began = asked(detector, Detects), clock()
    for image in images:
        finder.detect([image])
    if not on_cpu:
        torch.accelerator.synchronize()
    return clock() - began


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
