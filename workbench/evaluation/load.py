"""Results of either kind from their files."""

from __future__ import annotations

import os
from pathlib import Path

from workbench.data.reading.paths import read_json
from workbench.evaluation.classification import FORMAT, ImageResult
from workbench.evaluation.result import Result


def load_result(path: str | os.PathLike[str]) -> Result | ImageResult:
    """What `save` of a result wrote, of objects or of whole images.

    Raises:
        DataError: the file cannot be read, or is no result.

    Example:
        >>> data = wb.load_data("digits", split="test").subset(range(60))
        >>> result = wb.evaluate("dfv/digits-c", data, progress=False)
        >>> load_result(result.save("result.json")).num_images
        60
    """
    content = read_json(Path(path))
    whole_images = isinstance(content, dict) and content.get("format") == FORMAT
    return ImageResult.load(path) if whole_images else Result.load(path)
