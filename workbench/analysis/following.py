"""How sure a detector is of one object: of its box where it can score boxes, else by the detection that matches it.

Most detectors of others give detections and nothing else. Then the score of an object is that of its best detection:
the highest score of its class among the detections whose boxes overlap its own by IoU 0.5 or more; 0 where there is
none. Where a detection has the scores of all classes, that of the object's class counts, whatever the detection is
called. RetinaNet's `score_boxes` does the same with all predictions; here suppression and a threshold have passed, so
that a score may jump to 0, and a box that drifts away counts as lost.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torchvision.ops import box_iou

from workbench.detectors.base import Detector, Detects, ScoresBoxes, asked
from workbench.proposals import searched
from workbench.types import CLASS_SCORES, Detections

SAME = 0.5  #: IoU from which two boxes are the same object


def scores_boxes(detector: Detector) -> bool:
    """Whether a detector can say what it thinks of given boxes; else its detections are followed."""
    return isinstance(detector, ScoresBoxes)


def best_match(found: Detections, box: Tensor, label: int) -> float:
    """The highest score of class `label` among detections that overlap `box` [4] by `SAME` or more; 0 without any."""
    near = box_iou(box.reshape(1, 4).to(found.boxes), found.boxes)[0] >= SAME
    if CLASS_SCORES in found.extras:
        scores = found.extras[CLASS_SCORES][near, label]
    else:
        scores = found.scores[near & (found.labels == label)]
    return float(scores.max()) if len(scores) else 0.0


def object_scores(detector: Detector, images: Sequence[Tensor], box: Tensor, label: int) -> list[float]:
    """The score of an object, by its box [4] and its class, in each image; see the module.

    Raises:
        WorkbenchError: the detector neither scores boxes nor detects.
    """
    if isinstance(detector, ScoresBoxes):
        boxes = [box.reshape(1, 4)] * len(images)
        return [float(scores[0, label]) for scores in detector.score_boxes(images, boxes)]
    return [best_match(found, box, label) for found in detected(detector, images)]


def detected(detector: Detector, images: Sequence[Tensor]) -> list[Detections]:
    """What a detector finds, with proposals by selective search where it needs some.

    Raises:
        WorkbenchError: it does not detect.
    """
    finder = asked(detector, Detects)
    if not detector.needs_proposals:
        return finder.detect(images)
    return finder.detect(images, [searched(image) for image in images])
