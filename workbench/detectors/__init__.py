"""Detectors, and how to build, save and load them."""

from workbench.detectors.base import Detector, evaluating
from workbench.detectors.build import build_detector
from workbench.detectors.fast_rcnn import FastRCNN
from workbench.detectors.faster_rcnn import FasterRCNN
from workbench.detectors.load import begin_from, load_detector, save_detector

__all__ = [
    "Detector",
    "FastRCNN",
    "FasterRCNN",
    "begin_from",
    "build_detector",
    "evaluating",
    "load_detector",
    "save_detector",
]
