"""AOFD at the paper's sizes: what it is made of; and small, with its parts switched off."""

from __future__ import annotations

import pytest
import torch
from small_detectors import FASTER_RCNN

from workbench.detectors import build_detector
from workbench.detectors.aofd import AOFD
from workbench.detectors.layers.roi_max_pool import RoIMaxPool
from workbench.errors import RecipeError


def test_the_papers_sizes():
    with torch.device("meta"):
        detector = build_detector("aofd", ("face",))
    assert isinstance(detector, AOFD)
    cells = detector.rpn.anchor_generator.cell_anchors[0]
    assert len(cells) == 12
    widths, heights = cells[:, 2] - cells[:, 0], cells[:, 3] - cells[:, 1]
    with torch.device("cpu"):
        anchors = AOFD.build(
            ("face",), backbone={"name": "small"}, head={"width": 8}
        ).rpn.anchor_generator.cell_anchors[0]
    widths, heights = anchors[:, 2] - anchors[:, 0], anchors[:, 3] - anchors[:, 1]
    sides = (widths * heights).sqrt().view(3, 4)
    torch.testing.assert_close(sides[0], torch.tensor([64.0, 128, 256, 512]))
    assert (detector.transform.min_size, detector.transform.max_size) == ((512, 1024), 1024)
    assert detector.roi_heads.pool.strides == (16,)
    assert isinstance(detector.roi_heads.pool, RoIMaxPool)
    assert (detector.roi_heads.samples, detector.roi_heads.positive_fraction) == (128, 0.25)
    assert (detector.rpn.train_proposals, detector.rpn.test_proposals) == ((12000, 2000), (6000, 300))
    (branch,) = detector.branches
    assert (branch.weight, branch.enlarge) == (1e-5, 1.3)


def test_one_option_of_a_section_leaves_the_others_as_the_paper_has_them():
    config = {"kind": "aofd", "backbone": {"frozen_stages": 4}, "roi": {"mining": {"kind": "ohem", "kept": 64}}}
    with torch.device("meta"):
        detector = build_detector(config, ("face",))
    assert detector.roi_heads.pool.strides == (16,), "VGG16"
    assert (detector.roi_heads.box_beta, detector.roi_heads.nms_iou) == (1.0, 0.3)
    assert detector.roi_heads.mining is not None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"roi": "ohem"}, "detector.roi is 'ohem'"),
        ({"backbone": "vgg16"}, "detector.backbone is 'vgg16'"),
        ({"roi": {"sample": 64}}, "detector.roi.sample does not exist"),
    ],
)
def test_sections_that_are_none_are_refused(options, said):
    with pytest.raises(RecipeError, match=said):
        build_detector({"kind": "aofd", **options}, ("face",))


def test_small_and_without_its_branch():
    options = {key: value for key, value in FASTER_RCNN.items() if key != "kind"}
    whole = build_detector({"kind": "aofd", "pyramid": True, "pooling": "align", **options}, ("face",))
    bare = build_detector({"kind": "aofd", "pyramid": True, "branches": [], **options}, ("face",))
    assert [len(one.branches) for one in (whole, bare)] == [1, 0]
    found = whole.detect([torch.rand(3, 64, 64)])[0]
    assert found.extras["masks_occluder"].shape == (len(found), 64, 64)
    assert whole.rpn.anchor_generator.aspect_ratios[0] == (1.0, 1.3, 1.7)
