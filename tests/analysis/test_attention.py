"""Attention of heads whose every number is known, and of a small one that has really learnt."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead

from workbench.analysis.attention import (
    STRATEGIES,
    cell_importance,
    crop,
    inversions,
    map_correlation,
    masked_features,
    roi_attention,
    spread,
    spread_table,
)
from workbench.data import load_data
from workbench.data.dataset import Dataset, make_target
from workbench.detectors import build_detector, load_detector
from workbench.detectors.base import Detector
from workbench.detectors.layers.roi_head import RoIHead
from workbench.detectors.layers.roi_pool import RoIAlign
from workbench.detectors.locate import shipped_names
from workbench.errors import DataError, RecipeError, WorkbenchError
from workbench.types import Score

BOX = torch.tensor([4.0, 8.0, 20.0, 24.0])  # 4 × 4 cells of 4 pixels


class ColourDetector(Detector):
    """Two channels, red and green brightness; class 1 likes red, class 2 green, background neither."""

    classes = ("red", "green")

    def __init__(self, gain: float = 1.0):
        super().__init__()
        weight = torch.tensor([[0.0, 0.0], [gain, 0.0], [-gain / 2, gain]])
        self.weight = nn.Parameter(weight)
        self.config = {}

    def roi_features(self, images, boxes) -> Tensor:
        crops = []
        for image, some in zip(images, boxes, strict=True):
            for x1, y1, x2, y2 in some.round().int().tolist():
                crops.append(image.as_subclass(Tensor)[:2, y1:y2, x1:x2].float() / 255)
        return torch.stack([F.adaptive_avg_pool2d(part, 4) for part in crops])

    def head_score(self) -> Score:
        weight = self.weight.detach()
        return Score(lambda features: features.sum(dim=(2, 3)) @ weight.T)


@pytest.fixture
def image():
    """Red in the upper left cells of the box, green in the lower right ones, each brightest in one cell."""
    image = torch.zeros(3, 32, 40, dtype=torch.uint8)
    image[0, 8:16, 4:12] = 102
    image[0, 8:12, 4:8] = 204
    image[1, 16:24, 12:20] = 153
    return image


def test_equation_1_by_hand(image):
    seen = roi_attention(ColourDetector(), image, BOX, 2)
    red = torch.zeros(4, 4)
    red[:2, :2], red[0, 0] = 0.4, 0.8
    green = torch.zeros(4, 4)
    green[2:, 2:] = 0.6
    torch.testing.assert_close(seen.map, green - 0.5 * red)
    assert seen.weights.tolist() == [-0.5, 1.0]
    assert seen.channels.tolist() == [1, 0]
    torch.testing.assert_close(seen.channel_maps, torch.stack([green, -0.5 * red]))
    logits = torch.tensor([0.0, 2.0, 2.4 - 1.0])  # 0.8 + 3 × 0.4 = 2 of red, 4 × 0.6 of green
    torch.testing.assert_close(seen.probabilities, logits.softmax(0))
    assert seen.score == pytest.approx(float(logits.softmax(0)[2]))


def test_the_map_answers_to_the_class_that_is_asked_about(image):
    maps = {label: roi_attention(ColourDetector(), image, BOX, label).map for label in (0, 1, 2)}
    assert maps[1].argmax() == 0
    assert maps[2].flatten().argmax() in (10, 11, 14, 15)
    assert maps[0].abs().max() == 0  # nothing speaks for background


def test_without_a_label_the_most_probable_object_is_explained(image):
    """Even where background is more probable than any object."""
    assert roi_attention(ColourDetector(), image, BOX).label == 1
    assert roi_attention(ColourDetector(gain=-1), image, BOX).label == 2  # logits 0, -2 and -1.4


def test_masking_the_top_cells_by_hand(image):
    """Without the 4 red cells (a quarter of 16) the logit of red falls to 0."""
    seen = roi_attention(ColourDetector(), image, BOX, 1)
    options = {"drop_cells": 0.25, "drop_channels": 0.5}
    for orientation in ("spatial", "both"):
        soft = inversions(ColourDetector(), seen, orientation=orientation, **options)["soft"]
        assert soft.kept_channels[0].sum() == 12
        assert soft.after.probabilities.log().diff()[0] == pytest.approx(0, abs=1e-6)
        assert float((soft.after.probabilities[2] / soft.after.probabilities[0]).log()) == pytest.approx(2.4)
    channel = inversions(ColourDetector(), seen, orientation="channel", **options)["soft"]
    assert channel.kept_channels[:, 0, 0].tolist() == [0.0, 1.0]  # red is gone, green is not
    assert channel.kept.unique().tolist() == [0.5]
    torch.testing.assert_close(channel.after.map, torch.zeros(4, 4))


def test_both_spares_insensitive_channels(image):
    image[1] |= image[0]  # green where red is, too
    seen = roi_attention(ColourDetector(), image, BOX, 1)
    both, spatial = (
        inversions(ColourDetector(), seen, orientation=o, drop_cells=0.25, drop_channels=0.5, strategies=["soft"])
        for o in ("both", "spatial")
    )
    assert both["soft"].after.probabilities[2] > spatial["soft"].after.probabilities[2]
    assert both["soft"].mask.shape == (2, 4, 4)
    assert spatial["soft"].mask.shape == (1, 4, 4)


@pytest.fixture(scope="module")
def learnt():
    """A two-layer head taught that class k is a bump in cell k of channel k, and k + 12 of channel k + 3."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    head = RoIHead(RoIAlign((4,), size=5), TwoMLPHead(8 * 25, 32), FastRCNNPredictor(32, 4))
    optimiser = torch.optim.Adam(head.parameters(), 3e-3)
    for _ in range(150):
        features, labels = bumps(64, generator)
        optimiser.zero_grad()
        F.cross_entropy(head(features), labels).backward()
        optimiser.step()
    return LearntDetector(head.train())


def bumps(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    features = torch.rand(count, 8, 25, generator=generator)
    labels = torch.randint(0, 4, (count,), generator=generator)
    rows = torch.where(labels > 0)[0]
    features[rows, labels[rows], labels[rows]] += 3
    features[rows, labels[rows] + 3, labels[rows] + 12] += 2
    return features.view(count, 8, 5, 5), labels


class LearntDetector(Detector):
    """Ignores the image: its features are set by the test."""

    classes = ("a", "b", "c")

    def __init__(self, head: RoIHead):
        super().__init__()
        self.head, self.features = head, torch.zeros(1)

    def roi_features(self, images, boxes) -> Tensor:
        return self.features[None]

    def head_score(self) -> Score:
        return self.head.score()


def test_masked_attention_costs_a_learnt_class_more_than_random_cells(learnt, image):
    """For the class that was asked about, whichever: features that speak for two classes at once."""
    generator = torch.Generator().manual_seed(1)
    falls = {name: [] for name in STRATEGIES}
    features, labels = bumps(60, generator)
    for index in torch.where(labels > 0)[0].tolist():
        label, other = int(labels[index]), int(labels[index]) % 3 + 1
        learnt.features = features[index].clone()
        learnt.features[other, 0, other] += 3
        asked = [roi_attention(learnt, image, BOX, one) for one in (label, other)]
        assert not torch.allclose(asked[0].map, asked[1].map, atol=0.1)
        for seen in asked:
            done = inversions(learnt, seen, orientation="spatial", drop_cells=0.2, generator=generator)
            for name, one in done.items():
                falls[name].append(math.log(seen.score) - math.log(one.after.score))
    mean = {name: np.mean(values) for name, values in falls.items()}
    assert mean["soft"] > 3 * abs(mean["random"])
    assert mean["hard"] > 0
    assert mean["overturn"] > 0


def test_masked_attention_costs_a_trained_detector_more_than_random_cells():
    """The shipped baseline, which has never seen a mask, on digits that it is sure of."""
    if "digit-scenes/faster-rcnn" not in shipped_names():
        pytest.skip("the weights of the digit-scenes baseline are not shipped here")
    detector, data = load_detector("digit-scenes/faster-rcnn"), load_data("digit-scenes", "test")
    generator, falls = torch.Generator().manual_seed(0), []
    for index in range(25):
        image, target = data[index]
        for box, label in zip(target["boxes"], target["labels"].tolist(), strict=True):
            seen = roi_attention(detector, image, box, label)
            if seen.score > 0.5:
                done = inversions(detector, seen, orientation="spatial", generator=generator)
                falls.append([seen.score - done[name].after.score for name in ("soft", "random")])
    soft, random = np.mean(falls, axis=0)
    assert len(falls) >= 20
    assert soft > 1.2 * random > 0
    other = roi_attention(detector, image, box, label % 10 + 1)
    assert (other.map - roi_attention(detector, image, box, label).map).abs().max() > 0.1 * other.map.abs().max()


def test_modes_and_parameters_are_left_alone(learnt, image):
    learnt.features = bumps(1, torch.Generator().manual_seed(2))[0][0]
    learnt.zero_grad(set_to_none=True)
    inversions(learnt, roi_attention(learnt, image, BOX, 1))
    assert learnt.head.training
    assert all(parameter.grad is None for parameter in learnt.parameters())


def test_random_is_the_same_each_time_unless_a_generator_is_given(image):
    detector = ColourDetector()
    seen = roi_attention(detector, image, BOX, 1)
    masks = [inversions(detector, seen)["random"].mask for _ in range(2)]
    assert torch.equal(*masks)
    generator = torch.Generator().manual_seed(5)
    drawn = [inversions(detector, seen, generator=generator)["random"].mask for _ in range(5)]
    assert any(not torch.equal(drawn[0], mask) for mask in drawn[1:])


@pytest.mark.parametrize("options", [{"pyramid": True}, {"backbone": {"name": "resnet18"}, "pyramid": False}])
def test_on_real_detectors(options, image):
    """Two-layer head with its closed form and a convolutional head by back-propagation."""
    torch.manual_seed(0)
    small = {"backbone": {"name": "small"}, "head": {"width": 64}, "min_size": None}
    conv5 = {"head": {"kind": "conv5"}, "min_size": 64, "pool_size": 8, **options}
    kind = small if options["pyramid"] else conv5
    detector = build_detector({"kind": "faster-rcnn", **kind}, ("a", "b"), pretrained=False).train()
    seen = roi_attention(detector, image, BOX, 1)
    other = roi_attention(detector, image, BOX, 2)
    assert not torch.allclose(seen.map, other.map)
    assert seen.weights.shape == (seen.features.shape[0],)
    torch.testing.assert_close(seen.probabilities, detector.score_boxes([image], [BOX[None]])[0][0])
    done = inversions(detector, seen)
    assert list(done) == list(STRATEGIES)
    assert all(0 <= one.after.score <= 1 for one in done.values())
    assert detector.training


def test_what_cannot_be(image):
    detector = ColourDetector()
    with pytest.raises(DataError, match=r"label 3 is outside 0\.\.2"):
        roi_attention(detector, image, BOX, 3)
    with pytest.raises(DataError, match="no pixel inside the image of 40 × 32"):
        roi_attention(detector, image, torch.tensor([50.0, 0, 60, 10]))
    with pytest.raises(DataError, match="no pixel inside"):
        roi_attention(detector, image, torch.tensor([10.0, 10, 5, 20]))
    seen = roi_attention(detector, image, BOX, 1)
    with pytest.raises(DataError, match="'sof' does not exist; choose from soft"):
        inversions(detector, seen, strategies=["sof"])
    with pytest.raises(DataError, match="'up' does not exist"):
        inversions(detector, seen, orientation="up")
    with pytest.raises(DataError, match=r"drop_cells is 1\.5"):
        inversions(detector, seen, drop_cells=1.5)


def test_crop_is_exact_and_crisp(image):
    """Half a pixel off: the first and the last column are half as wide."""
    ramp = torch.arange(4, dtype=torch.uint8).mul(60)[None, None].expand(3, 4, 4).contiguous()
    patch = crop(ramp, torch.tensor([0.5, 0.0, 3.5, 4.0]), side=12)
    assert patch[0, 0].tolist() == [0, 0, *[60] * 4, *[120] * 4, 180, 180]
    half = crop(ramp.float() / 255, torch.tensor([0.0, 0.0, 4.0, 4.0]), side=2)
    assert half[0, 0].tolist() == [30, 150]  # means of neighbours
    assert roi_attention(ColourDetector(), image, BOX, 1).patch.shape == (3, 224, 224)


def test_spread_by_hand():
    one = torch.zeros(7, 7)
    one[3, 3] = 5
    two = one.clone()
    two[0, 0] = 5
    two[1, 1] = -9  # what speaks against does not count
    maps = torch.stack([one, two, torch.ones(7, 7), -torch.ones(7, 7)])
    found = spread(maps)
    assert found[:3].tolist() == pytest.approx([0, math.log(2) / math.log(49), 1])
    assert found[3].isnan()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.floats(0.01, 100))
def test_spread_is_a_fraction_and_knows_no_scale(seed, scale):
    maps = torch.rand(3, 5, 5, generator=torch.Generator().manual_seed(seed))
    found = spread(maps)
    assert ((found >= 0) & (found <= 1 + 1e-6)).all()
    torch.testing.assert_close(spread(maps * scale), found)


class TwoImages(Dataset):
    """The same image twice: two objects, one of them difficult; then none."""

    name, classes, split = "two", ("red", "green"), "test"

    def __init__(self, image: Tensor):
        self._image = image

    def __len__(self) -> int:
        return 2

    def image(self, index: int) -> Tensor:
        return self._image

    def target(self, index: int) -> dict:
        boxes = torch.stack([BOX, BOX])[: 2 - 2 * index]
        flags = torch.tensor([False, True])[: len(boxes)]
        labels = torch.tensor([2, 1])[: len(boxes)]
        return make_target(
            image_id=index,
            size=(32, 40),
            boxes=boxes,
            labels=labels,
            area=torch.full((len(boxes),), 256.0),
            difficult=flags,
        )

    def size(self, index: int) -> tuple[int, int]:
        return 32, 40


def test_spread_table(image):
    table = spread_table(ColourDetector(), TwoImages(image))
    seen = roi_attention(ColourDetector(), image, BOX, 2)
    assert len(table) == 1
    row = table.iloc[0]
    assert (row["image"], row["object"], row["label"]) == (0, 0, 2)
    assert math.isnan(row["occlusion"])
    assert row["score"] == pytest.approx(seen.score)
    assert row["spread"] == pytest.approx(seen.spread) == pytest.approx(math.log(4) / math.log(16))
    assert len(spread_table(ColourDetector(), TwoImages(image), [1])) == 0


def test_cell_importance_of_a_linear_head_is_weight_times_feature():
    weight = torch.randn(3, 2 * 2 * 2, generator=torch.Generator().manual_seed(0))
    features = torch.rand(4, 2, 2, 2, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 2, 1])
    falls = cell_importance(Score(lambda f: f.flatten(1) @ weight.T), features, labels)
    torch.testing.assert_close(falls, (weight[labels].view(4, 2, 2, 2) * features).sum(1))


def test_map_correlation():
    maps = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]).repeat(3, 1, 1)
    others = torch.stack([2 * maps[0] + 5, -maps[0], torch.ones(2, 2)])
    torch.testing.assert_close(map_correlation(maps, others), torch.tensor([1.0, -1.0, 0.0]))


def test_masked_features_by_hand(image):
    """A quarter of 16 cells, those of the largest attention: the 4 red ones for red, the 4 green ones for green."""
    detector = ColourDetector()
    boxes = torch.stack([BOX, BOX])
    features, labels = detector.roi_features([image], [boxes]), torch.tensor([1, 2])
    masked = masked_features(detector, features, labels, orientation="spatial", drop_cells=0.25)
    red, green = features[0].clone(), features[0].clone()
    red[:, :2, :2] = 0
    green[:, 2:, 2:] = 0
    torch.testing.assert_close(masked, torch.stack([red, green]))
    assert not masked.requires_grad


def test_masked_features_are_drawn_by_the_generator(image):
    detector = ColourDetector()
    features, labels = detector.roi_features([image], [BOX[None]]), torch.tensor([2])
    one, again = (masked_features(detector, features, labels, inversion="random") for _ in range(2))
    assert torch.equal(one, again)
    other = masked_features(
        detector, features, labels, inversion="random", generator=torch.Generator().manual_seed(1)
    )
    assert not torch.equal(one, other)
    with pytest.raises(RecipeError, match="orientation"):
        masked_features(detector, features, labels, orientation="up")


def test_background_is_masked_only_where_it_is_asked_for(image):
    detector = ColourDetector()
    features, labels = detector.roi_features([image], [torch.stack([BOX, BOX])]), torch.tensor([0, 1])
    masked = masked_features(detector, features, labels, orientation="spatial")
    assert torch.equal(masked[0], features[0])
    assert not torch.equal(masked[1], features[1])
    both = masked_features(detector, features, labels, orientation="spatial", background_share=1.0)
    assert torch.equal(both[1], masked[1])
    assert not torch.equal(both[0], features[0])


def test_a_detector_without_rois_has_no_masked_features():
    with pytest.raises(
        WorkbenchError, match="RetinaNet has no pooled features of boxes; choose one of aofd, fast-rcnn"
    ):
        masked_features(load_detector("digit-scenes/retinanet"), torch.ones(1, 3, 4, 4), torch.tensor([1]))
