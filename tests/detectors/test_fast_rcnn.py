"""Fast R-CNN: proposals that are given, their sampling, the original's loss, and dropout in its place."""

from __future__ import annotations

import pytest
import torch
from small_detectors import BACKBONE, FAST_RCNN
from torchvision.models.detection._utils import Matcher

from workbench import load_data, with_proposals
from workbench.detectors import FasterRCNN, build_detector, load_detector, save_detector
from workbench.detectors.layers.box_heads import DropoutHead
from workbench.detectors.layers.matching import match_boxes
from workbench.errors import DataError, RecipeError
from workbench.evaluation import evaluate
from workbench.hardeners import RandomDropout
from workbench.types import Proposals

CLASSES = ("cat", "dog")
NETWORKS = {
    "small": FAST_RCNN,
    "vgg16": {"kind": "fast-rcnn", "backbone": {"name": "vgg16"}, "head": {"width": 16}, "min_size": 96},
    "alexnet": {"kind": "fast-rcnn", "backbone": {"name": "alexnet"}, "head": {"width": 16}, "min_size": 96},
    "resnet18-c4": {"kind": "fast-rcnn", "backbone": {"name": "resnet18"}, "min_size": 96},
    "resnet18-fpn": {
        "kind": "fast-rcnn", "backbone": {"name": "resnet18"}, "pyramid": True, "channels": 16, "min_size": 96,
        "head": {"width": 16}, "pooling": "align",
    },
}  # fmt: skip
POOLED = {
    "small": (16, 7), "vgg16": (512, 7), "alexnet": (256, 6), "resnet18-c4": (256, 14), "resnet18-fpn": (16, 7)
}  # fmt: skip


def sample() -> tuple[list[torch.Tensor], list[dict]]:
    """Two images of different sizes: one with two objects, one with none."""
    generator = torch.Generator().manual_seed(0)
    images = [torch.rand(3, h, w, generator=generator) for h, w in ((96, 128), (80, 100))]
    jitter = torch.rand(30, 4, generator=generator) * 16 - 8
    boxes = torch.tensor([[10.0, 10, 60, 60], [70, 20, 120, 90]])
    proposals = boxes.repeat(15, 1) + jitter
    none = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)}
    targets = [
        {"boxes": boxes, "labels": torch.tensor([1, 2]), "proposals": proposals},
        {**none, "proposals": proposals[:5] * 0.5},
    ]
    return images, targets


@pytest.mark.parametrize(("name", "width"), [("vgg16", 4096), ("alexnet", 4096), ("resnet101", 2048)])
def test_the_papers_settings_need_no_more_than_a_name(name, width):
    config = {"kind": "fast-rcnn", "backbone": {"name": name, "weights": "imagenet"}}
    with torch.device("meta"):
        detector = build_detector(config, CLASSES, pretrained=False)
    head, transform = detector.roi_heads, detector.transform
    assert head.box_predictor.cls_score.in_features == width
    assert (head.samples, head.pool.strides, transform.min_size, transform.max_size) == (128, (16,), (600,), 1000)


@pytest.mark.parametrize("name", list(NETWORKS))
def test_every_network_learns_and_detects(name):
    torch.manual_seed(0)
    detector = build_detector(NETWORKS[name], CLASSES)
    images, targets = sample()
    losses = detector.losses(images, targets, torch.Generator().manual_seed(0))
    assert set(losses) == {"classifier", "box"}
    losses.total.backward()
    learned = {key for key, value in detector.named_parameters() if value.grad is not None}
    assert learned == {key for key, value in detector.named_parameters() if value.requires_grad}
    found = detector.detect(images, [target["proposals"] for target in targets])
    assert len(found) == 2
    channels, size = POOLED[name]
    features = detector.roi_features(images, [target["boxes"] for target in targets])
    assert features.shape == (2, channels, size, size)


def test_detections_are_the_head_on_the_proposals():
    """With a head that never moves boxes the detections are proposals, scaled there and back."""
    torch.manual_seed(0)
    detector = build_detector(FAST_RCNN | {"min_size": 190, "roi": {"score_threshold": 0.0, "nms_iou": 1.0}}, CLASSES)
    predictor = detector.roi_heads.box_predictor.bbox_pred
    torch.nn.init.zeros_(predictor.weight)
    torch.nn.init.zeros_(predictor.bias)
    image = torch.rand(3, 95, 128)
    proposals = torch.tensor([[4.0, 4, 40, 50], [30, 30, 200, 90], [30, 20, 30, 90]])
    found = detector.detect([image], [proposals])[0]
    want = torch.tensor([[4.0, 4, 40, 50], [30, 30, 128, 90]])  # clipped; the empty one is no detection
    assert len(found) == 4
    for label in (1, 2):
        of_class = found[found.labels == label]
        boxes = of_class.boxes[of_class.boxes[:, 0].argsort()]
        torch.testing.assert_close(boxes, want, atol=1e-4, rtol=0)
        scores = detector.score_boxes([image], [boxes])[0][:, label]
        torch.testing.assert_close(scores, of_class.scores[of_class.boxes[:, 0].argsort()])


def test_proposals_and_bare_boxes_are_the_same_to_it():
    detector = build_detector(FAST_RCNN, CLASSES).eval()
    images, targets = sample()
    boxes = [target["proposals"] for target in targets]
    given = [Proposals.ranked(some) for some in boxes]
    for one, other in zip(detector.detect(images, boxes), detector.detect(images, given), strict=True):
        assert torch.equal(one.boxes, other.boxes)
        assert torch.equal(one.scores, other.scores)
    other = [target | {"proposals": some} for target, some in zip(targets, given, strict=True)]
    bare, typed = (detector.losses(images, some, torch.Generator().manual_seed(0)) for some in (targets, other))
    assert bare.floats() == typed.floats()


def test_images_without_proposals_or_objects():
    """Nothing to learn from: losses of 0 that still reach every parameter, as processes in parallel need it."""
    detector = build_detector(FAST_RCNN, CLASSES, RandomDropout())
    image, empty = torch.rand(3, 64, 64), torch.zeros(0, 4)
    target = {"boxes": empty, "labels": torch.zeros(0, dtype=torch.long), "proposals": empty}
    losses = detector.losses([image], [target])
    assert losses.floats() == {"classifier": 0.0, "box": 0.0, "total": 0.0}
    losses.total.backward()
    assert all(p.grad is not None and not p.grad.any() for p in detector.parameters())
    assert len(detector.detect([image], [empty])[0]) == 0
    target |= {"boxes": torch.tensor([[8.0, 8, 40, 40]]), "labels": torch.tensor([1])}
    assert detector.losses([image], [target]).total > 0, "the object itself is a RoI"


def test_missing_or_wrong_proposals_are_named():
    detector = build_detector(FAST_RCNN, CLASSES)
    images, targets = sample()
    with pytest.raises(DataError, match=r"image 0 of the batch has no proposals.*with_proposals"):
        detector.detect(images)
    bare = [{key: value for key, value in target.items() if key != "proposals"} for target in targets]
    with pytest.raises(DataError, match=r"has no proposals.*data\.proposals"):
        detector.losses(images, bare)
    with pytest.raises(DataError, match="2 images came with 1 sets"):
        detector.detect(images, [torch.zeros(0, 4)])
    with pytest.raises(DataError, match="proposals are a int; expected a list"):
        detector.detect(images, 3)
    with pytest.raises(DataError, match="proposals of an image are a list"):
        detector.detect(images, [[[0, 0, 4, 4]], []])
    for wrong, message in (
        (torch.zeros(3, 5), r"shape \(3, 5\), not \[P, 4\]"),
        (torch.tensor([[20.0, 20, 10, 10]]), "image 1 .*x, y, width, height"),
        (torch.tensor([[0.0, 0, float("inf"), 10]]), "expected finite"),
    ):
        with pytest.raises(DataError, match=message):
            detector.detect(images, [torch.zeros(0, 4), wrong])


def test_other_detectors_ignore_proposals():
    torch.manual_seed(0)
    detector = FasterRCNN.build(CLASSES, backbone=BACKBONE, channels=16, head={"width": 32}, min_size=None)
    image = torch.rand(3, 64, 64)
    assert not detector.needs_proposals
    assert build_detector(FAST_RCNN, CLASSES).needs_proposals
    one, two = detector.detect([image])[0], detector.detect([image], [torch.zeros(0, 4)])[0]
    assert torch.equal(one.boxes, two.boxes)


def test_background_has_a_lower_end():
    """Overlaps 1, 0.6, 0.4, 0.1, 0.09 and 0 with an object of 10 × 10."""
    heights = torch.tensor([10.0, 6, 4, 1, 0.9])
    boxes = torch.stack([torch.zeros(5), torch.zeros(5), torch.full((5,), 10.0), heights], dim=1)
    boxes = torch.cat([boxes, torch.tensor([[20.0, 20, 30, 30]])])
    truth, matcher = torch.tensor([[0.0, 0, 10, 10]]), Matcher(0.5, 0.5, allow_low_quality_matches=False)
    assert match_boxes(boxes, truth, matcher)[1].tolist() == [1, 1, 0, 0, 0, 0]
    assert match_boxes(boxes, truth, matcher, 0.1)[1].tolist() == [1, 1, 0, 0, -1, -1]
    assert match_boxes(boxes, torch.zeros(0, 4), matcher, 0.1)[1].tolist() == [-1] * 6


def test_published_defaults_and_their_change():
    head = build_detector(FAST_RCNN, CLASSES).roi_heads
    numbers = head.samples, head.positive_fraction, head.background_from, head.box_beta, head.nms_iou
    assert numbers == (16, 0.25, 0.1, 1.0, 0.3)
    released = build_detector(FAST_RCNN | {"roi": {"background_from": 0.0}}, CLASSES).roi_heads
    assert released.background_from == 0
    mining = build_detector(FAST_RCNN | {"roi": {"mining": {"kind": "ohem"}}}, CLASSES).roi_heads
    assert mining.background_from == 0, "OHEM looks at all background"
    assert released.samples == 128


def test_box_loss_is_the_originals():
    """Smooth L1 with beta 1 on deltas divided by 0.1, 0.1, 0.2, 0.2, summed over coordinates, mean over all RoIs."""
    torch.manual_seed(0)
    detector = build_detector(FAST_RCNN | {"roi": {"samples": 2, "positive_fraction": 1.0}}, CLASSES)
    predictor = detector.roi_heads.box_predictor.bbox_pred
    torch.nn.init.zeros_(predictor.weight)
    torch.nn.init.zeros_(predictor.bias)
    truth, proposal = torch.tensor([[10.0, 10, 50, 50]]), torch.tensor([[12.0, 10, 52, 50]])
    target = {"boxes": truth, "labels": torch.tensor([1]), "proposals": proposal}
    losses = detector.losses([torch.rand(3, 64, 64)], [target])
    shift = -2 / 40 / 0.1  # of the proposal; the object itself needs none
    assert float(losses["box"].detach()) == pytest.approx(0.5 * shift**2 / 2)


def test_dropout_is_in_the_losses_only_and_drawn_from_the_generator():
    torch.manual_seed(0)
    detector = build_detector(FAST_RCNN | {"head": {"width": 64, "dropout": 0.5}}, CLASSES).eval()
    images, targets = sample()
    assert isinstance(detector.roi_heads.box_head, DropoutHead)

    def loss(seed: int) -> float:
        torch.rand(3)  # torch's own generator must not matter
        return float(detector.losses(images, targets, torch.Generator().manual_seed(seed)).total.detach())

    assert loss(1) == loss(1)
    evaluated = loss(1)
    detector.roi_heads.train()
    assert loss(1) == evaluated, "losses do not depend on the mode"
    detector.roi_heads.box_head.dropout = 0.0
    assert loss(1) != evaluated
    detector.roi_heads.box_head.dropout = 0.5
    features = torch.rand(5, 16, 7, 7)
    score = detector.head_score()
    assert torch.equal(score(features), score(features))
    labels = torch.tensor([0, 1, 2, 1, 0])
    leaf = features.clone().requires_grad_()
    score(leaf).gather(1, labels[:, None]).sum().backward()
    torch.testing.assert_close(score.gradient(features, labels), leaf.grad)


def test_dropout_keeps_its_share_and_the_mean():
    """Both layers hand on what they are given: fc7 then sees fc6 with a quarter at 0 and the rest at 4/3."""
    head = DropoutHead(200, 200, dropout=0.25)
    for layer in (head.fc6, head.fc7):
        torch.nn.init.eye_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    features = torch.ones(500, 200, 1, 1)
    values, counts = head.learn(features, torch.Generator().manual_seed(0)).unique(return_counts=True)
    torch.testing.assert_close(values, torch.tensor([0, 16 / 9]))
    assert float(counts[1]) / 1e5 == pytest.approx(9 / 16, abs=0.01)
    assert torch.equal(head(features), torch.ones(500, 200))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pyramid": {"levels": 3}}, r"detector\.pyramid\.levels does not exist; choose from top_down"),
        ({"pooling": "mean"}, r"detector\.pooling is 'mean'; expected 'align' or 'max'"),
        ({"head": {"widht": 3}}, r"head\.widht is not an option of two-fc"),
        ({"head": {"dropout": 1.0}}, r"detector\.head\.dropout is 1\.0; expected less than 1"),
        ({"rpn": {}}, r"detector\.rpn is not an option of fast-rcnn"),
        ({"roi": {"sampels": 3}}, "sampels"),
    ],
)
def test_bad_configurations_say_what_exists(change, message):
    with pytest.raises(RecipeError, match=message):
        build_detector(FAST_RCNN | change, CLASSES)


def test_saved_detector_comes_back(tmp_path):
    torch.manual_seed(0)
    detector = build_detector(FAST_RCNN, CLASSES)
    again = load_detector(save_detector(detector, tmp_path / "a.safetensors"))
    images, targets = sample()
    proposals = [target["proposals"] for target in targets]
    for one, two in zip(detector.detect(images, proposals), again.detect(images, proposals), strict=True):
        assert torch.equal(one.boxes, two.boxes)


def test_a_few_steps_on_proposals_of_the_shipped_rpn(tmp_path):
    """The loss falls on digit scenes, and the evaluation hands the proposals on."""
    torch.manual_seed(0)
    scenes = load_data("digit-scenes", split="train").subset(range(4))
    data = with_proposals(scenes, kind="detector", name="digit-scenes/faster-rcnn", top=60, cache=tmp_path)
    config = {**FAST_RCNN, "canonical_size": 112, "pooling": "align", "roi": {"samples": 16}}
    detector = build_detector(config, data.classes)
    images, targets = zip(*data, strict=True)
    optimiser = torch.optim.AdamW(detector.parameters(), lr=3e-3)
    totals = []
    for step in range(20):
        losses = detector.train().losses(images, targets, torch.Generator().manual_seed(step))
        optimiser.zero_grad()
        losses.total.backward()
        optimiser.step()
        totals.append(float(losses.total.detach()))
    assert sum(totals[-3:]) < 0.7 * sum(totals[:3]), totals
    result = evaluate(detector, data, losses=True, progress=False)
    assert set(result.losses) == {"classifier", "box"}
    with pytest.raises(DataError, match=r"image 0 .*no proposals.*with_proposals"):
        evaluate(detector, scenes, progress=False)
