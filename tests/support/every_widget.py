"""Every widget in a cell of a notebook, as small as it may be: for tests of what all have in common in a page."""

from __future__ import annotations

from pathlib import Path

from adversary_run import adversary_run

#: Runs first; the kernel is in a folder with "run", the folder of a run.
SETUP = """
import torch
import workbench as wb
import widgets

torch.set_num_threads(1)
data = wb.load_data("digit-scenes", split="test", length=8)
plain = wb.load_detector("digit-scenes/faster-rcnn")
dense = wb.load_detector("digit-scenes/retinanet")
few = {"occluders": ["cup"], "random_places": 0, "pair_classes": 3, "pair_images": 3}
pairs = wb.load_data("digits", split="train", occlusion=few)
"""
#: Class → the cell that makes one, called `w`.
CELLS = {
    "AdversaryExplorer": "AdversaryExplorer('run', data, index=5)",
    "Annotator": "Annotator(data, 'my.json', worker='ann', picture=7)",
    "AttentionExplorer": "AttentionExplorer(plain, data, index=7)",
    "DFVExplorer": "DFVExplorer(wb.load_detector('dfv/digits-c'), pairs)",
    "DatasetBrowser": "DatasetBrowser(data)",
    "ErrorBrowser": "ErrorBrowser(wb.evaluate(plain, data, progress=False), data)",
    "FaceExplorer": "FaceExplorer(plain, data, index=7)",
    "FocalLossExplorer": "FocalLossExplorer(dense, data, progress=False)",
    "OcclusionLab": "OcclusionLab(plain, *data[7])",
    "ProposalExplorer": "ProposalExplorer(plain, data, index=7)",
    "PyramidExplorer": "PyramidExplorer(plain, data, index=7)",
    "RunMonitor": "RunMonitor('run', interval=60)",
}


def make_run(folder: Path) -> Path:
    """The run that some of the widgets are about; they take some seconds."""
    adversary_run(folder)
    return folder
