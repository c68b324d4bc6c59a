"""Detectors, and how to build, save and load them. Each name is imported when it is first used."""

from typing import TYPE_CHECKING

from workbench.lazy import on_demand

if TYPE_CHECKING:
    from workbench.detectors.base import Detector, evaluating
    from workbench.detectors.build import build_detector
    from workbench.detectors.class_map import relabel
    from workbench.detectors.classifier import Classifier
    from workbench.detectors.dfv_decoder import DFVDecoder
    from workbench.detectors.ensemble import Ensemble
    from workbench.detectors.fast_rcnn import FastRCNN
    from workbench.detectors.faster_rcnn import FasterRCNN
    from workbench.detectors.load import DetectorLike, as_detector, load_detector, save_detector, start_from
    from workbench.detectors.mask_rcnn import MaskRCNN
    from workbench.detectors.outside.letterbox import Letterbox
    from workbench.detectors.outside.yolox import YOLOX
    from workbench.detectors.shape_masks import ShapeMasks

__all__ = [
    "YOLOX",
    "Classifier",
    "DFVDecoder",
    "Detector",
    "DetectorLike",
    "Ensemble",
    "FastRCNN",
    "FasterRCNN",
    "Letterbox",
    "MaskRCNN",
    "ShapeMasks",
    "as_detector",
    "build_detector",
    "evaluating",
    "load_detector",
    "relabel",
    "save_detector",
    "start_from",
]

__getattr__, __dir__ = on_demand(
    __name__,
    {
        "Classifier": "workbench.detectors.classifier",
        "DFVDecoder": "workbench.detectors.dfv_decoder",
        "Detector": "workbench.detectors.base",
        "DetectorLike": "workbench.detectors.load",
        "Ensemble": "workbench.detectors.ensemble",
        "FastRCNN": "workbench.detectors.fast_rcnn",
        "FasterRCNN": "workbench.detectors.faster_rcnn",
        "Letterbox": "workbench.detectors.outside.letterbox",
        "MaskRCNN": "workbench.detectors.mask_rcnn",
        "ShapeMasks": "workbench.detectors.shape_masks",
        "YOLOX": "workbench.detectors.outside.yolox",
        "as_detector": "workbench.detectors.load",
        "build_detector": "workbench.detectors.build",
        "evaluating": "workbench.detectors.base",
        "load_detector": "workbench.detectors.load",
        "relabel": "workbench.detectors.class_map",
        "save_detector": "workbench.detectors.load",
        "start_from": "workbench.detectors.load",
    },
)
