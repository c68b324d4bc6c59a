"""The test of a finished detector: what `evaluate` says, and what else the recipe asks for."""

from __future__ import annotations

from dataclasses import replace

import torch

from workbench.data import Dataset
from workbench.detectors import Detector
from workbench.evaluation import ImageResult, Result, evaluate
from workbench.evaluation.occluded_figures import occluded_figures
from workbench.evaluation.proposal_recall import ProposalRecall
from workbench.training.recipe_sections import TestSpec


def final_result(
    detector: Detector, data: Dataset, spec: TestSpec | None, *, device: torch.device, batch_size: int = 16
) -> Result | ImageResult | ProposalRecall:
    """The result on test data, its summary with the figures of an audit and of scored regions where asked for.

    Args:
        detector: in the state that is tested.
        data: what `spec` names.
        spec: the test section of a recipe.
        device: where to run.
        batch_size: images at a time.
    """
    result = evaluate(detector, data, batch_size=batch_size, device=device, progress=False)
    if spec is None or not isinstance(result, Result) or (spec.audit is None and spec.regions is None):
        return result
    more = occluded_figures(detector, data, audited=spec.audit, regions=spec.regions, device=device)
    return replace(result, summary=result.summary | more)
