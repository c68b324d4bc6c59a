"""Run a detector over a data set and keep what it finds: also where nobody here knows what is right.

The annotations of COCO's test-dev and of VOC 2012's test are kept by servers, which score files of results.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from workbench.data import Dataset
from workbench.detectors.base import Detects, asked
from workbench.detectors.load import DetectorLike, as_detector
from workbench.errors import DataError
from workbench.evaluation.counting.batches import batches
from workbench.evaluation.counting.checks import check_detections
from workbench.evaluation.counting.classes import in_classes_of
from workbench.evaluation.counting.tables import Found, gather_found, joined
from workbench.evaluation.data_detections import DataDetections
from workbench.evaluation.evaluate import detect_batch


def detect_all(
    detector: DetectorLike,
    data: Dataset,
    *,
    classes: Mapping[str, str] | None = None,
    batch_size: int = 16,
    device: torch.device | str | None = None,
    progress: bool = True,
) -> DataDetections:
    """Detect on every image of `data`, annotated or not.

    Args:
        detector: a detector of objects, also one of others (`wb.wrap`), a `Run`, or what `load_detector` takes.
        data: images, with `proposals` where the detector needs them. Classes are compared by name, as by `evaluate`.
        classes: which classes of the detector have another name in the data: its name → theirs.
        batch_size: images at a time.
        device: where to run; None leaves the detector where it is. It is moved back afterwards.
        progress: show a bar.

    Returns:
        The detections of each image; `save_coco` and `save_voc` write them for a server.

    Raises:
        WorkbenchError: it gives no detections.
        DataError: there are no images, no class in common, or no proposals where they are needed.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=2)
        >>> found = wb.detect_all("digit-scenes/faster-rcnn", data, progress=False)
        >>> wb.evaluate(found.save_coco("results.json"), data, progress=False).summary["AP50"] > 0.5
        True
    """
    if not isinstance(data, Dataset):
        raise DataError(f"data is a {type(data).__name__}; expected a data set, as load_data gives one")
    if len(data) == 0:
        raise DataError(f"{data.name} {data.split} has no images to detect in")
    finder = as_detector(detector)
    asked(finder, Detects)  # before anything else
    finder = in_classes_of(data, finder, classes, losses=False)
    home, tables, sizes = finder.device, list[Found](), [data.size(index) for index in range(len(data))]
    if device is not None:
        finder.to(device)
    try:
        for batch in batches(data, batch_size, progress=progress):
            found = [one.to("cpu") for one in detect_batch(finder, batch)]
            first = batch_size * len(tables)
            masks = all(one.masks is not None for one in found)
            check_detections(found, data, sizes[first : first + len(found)], masks=masks, first=first)
            tables.append(gather_found(found, masks=masks, first=first))
    finally:
        finder.to(home)
    return DataDetections(
        data=data.name,
        split=data.split,
        classes=tuple(data.classes),
        category_ids=list(data.category_ids),
        image_ids=[data.image_id(index) for index in range(len(data))],
        image_names=[data.image_name(index) for index in range(len(data))],
        sizes=sizes,
        found=joined(tables),
    )
