"""Score detectors: COCO's figures, AP by class and by occlusion, intervals and paired differences."""

from workbench.evaluation.by_class import difference_by_class
from workbench.evaluation.classification import ImageResult, accuracy_difference
from workbench.evaluation.evaluate import evaluate, evaluate_detections
from workbench.evaluation.load import load_result
from workbench.evaluation.proposal_recall import ProposalRecall, proposal_recall
from workbench.evaluation.result import Result, difference

__all__ = [
    "ImageResult",
    "ProposalRecall",
    "Result",
    "accuracy_difference",
    "difference",
    "difference_by_class",
    "evaluate",
    "evaluate_detections",
    "load_result",
    "proposal_recall",
]
