"""Face scenes: exact pixels of faces and of what hides them, disjoint splits, the levels that each split promises."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data import check_data, load_data
from workbench.data.drawing import faces, pixels
from workbench.data.drawing.faces import Oval
from workbench.data.drawing.layout import LEVELS, MOST_HIDDEN, Cover, Layout, Piece
from workbench.data.drawing.occluders import COVERS
from workbench.data.face_scenes import FaceScenes
from workbench.errors import DataError
from workbench.evaluation.counting.regions import ellipse_spans


def scenes(split: str = "test", **options) -> FaceScenes:
    return load_data("face-scenes", split=split, **options)


def occlusions(data: FaceScenes) -> np.ndarray:
    return torch.cat([data.target(index)["occlusion"] for index in range(len(data))]).numpy()


def equal(first: tuple, second: tuple) -> bool:
    known = ((value, second[1][key]) for key, value in first[1].items() if isinstance(value, torch.Tensor))
    tensors = (torch.equal(*pair) for pair in known)
    return first[1].keys() == second[1].keys() and torch.equal(first[0], second[0]) and all(tensors)


def layers_by_hand() -> Layout:
    """Two faces of 10 x 10 pixels, the front one over two columns of the other; a bar over three rows of both."""
    square, bar = np.ones((10, 10), bool), np.ones((3, 18), bool)
    outline = COVERS["strip"].draw(np.random.default_rng(0), np.array([0.0, 0, 9, 9]), 0.5, 1)
    layers = [Oval(0, 0, 0, square), Oval(1, 20, 30, square), Oval(1, 28, 30, square)]
    return Layout((64, 64), [*layers, Cover("strip", 20, 30, bar, outline)])


def test_hidden_pixels_counted_by_hand() -> None:
    data = scenes(size=64, length=1)
    layout = layers_by_hand()
    data._layouts[0] = layout, layout.owner()
    target = data.target(0)
    assert target["labels"].tolist() == [1, 1]  # what is no face is no object
    assert target["boxes"].tolist() == [[20, 30, 30, 40], [28, 30, 38, 40]]
    assert target["boxes_visible"].tolist() == [[20, 33, 28, 40], [28, 33, 38, 40]]
    assert target["area"].tolist() == [8 * 7, 10 * 7]
    torch.testing.assert_close(target["occlusion"], torch.tensor([0.44, 0.30]))
    assert target["face_type"].tolist() == [1, 1]
    assert target["ellipses"][0].tolist() == pytest.approx([4.8, 4, np.pi / 2, 25, 35])
    expected = torch.zeros(64, 64, dtype=torch.bool)
    expected[30:33, 20:38] = True  # the bar, where it lies on faces
    expected[33:40, 28:30] = True  # the front face, where it hides the other one
    assert torch.equal(target["mask_occluder"], expected)


@given(st.integers(0, 10_000), st.sampled_from(pixels.SPLITS), st.sampled_from([64, 128, 150]))
@settings(max_examples=15, deadline=None)
def test_truth_follows_from_the_masks(seed: int, split: str, size: int) -> None:
    image, target = scenes(split, seed=seed, size=size, length=1)[0]
    masks, amodal, occluder = target["masks"], target["masks_amodal"], target["mask_occluder"]
    assert image.shape == (3, size, size)
    assert image.dtype == torch.uint8
    assert not (masks & ~amodal).any()
    assert masks.sum(0).max() <= 1  # a pixel shows one face
    assert torch.equal(occluder, (amodal & ~masks).any(0))
    hidden = 1 - masks.sum((1, 2)) / amodal.sum((1, 2))
    torch.testing.assert_close(target["occlusion"], hidden, atol=1e-6, rtol=0)
    assert target["occlusion"].max() <= MOST_HIDDEN
    assert target["face_type"].tolist() == [1 if part >= 0.05 else 2 for part in target["occlusion"].tolist()]
    assert target["face_type"].dtype == torch.int64
    for boxes, parts in ((target["boxes"], amodal), (target["boxes_visible"], masks)):
        for box, mask in zip(boxes.tolist(), parts, strict=True):
            rows, columns = mask.nonzero(as_tuple=True)
            assert box == [float(v) for v in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)]


def test_a_scene_depends_on_nothing_but_split_index_and_seed() -> None:
    forwards, backwards = scenes(length=3), scenes(length=3, cache=False)
    ahead, back = [forwards[i] for i in range(3)], [backwards[i] for i in (2, 1, 0)][::-1]
    assert all(equal(one, other) for one, other in zip(ahead, back, strict=True))
    assert equal(forwards[1], scenes(length=500)[1])
    assert not torch.equal(forwards[1][0], scenes(length=3, seed=1)[1][0])
    assert not torch.equal(forwards[1][0], scenes("val", length=3)[1][0])


def test_splits_share_no_face_and_no_crop_and_no_photograph_has_people() -> None:
    for kind, number in ((True, 100), (False, len(faces.NON_FACES))):
        parts = [set(faces.picture_indices(split, faces=kind).tolist()) for split in pixels.SPLITS]
        assert len(set.union(*parts)) == sum(map(len, parts)) == number
    assert [len(faces.faces(split)) for split in pixels.SPLITS] == [61, 15, 25]  # train has the astronaut
    for split in pixels.SPLITS:
        people = sum(name in pixels.WITH_PEOPLE for name in pixels.PHOTOGRAPHS[split])
        assert len(pixels.photographs(split, people=False)) == len(pixels.PHOTOGRAPHS[split]) - people > 0
    assert not (set(dict(faces.PORTRAITS["train"])) - set(pixels.PHOTOGRAPHS["train"]))


def test_train_is_a_long_tail_and_test_is_even() -> None:
    hidden = occlusions(scenes("train", length=120))
    assert 0.8 < (hidden < 0.05).mean() < 0.94
    share = np.histogram(occlusions(scenes(length=150)), [*LEVELS[:-1], 0.7501])[0]
    assert (share / share.sum()).min() > 0.11
    assert (share / share.sum()).max() < 0.31
    assert occlusions(scenes(length=10, occlusion_rate=0)).max() == 0


@pytest.mark.parametrize("kind", FaceScenes.covers)
def test_only_the_chosen_occluders_occur(kind: str) -> None:
    data = scenes(length=20, occluders=kind, occlusion_rate=1.0)
    covers = {layer.kind for i in range(20) for layer in data.layout(i).layers if isinstance(layer, Cover)}
    assert covers == (set() if kind == "face" else {kind})
    assert (occlusions(data) > 0.05).mean() > 0.15


def test_occluders_lie_on_what_is_no_face_too() -> None:
    """So that a detector cannot take an occluder for a face."""
    data, over = scenes(length=30), 0
    for index in range(30):
        layers = data.layout(index).layers
        things = [layer for layer in layers if isinstance(layer, Piece) and layer.label == 0]
        mask = np.zeros((128, 128), bool)
        for layer in layers:
            if isinstance(layer, Cover):
                mask[layer.window] |= layer.mask
        over += sum(mask[thing.window][thing.mask].any() for thing in things)
    assert over > 5


def test_what_is_on_top_is_painted_where_the_mask_says() -> None:
    changed = 0
    for index in range(12):
        data, bare = scenes(length=12), scenes(length=12)
        top = data.layout(index).layers[-1]
        bare.layout(index).layers.pop()
        different = (data.image(index) != bare.image(index)).any(0).numpy()
        inside = np.zeros_like(different)
        inside[top.window] = top.mask
        if isinstance(top, Cover):
            assert not (different & ~inside).any()
            assert not inside.any() or different[inside].mean() > 0.9
            changed += 1
    assert changed > 5


def test_the_doctor_finds_nothing_and_images_can_be_mirrored() -> None:
    data = scenes(length=12)
    assert not check_data(data).problems
    assert data.mirrors
    assert data.classes == ("face",)


WRONG = {"size": 63, "seed": -1, "length": 1.5, "occluders": ("mask", "beard"), "occlusion_rate": 2, "aim": "any"}


@pytest.mark.parametrize(("key", "value"), WRONG.items())
def test_wrong_options_are_named(key: str, value: object) -> None:
    with pytest.raises(DataError, match=key):
        scenes(**{key: value})


def test_faces_of_another_package_are_refused(tmp_path, monkeypatch) -> None:
    np.save(tmp_path / "lfw.npy", np.zeros((2, 3, 3)))
    monkeypatch.setattr(faces, "package_file", lambda _: tmp_path / "lfw.npy")
    with pytest.raises(DataError, match=r"lfw.npy: expected 200 pictures of 25 x 25, got \(2, 3, 3\)"):
        faces._lfw.__wrapped__()
    (tmp_path / "lfw.npy").write_bytes(b"no array")
    with pytest.raises(DataError, match=r"lfw.npy: the faces inside scikit-image cannot be read"):
        faces._lfw.__wrapped__()


def test_ellipses_lie_about_the_ovals():
    """As FDDB's rules draw them: every face covers its ellipse by 80 % and more, within the scene."""
    data = load_data("face-scenes", split="test", length=20)
    seen = 0
    for index in range(20):
        target = data.target(index)
        assert target["fold"] == index % 10 + 1
        spans = ellipse_spans(target["ellipses"].double().numpy(), data.size(index), exact=False)
        for mask, rows in zip(target["masks_amodal"], spans, strict=True):
            drawn = torch.zeros(128, 128, dtype=torch.bool)
            for row, (low, high) in zip(drawn, np.round(rows).astype(int), strict=True):
                row[low:high] = True
            assert (drawn & mask).sum() / (drawn | mask).sum() > 0.8
            seen += 1
    assert seen > 20
