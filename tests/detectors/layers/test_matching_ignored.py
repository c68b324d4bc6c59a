"""Objects that are ignored: no RoI, anchor or window there is taught to be an object, or to be background."""

from __future__ import annotations

import pytest
import torch
from small_detectors import FASTER_RCNN, FPN_MASK, MASK_RCNN, RETINANET
from torchvision.models.detection._utils import Matcher

from workbench.detectors import build_detector
from workbench.detectors.layers import rpn as rpn_module
from workbench.detectors.layers.inputs import training_targets
from workbench.detectors.layers.matching import not_background

HIDDEN, SEEN = [16.0, 16, 48, 48], [70.0, 70, 110, 110]
IMAGE = torch.zeros(3, 128, 128, dtype=torch.uint8)
NOTHING = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)}


def target(*boxes, ignored=()):
    masks = torch.zeros(len(boxes), 128, 128, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[int(y1) : int(y2), int(x1) : int(x2)] = True
    labels = torch.ones(len(boxes), dtype=torch.long)
    made = {"boxes": torch.tensor(boxes), "labels": labels, "masks": masks}
    return made | ({"ignored": torch.tensor(ignored)} if ignored else {})


BOTH, ONE = target(HIDDEN, SEEN), target(SEEN)
LEFT_OUT = target(HIDDEN, SEEN, ignored=(True, False))


def test_by_hand():
    """Of IoU 1, 0.6, 0.4 and 0 with an ignored object: those that would not be background."""
    ignored = torch.tensor([[0.0, 0, 10, 10]])
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 6], [0, 0, 10, 4], [20, 20, 30, 30]])
    assert not_background(boxes, ignored, Matcher(0.5, 0.5)).tolist() == [True, True, False, False]
    assert not_background(boxes, ignored, Matcher(0.7, 0.3)).tolist() == [True, True, True, False]
    assert not not_background(boxes, torch.zeros(0, 4), Matcher(0.5, 0.5)).any()


def test_targets_say_where_they_lie_and_only_then():
    found = training_targets([BOTH, LEFT_OUT], [IMAGE] * 2, 1, torch.device("cpu"))
    assert found[0]["boxes"].tolist() == [HIDDEN, SEEN]
    assert "boxes_ignored" not in found[0]
    assert found[1]["boxes"].tolist() == [SEEN]
    assert found[1]["boxes_ignored"].tolist() == [HIDDEN]
    none = training_targets([target(SEEN, ignored=(False,))], [IMAGE], 1, torch.device("cpu"))
    assert "boxes_ignored" not in none[0]


def test_they_are_resized_with_the_image():
    detector = build_detector(FASTER_RCNN | {"min_size": 256, "max_size": 256}, ("a",))
    _, (truth,) = detector.prepare_to_learn([IMAGE], [LEFT_OUT])
    assert truth["boxes_ignored"].tolist() == [[32, 32, 96, 96]]


@pytest.mark.parametrize("mining", [None, {"kind": "ohem", "kept": 8}])
def test_rois_of_an_ignored_object_are_not_drawn(mining):
    """Proposals over the hidden object and over nothing; of the former none is drawn, and of the latter all are."""
    roi = {"samples": 64, "positive_fraction": 0.5} | ({} if mining is None else {"mining": mining})
    head = build_detector(FASTER_RCNN | {"roi": roi}, ("a",)).roi_heads
    over = torch.tensor([HIDDEN, [18, 16, 48, 48], [16, 20, 48, 48]])
    beside = torch.tensor([[0.0, 80, 30, 120], [16, 16, 30, 30]])
    proposals = [torch.cat([over, beside])]
    truths = [training_targets([one], [IMAGE], 1, torch.device("cpu")) for one in (ONE, LEFT_OUT, BOTH)]
    plain, without, learned = (head.sample(proposals, truth) for truth in truths)
    assert sorted(plain.labels[0].tolist()) == [0] * 5 + [1]
    assert sorted(without.labels[0].tolist()) == [0] * 2 + [1], "a small box inside is background, as of any object"
    assert sorted(learned.labels[0].tolist()) == [0] * 2 + [1] * 5


def test_anchors_of_an_ignored_object_are_not_drawn(monkeypatch):
    detector = build_detector(FASTER_RCNN, ("a",))
    states = []
    drawn = rpn_module.balanced_sample
    monkeypatch.setattr(
        rpn_module, "balanced_sample", lambda state, *rest: states.append(state.clone()) or drawn(state, *rest)
    )
    for one in (BOTH, LEFT_OUT, ONE):
        detector.losses([IMAGE], [one], torch.Generator().manual_seed(0))
    learned, without, plain = states
    hidden = (learned != 0) & (plain == 0)
    assert hidden.any()
    assert (without[hidden] == -1).all()
    assert torch.equal(without[~hidden], plain[~hidden])


def test_dense_anchors_of_an_ignored_object_have_no_loss():
    detector = build_detector(RETINANET, ("a",))
    (learned,), (without,), (plain,) = (detector.anchor_scores([IMAGE], [one]) for one in (BOTH, LEFT_OUT, ONE))
    hidden = (learned.labels != 0) & (plain.labels == 0)
    assert hidden.any()
    assert (without.labels[hidden] == -1).all()
    assert torch.equal(without.labels[~hidden], plain.labels[~hidden])


def test_windows_of_an_ignored_object_are_not_drawn():
    """With as many samples as places all are drawn but those where the hidden object's would be."""
    detector = build_detector(FPN_MASK, ("a",))
    batch, truth = detector.prepare_to_learn([IMAGE] * 2, [LEFT_OUT, ONE], needed=("masks",))
    maps = detector.maps(batch)
    owners = detector.windows.assign(maps, [one["boxes"] for one in truth])
    left_out = detector._unlearned(maps, truth, owners)
    would = detector.windows.assign(maps, [torch.tensor([HIDDEN])] * 2) >= 0
    assert torch.equal(left_out[0], would[0])
    assert left_out[0].any()
    assert not left_out[1].any()


@pytest.mark.parametrize("config", [FASTER_RCNN, MASK_RCNN, RETINANET, FPN_MASK], ids=lambda config: config["kind"])
def test_images_all_of_whose_objects_are_ignored_can_be_learned(config):
    torch.manual_seed(0)
    detector = build_detector(config, ("a",))
    given = [target(HIDDEN, ignored=(True,)), NOTHING | {"masks": torch.zeros(0, 128, 128, dtype=torch.bool)}]
    losses = detector.losses([IMAGE] * 2, given, torch.Generator().manual_seed(0))
    assert torch.isfinite(losses.total)
    losses.total.backward()
