"""Speed against accuracy: milliseconds that a detector takes per image, next to its AP (thesis Table 5.1e, Fig. 5.4).

As in the thesis, images come one at a time, and one detector is looked at with images of several sizes. There every
size was trained for; `at_size` shows a trained detector images of another size, which costs more accuracy.

Where we depart: the thesis times a GPU. On a CPU with one thread, time is that of the process, since what a clock
shows on a busy machine says little; elsewhere it is that of the clock.
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

from workbench.detectors.base import Detector
from workbench.detectors.build import build_detector
from workbench.errors import DataError
from workbench.evaluation.evaluate import evaluate

if TYPE_CHECKING:
    from workbench.data import Dataset

WARM_UP = 2  #: images that every detector sees before it is timed


def at_size(detector: Detector, min_size: int) -> Detector:
    """A copy of a detector that resizes its images to this short side, in pixels.

    Raises:
        RecipeError: the detector cannot be built again from its configuration.
    """
    config = detector.config | {"min_size": min_size}
    copy = build_detector(config, detector.classes, pretrained=False)
    copy.load_state_dict(
        {name: value for name, value in detector.state_dict().items() if not name.startswith("hardener.")}
    )
    return copy.to(detector.device).train(detector.training)


def time_detection(
    detectors: Mapping[str, Detector], images: Sequence[Tensor], *, rounds: int = 7, threads: int = 1
) -> pd.DataFrame:
    """Milliseconds that `detect` takes per image, one row per detector.

    Each round shows all images, one at a time, to every detector; in every other round the order is reversed.

    Args:
        images: [3, H, W] each.
        threads: of torch, while this runs.

    Returns:
        By name: ms, the median over the rounds, and ms_low and ms_high, their quartiles.

    Raises:
        DataError: nothing to time.
    """
    if not detectors or not len(images) or rounds < 1:
        raise DataError(
            f"{len(detectors)} detectors, {len(images)} images and {rounds} rounds; expected at least one of each"
        )
    seconds = np.empty((rounds, len(detectors)))
    with _threads(threads):
        for detector in detectors.values():
            _seconds(detector, images[:WARM_UP], threads)
        for turn in range(rounds):
            places = list(enumerate(detectors.values()))
            for place, detector in places if turn % 2 == 0 else reversed(places):
                seconds[turn, place] = _seconds(detector, images, threads)
    low, middle, high = 1000 / len(images) * np.percentile(seconds, [25, 50, 75], axis=0)
    index = pd.Index(list(detectors), name="detector")
    return pd.DataFrame({"ms": middle, "ms_low": low, "ms_high": high}, index=index)


def speed_and_accuracy(
    detectors: Mapping[str, Detector],
    data: Dataset,
    *,
    sizes: Sequence[int | None] = (None,),
    timed: int = 20,
    rounds: int = 7,
    threads: int = 1,
    batch_size: int = 16,
    progress: bool = True,
) -> pd.DataFrame:
    """Time and AP of detectors at several sizes of their images, one row for each detector and size.

    Args:
        detectors: by the name to show.
        sizes: short sides in pixels; None: as the detector's own configuration says.
        timed: images of `data` that are timed, the first ones; all of them count for AP.

    Returns:
        detector, size; ms, ms_low, ms_high as from `time_detection`; AP and its 95 % interval low, high.

    Raises:
        DataError: nothing to measure, or detectors that do not know the classes of `data`.
    """
    keys = [(name, size) for name in detectors for size in sizes]
    sized = {
        str(key): detectors[key[0]] if key[1] is None else at_size(detectors[key[0]], key[1]) for key in keys
    }
    images = [data[index][0] for index in range(min(timed, len(data)))]
    times = time_detection(sized, images, rounds=rounds, threads=threads)
    results = [evaluate(one, data, batch_size=batch_size, progress=progress) for one in sized.values()]
    accuracy = pd.DataFrame([result.table().loc["AP"] for result in results]).rename(columns={"value": "AP"})
    about = pd.DataFrame(keys, columns=["detector", "size"])
    return pd.concat([part.reset_index(drop=True) for part in (about, times, accuracy)], axis=1)


def _seconds(detector: Detector, images: Sequence[Tensor], threads: int) -> float:
    """Seconds for all images, one at a time."""
    on_cpu = detector.device.type == "cpu"
    clock = time.process_time if on_cpu and threads == 1 else time.perf_counter
    start = clock()
    for image in images:
        detector.detect([image])
    if detector.device.type == "cuda":
        torch.cuda.synchronize(detector.device)
    return clock() - start


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """So many threads of torch; as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
