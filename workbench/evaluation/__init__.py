"""Score detectors: COCO's figures, AP by class and by occlusion, intervals and paired differences."""

from workbench.evaluation.evaluate import evaluate, evaluate_detections
from workbench.evaluation.result import Result, difference

__all__ = ["Result", "difference", "evaluate", "evaluate_detections"]
