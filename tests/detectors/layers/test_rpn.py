"""The region proposal network: what its precision leaves alone."""

from __future__ import annotations

import torch
from small_detectors import FASTER_RCNN

from workbench.detectors import build_detector


def test_anchors_are_exact_under_half_precision(monkeypatch):
    """torchvision's take the type of the maps: in bfloat16 they would lie up to 2 pixels beside at 500."""
    torch.manual_seed(0)
    rpn = build_detector(FASTER_RCNN, ("a",)).rpn
    made = []
    monkeypatch.setattr(rpn, "_best", lambda anchors, *_: made.append(anchors[0]) or [])
    detector = build_detector(FASTER_RCNN, ("a",))
    batch = detector.prepare([torch.rand(3, 301, 517)])
    maps = detector.maps(batch)
    for features in (maps, [level.bfloat16() for level in maps]):
        with torch.autocast("cpu", torch.bfloat16, enabled=features is not maps):
            rpn(batch, features)
    assert made[1].dtype == torch.float32
    assert torch.equal(*made)
    assert float(made[0].max()) > 500
