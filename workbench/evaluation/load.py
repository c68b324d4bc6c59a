"""Results of all kinds from their files."""

from __future__ import annotations

import os
from pathlib import Path

from workbench.data.reading.paths import read_json
from workbench.evaluation.classification import FORMAT as OF_IMAGES
from workbench.evaluation.classification import ImageResult
from workbench.evaluation.proposal_recall import FORMAT as OF_PROPOSALS
from workbench.evaluation.proposal_recall import ProposalRecall
from workbench.evaluation.result import Result


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
