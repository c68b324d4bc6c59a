"""Patches about one object: by hand on made images, and what holds for all of them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torchvision import tv_tensors

import workbench as wb
from workbench.data.dataset import Dataset, make_target
from workbench.data.patches import GREY, Patches
from workbench.errors import DataError

STILL = {"shift": 0.0, "octaves": 0.0}


class Rectangles(Dataset):
    """Images 100 x 120, black with white rectangles, as (label, box) of each."""

    name, split, classes = "rectangles", "train", ("one", "two")

    def __init__(self, *images, masks=True):
        self.images, self.masks = images, masks

    def __len__(self):
        return len(self.images)

    def size(self, index):
        return 100, 120

    def _drawn(self, index):
        masks = torch.zeros(len(self.images[index]), 100, 120, dtype=torch.bool)
        for mask, (_, (left, top, right, bottom)) in zip(masks, self.images[index], strict=True):
            mask[top:bottom, left:right] = True
        return masks

    def image(self, index):
        return tv_tensors.Image(self._drawn(index).any(dim=0).byte().expand(3, -1, -1) * 255)

    def target(self, index):
        masks = self._drawn(index)
        return make_target(
            image_id=index + 1,
            size=(100, 120),
            boxes=torch.tensor([box for _, box in self.images[index]]).reshape(-1, 4),
            labels=torch.tensor([label for label, _ in self.images[index]], dtype=torch.long),
            area=masks.sum(dim=(1, 2)),
            masks=masks if self.masks else None,
        )


ONE = Rectangles([(1, (40, 30, 72, 46))])  # 32 x 16 pixels around (56, 38)


def test_an_object_in_the_middle_at_its_size():
    patches = Patches(ONE, size=56, context=8, score_share=0.0, **STILL)
    assert patches.object_size == 32  # 56 * 128 / 224
    image, target = patches[0]
    assert image.shape == (3, 64, 64)
    assert target["boxes"].tolist() == [[16, 24, 48, 40]]  # around (32, 32), as large as in the image
    assert target["masks"].shape == (1, 64, 64)
    assert target["masks"][0, 24:40, 16:48].all()
    assert target["masks"].sum() == 16 * 32
    assert image[0].bool().equal(target["masks"][0])
    assert "objectness" not in target


def test_enlarged_for_a_smaller_object():
    patches = Patches(ONE, size=112, context=16, score_share=0.0, **STILL)  # objects of 64 pixels: twice as large
    target = patches.target(0)
    assert target["boxes"].tolist() == [[32, 48, 96, 80]]
    assert target["masks"].sum() == 4 * 16 * 32


def test_grey_outside_the_image():
    corner = Rectangles([(1, (0, 0, 32, 16))])  # around (16, 8): the patch begins at (-16, -24)
    image = Patches(corner, size=56, context=8, score_share=0.0, **STILL).image(0)
    assert (image[:, :24] == GREY).all()
    assert (image[:, :, :16] == GREY).all()
    assert (image[:, 24:40, 16:48] == 255).all()


def test_jitter_stays_within_its_range():
    patches = Patches(ONE, size=56, context=8, score_share=0.0, shift=5, octaves=0.25)
    cuts = [patches.drawn(0, epoch).cut(0) for epoch in range(300)]
    scales = np.log2([64 / cut.side for cut in cuts])
    assert -0.27 < scales.min() < -0.2  # sides are whole pixels
    assert 0.2 < scales.max() < 0.27
    centres = np.array([(cut.left + cut.side / 2 - 56, cut.top + cut.side / 2 - 38) for cut in cuts])
    moved = centres / np.array([cut.side for cut in cuts])[:, None] * 64
    assert 4 < np.abs(moved).max() < 5 + 1


def test_patches_for_scores():
    patches = Patches(wb.load_data("digit-scenes", length=20), size=64, context=16, score_share=1.0)
    kinds = Counter(cut.kind for cut in map(patches.cut, range(20)))
    assert set(kinds) == {"object", "background"}
    for index in range(20):
        cut, target = patches.cut(index), patches.target(index)
        assert "masks" not in target
        assert target["objectness"] == (cut.kind == "object")
        assert len(target["labels"]) == target["objectness"]
        if cut.kind == "object":  # in the middle, as large as it should be, but for whole pixels of the image
            left, top, right, bottom = target["boxes"][0].tolist()
            pixel = 80 / cut.side
            assert abs((left + right) / 2 - 40) <= pixel
            assert abs((top + bottom) / 2 - 40) <= pixel
            assert max(right - left, bottom - top) == pytest.approx(patches.object_size, rel=0.03)


@pytest.mark.parametrize("rule", [{"distance": 32 / 160 * 64, "distance_octaves": 1.0}, {}])
def test_background_is_far_from_every_object(rule):
    data = wb.load_data("digit-scenes", length=10)
    patches = Patches(data, size=64, context=16, score_share=1.0, scales=(-1.0, 1.0), **rule)
    seen = 0
    for epoch in range(30):
        cut = patches.drawn(3, epoch).cut(0)
        if cut.kind != "background":
            continue
        seen += 1
        boxes = data.target(cut.image)["boxes_visible"].as_subclass(torch.Tensor)
        scale = 80 / cut.side
        centre = torch.tensor([cut.left, cut.top]) + cut.side / 2
        distance = ((boxes[:, :2] + boxes[:, 2:]) / 2 - centre).norm(dim=1) * scale
        octaves = ((boxes[:, 2:] - boxes[:, :2]).amax(dim=1) * scale / patches.object_size).log2().abs()
        slack = 1.5 * scale  # the patch begins at a whole pixel
        assert ((distance > patches.distance - slack) | (octaves > patches.distance_octaves - 0.1)).all()
    assert seen > 5


def test_other_patches_in_other_epochs_and_the_same_again():
    patches = Patches(wb.load_data("digit-scenes", length=8), size=64, context=16)
    first, again = patches.drawn(1, 0), patches.drawn(1, 0)
    assert [first.cut(i) for i in range(8)] == [again.cut(i) for i in range(8)]
    assert first.image(2).equal(again.image(2))
    for other in (patches.drawn(1, 1), patches.drawn(2, 0)):
        assert [first.cut(i) for i in range(8)] != [other.cut(i) for i in range(8)]


def test_classes_are_equally_frequent():
    common = [[(1, (10, 10, 40, 40)), (1, (60, 50, 90, 90))]] * 9
    patches = Patches(Rectangles(*common, [(2, (10, 10, 40, 40))]), score_share=0.0)
    labels = [int(patches.drawn(0, epoch).target(0)["labels"]) for epoch in range(200)]
    assert 75 < labels.count(2) < 125


def test_small_difficult_and_crowd_objects_teach_nothing():
    tiny = Rectangles([(1, (10, 10, 14, 90)), (2, (50, 50, 80, 80))])
    assert len(Patches(tiny).objects.places) == 1
    with pytest.raises(DataError, match="no object of 100 pixels or more"):
        Patches(Rectangles([(1, (10, 10, 14, 90))]))
    with pytest.raises(DataError, match="no object"):
        Patches(Rectangles([]))


def test_data_without_masks_are_refused():
    with pytest.raises(DataError, match=r'no target\["masks"\].*options.masks true'):
        Patches(Rectangles([(1, (40, 30, 72, 46))], masks=False))


def test_no_place_for_background_is_said():
    patches = Patches(Rectangles(*ONE.images * 8), score_share=1.0, distance=1e6, distance_octaves=100)
    with pytest.raises(DataError, match=r"no place further than 1e\+06 pixels.*lower `distance`"):
        list(map(patches.cut, range(8)))


def test_whole_objects_where_they_are_wanted():
    data = wb.load_data("digit-scenes", length=30, occlusion_rate=1.0)
    hidden = next(i for i in range(30) if data.target(i)["occlusion"].max() > 0.4)
    one = data.subset([hidden])
    visible, amodal = Patches(one, score_share=0.0), Patches(one, score_share=0.0, key="masks_amodal")
    assert "masks_amodal" in amodal.target(0)
    assert "masks" not in amodal.target(0)
    areas = [sum(p.drawn(0, e).target(0)[p.key].sum() / p.side**2 for e in range(40)) for p in (visible, amodal)]
    assert areas[0] < areas[1]
