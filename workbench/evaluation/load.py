"""Results of all kinds from their files, and the result that is meant by whatever can be evaluated."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from workbench.data import Dataset
from workbench.data.reading.paths import read_json
from workbench.errors import DataError
from workbench.evaluation.classification import FORMAT as OF_IMAGES
from workbench.evaluation.classification import ImageResult
from workbench.evaluation.evaluate import evaluate, is_results_file
from workbench.evaluation.proposal_recall import FORMAT as OF_PROPOSALS
from workbench.evaluation.proposal_recall import ProposalRecall
from workbench.evaluation.result import Result
from workbench.files import user_path


def load_result(path: str | os.PathLike[str]) -> Result | ImageResult | ProposalRecall:
    """What `save` of a result wrote: of objects, of whole images or of proposals.

    Raises:
        DataError: the file cannot be read, or is no result.

    Example:
        >>> data = wb.load_data("digits", split="test").subset(range(60))
        >>> result = wb.evaluate("dfv/digits-c", data, progress=False)
        >>> load_result(result.save("result.json")).num_images
        60
    """
    content = read_json(Path(path))
    form = content.get("format") if isinstance(content, dict) else None
    if form == OF_IMAGES:
        return ImageResult.load(path)
    return ProposalRecall.load(path) if form == OF_PROPOSALS else Result.load(path)


def _is_saved(path: Path) -> bool:
    """Whether a file of results is one that `save` wrote, and no list of detections."""
    return path.is_file() and isinstance(read_json(path), dict)


def as_result(thing: Any, data: Dataset, *, progress: bool = True) -> Result:
    """The result that is meant: all that takes results of objects can take detectors through this function.

    Args:
        thing: a `Result`, a .json file of one that was saved or of detections in COCO's format, a folder of VOC's
            files, or what `evaluate` takes as a detector: that is then evaluated.
        data: what it is about.
        progress: show a bar.

    Raises:
        DataError: it is none of these, or about other data; or its result is not one of objects.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=2)
        >>> result = as_result("digit-scenes/faster-rcnn", data, progress=False)
        >>> as_result(result, data) is result
        True
    """
    result = thing
    if is_results_file(thing) and _is_saved(user_path(thing, DataError)):
        result = load_result(user_path(thing, DataError))
    elif not isinstance(thing, Result):
        result = evaluate(thing, data, progress=progress)
    if not isinstance(result, Result):
        raise DataError(f"a {type(result).__name__} is no result of objects; give a detector of objects")
    if result.num_images != len(data) or result.classes != tuple(data.classes):
        what = f"a result on {result.data} {result.split} ({result.num_images} images, {len(result.classes)} classes)"
        raise DataError(
            f"{what} came with {data.name} {data.split} ({len(data)} images, {len(data.classes)} classes)"
        )
    return result
