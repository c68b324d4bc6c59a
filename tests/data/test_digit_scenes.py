"""Digit scenes: determinism, disjoint splits, exact occlusion, the levels that each split promises."""

import pickle

import numpy as np
import pytest
import torch

from workbench.data import load_data
from workbench.data.digit_scenes import DigitScenes
from workbench.data.drawing import pixels as pool
from workbench.data.drawing.layout import LEVELS, MOST_HIDDEN, Cover
from workbench.errors import DataError


def scenes(split: str = "test", **options) -> DigitScenes:
    return load_data("digit-scenes", split=split, **options)


def occlusions(data: DigitScenes) -> np.ndarray:
    return torch.cat([data.target(index)["occlusion"] for index in range(len(data))]).numpy()


def same(first: tuple, second: tuple) -> bool:
    keys = first[1].keys() == second[1].keys()
    tensors = (torch.equal(first[1][k], second[1][k]) for k in first[1] if k != "image_id")
    return keys and torch.equal(first[0], second[0]) and all(tensors)


def test_a_scene_depends_on_nothing_but_split_index_and_seed() -> None:
    forwards, backwards = scenes(length=6), scenes(length=6, cache=False)
    ahead = [forwards[index] for index in range(6)]
    back = [backwards[index] for index in reversed(range(6))][::-1]
    assert all(same(one, other) for one, other in zip(ahead, back, strict=True))
    assert same(forwards[3], scenes(length=500)[3])  # nor on the length
    assert not same(forwards[3], scenes(length=6, seed=1)[3])
    assert not same(forwards[3], scenes("val", length=6)[3])


def test_the_cache_gives_what_was_made_and_is_not_shared_with_the_caller() -> None:
    data = scenes(length=2)
    image, target = data[0]
    before = image.clone()
    image.zero_()
    target["boxes"].zero_()
    target["masks"].zero_()
    target["masks_amodal"].zero_()
    again = data[0]
    assert torch.equal(again[0], before)
    assert same(again, scenes(length=2, cache=False)[0])
    assert same(pickle.loads(pickle.dumps(data))[1], data[1])


def test_target_alone_is_the_same_and_paints_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = scenes(length=3)[1][1]
    monkeypatch.setattr("workbench.data.digit_scenes.paint", lambda *_: pytest.fail("the image was painted"))
    target = scenes(length=3).target(1)
    assert all(torch.equal(target[k], expected[k]) for k in expected if k != "image_id")


def test_splits_share_neither_digits_nor_photographs_nor_texture_pixels() -> None:
    indices = [set(pool.digit_indices(split).tolist()) for split in pool.SPLITS]
    assert sorted(len(part) for part in indices) == [200, 397, 1200]
    assert len(set.union(*indices)) == 1797
    names = [name for split in pool.SPLITS for name in pool.PHOTOGRAPHS[split]]
    assert len(set(names)) == len(names)
    used = np.zeros((512, 512), int)
    for left, top, right, bottom in pool.TEXTURE_REGIONS.values():
        used[top:bottom, left:right] += 1
    assert used.max() == 1
    for split in pool.SPLITS:
        assert len(pool.photographs(split)) == len(pool.PHOTOGRAPHS[split])
        assert set(pool.digits(split)[1].tolist()) == set(range(10))


def test_digits_are_scikit_learns() -> None:
    from sklearn.datasets import load_digits  # the peer; slow to import

    given, (images, values) = load_digits(), pool._all_digits()
    assert np.array_equal(values, given.target)
    assert np.array_equal(images, (given.images / 16 * 255).astype(np.uint8))


def test_objects_take_their_digits_from_their_own_split() -> None:
    for split in pool.SPLITS:
        data = scenes(split, length=20)
        values = pool.digits(split)[1]
        pieces = [piece for index in range(20) for piece in data.layout(index).pieces]
        assert all(values[ink.position] + 1 == piece.label for piece in pieces for ink in piece.inks)


@pytest.mark.parametrize(("family", "size"), [("digits", 128), ("parts", 128), ("digits", 200), ("digits", 64)])
def test_truth_follows_from_the_masks(family: str, size: int) -> None:
    data = scenes(family=family, size=size, length=25)
    for image, target in data:
        assert image.shape == (3, size, size)
        assert image.dtype == torch.uint8
        masks, amodal = target["masks"], target["masks_amodal"]
        assert masks.dtype == amodal.dtype == torch.bool
        assert len(target["labels"]) >= 1
        assert not (masks & ~amodal).any()
        assert masks.sum(0).max() <= 1  # a pixel shows one object
        hidden = 1 - masks.sum((1, 2)) / amodal.sum((1, 2))
        torch.testing.assert_close(target["occlusion"], hidden, atol=1e-6, rtol=0)
        assert target["occlusion"].max() <= MOST_HIDDEN
        assert torch.equal(target["area"], masks.sum((1, 2)).float())
        for boxes, pixels in ((target["boxes"], amodal), (target["boxes_visible"], masks)):
            for box, mask in zip(boxes.tolist(), pixels, strict=True):
                rows, columns = mask.nonzero(as_tuple=True)
                edges = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
                assert box == [float(edge) for edge in edges]
        assert not target["iscrowd"].any()
        assert not target["difficult"].any()


def test_hidden_pixels_lie_under_occluders_or_other_objects() -> None:
    data = scenes(length=30)
    for index in range(30):
        target, layout = data.target(index), data.layout(index)
        over = torch.zeros(128, 128, dtype=torch.bool)
        for layer in layout.layers:
            over[layer.window] |= torch.from_numpy(layer.mask) if isinstance(layer, Cover) else False
        over |= target["masks"].any(0)
        assert not (target["masks_amodal"] & ~target["masks"] & ~over).any()


def test_the_visible_pixels_of_an_object_are_what_the_image_shows() -> None:
    """Without occluders, painting changes the background at the object's pixels and hardly elsewhere."""
    data = scenes("train", length=12, occlusion_rate=0)
    for index in range(12):
        bare = DigitScenes("train", length=12, occlusion_rate=0)
        bare.layout(index).layers.clear()
        changed = (data.image(index).int() - bare.image(index).int()).abs().sum(0)
        union = data.target(index)["masks"].any(0)
        assert (changed[union] > 30).float().mean() > 0.95
        assert (changed[~union] > 30).float().mean() < 0.1  # soft edges of the ink


def test_train_is_a_long_tail_and_test_is_even() -> None:
    train = occlusions(scenes("train", length=400))
    assert 0.84 < (train < 0.05).mean() < 0.92
    counts = np.histogram(train, LEVELS)[0]
    assert counts[1:].min() > 0
    for split in ("val", "test"):
        share = np.histogram(occlusions(scenes(split, length=300)), [*LEVELS[:-1], 0.7501])[0]
        share = share / share.sum()
        assert share.min() > 0.13
        assert share.max() < 0.28


@pytest.mark.parametrize("kind", ["texture", "digit", "strip"])
def test_only_the_chosen_occluders_occur(kind: str) -> None:
    data = scenes(length=40, occluders=(kind,))
    covers = {layer.kind for i in range(40) for layer in data.layout(i).layers if isinstance(layer, Cover)}
    assert covers == (set() if kind == "digit" else {kind})
    assert (occlusions(data) > 0.05).mean() > (0.1 if kind == "digit" else 0.6)


def test_occlusion_rate() -> None:
    assert occlusions(scenes(length=40, occlusion_rate=0)).max() == 0
    assert (occlusions(scenes(length=60, occlusion_rate=1.0, occluders="texture")) > 0.05).mean() > 0.85


def test_larger_images_hold_more_objects_and_larger_ones() -> None:
    small, large = scenes(length=30), scenes(length=30, size=256)
    targets = [[data.target(index) for index in range(30)] for data in (small, large)]
    numbers = [sum(len(target["labels"]) for target in some) for some in targets]
    assert 1.5 < numbers[1] / numbers[0] < 3
    sides = [max(float((t["boxes"][:, 3] - t["boxes"][:, 1]).max()) for t in some) for some in targets]
    assert sides[0] <= 56 < sides[1] <= 80


def test_parts_carry_one_strong_and_two_faint_digits_of_their_class() -> None:
    data = scenes(family="parts", length=20)
    values = pool.digits("test")[1]
    for index in range(20):
        for piece in data.layout(index).pieces:
            strong, *faint = piece.inks
            assert len(faint) == 2
            assert {int(values[ink.position]) + 1 for ink in piece.inks} == {piece.label}
            assert all(ink.size < 0.7 * strong.size and ink.strength < strong.strength for ink in faint)
            corners = np.array([[i.x, i.y, i.x + i.size, i.y + i.size] for i in piece.inks])
            assert corners.min() >= 0
            assert corners.max() <= piece.size
            overlap = np.minimum(corners[0, 2:], corners[1:, 2:]) - np.maximum(corners[0, :2], corners[1:, :2])
            assert (overlap <= 1).any(1).all()  # the parts lie side by side


def test_aiming_at_the_strong_part_hides_it_more() -> None:
    def hidden(aim: str) -> tuple[float, float]:
        data = scenes(family="parts", aim=aim, length=80)
        parts = torch.cat([data.parts_hidden(index) for index in range(80)])
        occluded = torch.from_numpy(occlusions(data)) >= 0.2
        return parts[occluded, 0].mean().item(), parts[occluded, 1:].mean().item()

    (any_strong, _), (strong, faint) = hidden("any"), hidden("strong")
    assert strong > any_strong + 0.1
    assert strong > faint + 0.2


def test_parts_hidden_of_unoccluded_objects_is_zero() -> None:
    data = scenes(family="parts", length=5, occlusion_rate=0)
    assert all(data.parts_hidden(index).max() == 0 for index in range(5))


@pytest.mark.parametrize(
    "options",
    [
        {"size": 63},
        {"size": 128.0},
        {"seed": -1},
        {"length": -1},
        {"length": True},
        {"family": "letters"},
        {"aim": "weak"},
        {"occluders": ("texture", "cloud")},
        {"occlusion_rate": 1.2},
        {"occlusion_rate": "often"},
        {"colour": "red"},
        {"root": "somewhere"},
    ],
)
def test_wrong_options_are_named(options: dict) -> None:
    with pytest.raises(DataError, match=next(iter(options))):
        scenes(**options)


def test_ranges_are_said() -> None:
    with pytest.raises(DataError, match=r"digit-scenes\.size is 63; expected at least 64"):
        scenes(size=63)
    with pytest.raises(DataError, match=r"digit-scenes\.occlusion_rate is 1\.2; expected at most 1"):
        scenes(occlusion_rate=1.2)


def test_wrong_split_and_name() -> None:
    with pytest.raises(DataError, match="split 'dev'"):
        scenes("dev")
    with pytest.raises(
        DataError, match=r"data set 'mnist' does not exist; choose one of \['ar', .*'coco', .*'digit-scenes'"
    ):
        load_data("mnist")


def test_it_is_a_sequence() -> None:
    data = scenes(length=4)
    assert len(data) == 4
    assert same(data[-1], data[3])
    assert len(list(data)) == 4
    with pytest.raises(IndexError):
        data[4]
    part = data.subset([2, 0])
    assert (len(part), part.target(0)["image_id"], part.size(1)) == (2, 2, (128, 128))
    assert same(part[1], data[0])
    assert [t["image_id"] for _, t in data.subset(slice(1, None, 2))] == [1, 3]
    with pytest.raises(IndexError):
        part[2]
    assert data.classes == tuple("0123456789")
