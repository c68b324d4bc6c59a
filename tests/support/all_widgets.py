"""One of each widget on made digits, and a state for each that looks otherwise than the one it begins with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from adversary_run import adversary_run
from small_detectors import RETINANET

import widgets
import workbench as wb
from workbench.detectors import build_detector

NAME = "<b>plain</b> & $x$"  #: of a detector: text, neither HTML nor a formula
PAIRS = {"occluders": ["cup"], "random_places": 0, "pair_classes": 3, "pair_images": 3}

#: For each widget, a state other than its first one; a run is as it is.
OTHER: Mapping[str, dict[str, Any]] = {
    "AdversaryExplorer": {"chosen": 1, "stride": 2},
    "Annotator": {"picture": 3},
    "AttentionExplorer": {"chosen": 1, "inversion": "hard"},
    "DFVExplorer": {"image": 1, "beta": 0.5, "colour": "pattern"},
    "DatasetBrowser": {"page": 1, "selected": 6},
    "ErrorBrowser": {"view": "missed objects"},
    "FaceExplorer": {"chosen": 1, "area": 0.5},
    "FocalLossExplorer": {"gamma": 0.5, "kind": "objects"},
    "OcclusionLab": {"texture": "noise", "box": [10, 20, 50, 60]},
    "ProposalExplorer": {"number": 3},
    "PyramidExplorer": {"proposals": 10, "chosen": 0},
    "RunMonitor": {},
}


class AllWidgets:
    """Makes them, each but once.

    Args:
        folder: for their files.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.made: dict[str, Any] = {}
        self.data = wb.load_data("digit-scenes", split="test", length=12)
        self.detector = wb.load_detector("digit-scenes/faster-rcnn")

    def __getitem__(self, name: str) -> Any:
        if name not in self.made:
            self.made[name] = self.makers[name]()
        return self.made[name]

    def close(self) -> None:
        for widget in self.made.values():
            widget.close()

    @property
    def makers(self) -> Mapping[str, Callable[[], Any]]:
        """Widget → what makes it."""
        one, scene = {NAME: self.detector}, (self.data[7])
        regions = (
            "AdversaryExplorer",
            "AttentionExplorer",
            "FaceExplorer",
            "OcclusionLab",
            "ProposalExplorer",
            "PyramidExplorer",
        )
        return {
            **{name: lambda name=name: getattr(widgets, name)(one, *scene) for name in regions},
            "Annotator": self._annotator,
            "DFVExplorer": self._dfv_explorer,
            "DatasetBrowser": lambda: widgets.DatasetBrowser(self.data, page_size=6),
            "ErrorBrowser": lambda: widgets.ErrorBrowser(
                {NAME: wb.evaluate(self.detector, self.data, progress=False)}, self.data
            ),
            "FocalLossExplorer": self._focal_loss_explorer,
            "RunMonitor": lambda: widgets.RunMonitor(adversary_run(self.folder / "run"), interval=1000),
        }

    def _annotator(self) -> Any:
        annotator = widgets.Annotator(self.data, self.folder / "my.json", worker="ann", picture=7)
        ring = [20, 20, 60, 20, 60, 70, 20, 70]
        annotator.act("segment", image=self.data.file_name(7), category="3", rings=[ring])
        return annotator

    def _dfv_explorer(self) -> Any:
        pairs = wb.load_data("digits", split="train", occlusion=PAIRS)
        return widgets.DFVExplorer({NAME: wb.load_detector("dfv/digits-c")}, pairs)

    def _focal_loss_explorer(self) -> Any:
        torch.manual_seed(0)
        return widgets.FocalLossExplorer(
            {NAME: build_detector(RETINANET, self.data.classes)}, self.data, progress=False
        )
