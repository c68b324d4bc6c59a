"""Score detectors: COCO's figures, AP by class and by occlusion, intervals and paired differences."""

from workbench.evaluation.by_class import difference_by_class
from workbench.evaluation.evaluate import evaluate, evaluate_detections
from workbench.evaluation.proposals import ProposalRecall, proposal_recall
from workbench.evaluation.result import Result, difference

__all__ = [
    "ProposalRecall",
    "Result",
    "difference",
    "difference_by_class",
    "evaluate",
    "evaluate_detections",
    "proposal_recall",
]
