"""Results of either kind from their files."""

from __future__ import annotations

import json
import os
from pathlib import Path

from workbench.errors import DataError
from workbench.evaluation.classification import FORMAT, ImageResult
from workbench.evaluation.result import Result


def load_result(path: str | os.PathLike[str]) -> Result | ImageResult:
    """What `save` of a result wrote, of objects or of whole images.

    Raises:
        DataError: the file cannot be read, or is no result.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not a saved result ({error}).") from error
    whole_images = isinstance(content, dict) and content.get("format") == FORMAT
    return ImageResult.load(path) if whole_images else Result.load(path)
