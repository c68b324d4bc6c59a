"""Figures of images: what they contain, read from the artists, and that they can be rendered."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle

from workbench.analysis.occlusion_response import OcclusionResponse, grid_positions
from workbench.errors import DataError
from workbench.figures.data_statistics import statistics_figure
from workbench.figures.detection import detections_figure, scene_grid, side_by_side
from workbench.figures.drawing.colours import colour
from workbench.figures.occlusion_response import response_figure
from workbench.types import Detections, Target

CLASSES = ("$cat", "<b>dog</b>")


@pytest.fixture
def image():
    return torch.arange(3 * 20 * 30, dtype=torch.uint8).reshape(3, 20, 30)


@pytest.fixture
def target():
    masks = torch.zeros(2, 20, 30, dtype=torch.bool)
    masks[0, 2:9, 1:8] = True
    boxes = torch.tensor([[1.0, 2.0, 8.0, 9.0], [20.0, 5.0, 29.0, 19.0]])
    return Target(boxes=boxes, labels=torch.tensor([1, 2]), occlusion=torch.tensor([0.25, torch.nan]), masks=masks)


@pytest.fixture
def found():
    boxes = torch.tensor([[20.0, 5.0, 29.0, 19.0], [1.0, 2.0, 8.0, 9.0], [0.0, 0.0, 5.0, 5.0]])
    return Detections(boxes, torch.tensor([2, 1, 1]), torch.tensor([0.875, 0.5, 0.49]))


def rendered(figure):
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=60)
    return out.getvalue()


def boxes(axes):
    return [(*p.get_xy(), p.get_width(), p.get_height()) for p in axes.patches if isinstance(p, Rectangle)]


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_detections_from_the_threshold_up(image, found):
    figure = detections_figure(image, found, CLASSES, min_score=0.5)
    (axes,) = figure.axes
    assert boxes(axes) == [(1, 2, 7, 7), (20, 5, 9, 14)]  # the best one last, on top
    assert texts(axes) == ["$cat 0.50", "<b>dog</b> 0.88"]
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 30), (20, 0))
    assert rendered(figure)[1:4] == b"PNG"  # a lone $ is no formula


def test_true_boxes_are_dashed_and_without_text(image, found, target):
    (axes,) = detections_figure(image, found, CLASSES, target=target, min_score=0.9).axes
    assert [patch.get_linestyle() for patch in axes.patches] == ["--", "--"]
    assert texts(axes) == []


def test_tags_stay_in_the_picture_and_apart():
    """Five objects on one spot of a 128-pixel scene, and one in the corner: as they are drawn, none is covered."""
    spots = torch.tensor([[40.0, 40.0, 60.0, 60.0]]).repeat(5, 1) + torch.arange(5)[:, None]
    spots = torch.cat([spots, torch.tensor([[120.0, 0.0, 128.0, 8.0]])])
    many = Target(boxes=spots, labels=torch.ones(6, dtype=torch.int64), occlusion=torch.full((6,), 0.35))
    figure = scene_grid([(torch.zeros(3, 128, 128, dtype=torch.uint8), many)], CLASSES)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    tags = [text.get_bbox_patch().get_window_extent() for text in axes.texts]
    assert len(tags) == 6
    for place, one in enumerate(tags):
        assert not any(one.shrunk(0.95, 0.95).overlaps(other.shrunk(0.95, 0.95)) for other in tags[:place])
        frame = axes.get_window_extent().padded(2)
        assert frame.contains(one.x0, one.y0)
        assert frame.contains(one.x1, one.y1)


def test_scene_grid(image, target):
    figure = scene_grid([(image, target)] * 3, CLASSES, columns=2, masks=True, titles=["$a", "b", "c"])
    assert len(figure.axes) == 4
    first, last = figure.axes[0], figure.axes[3]
    assert set(texts(first)) == {"$cat, 25% hidden", "<b>dog</b>"}  # unknown occlusion is not claimed
    assert first.get_title() == "$a"
    assert not last.images
    tint = np.asarray(first.images[1].get_array())[..., 3]
    assert (tint > 0).sum() == 49  # the pixels of the mask
    rendered(figure)


def test_scene_grid_needs_a_scene():
    with pytest.raises(DataError, match="no scene"):
        scene_grid([], CLASSES)


def test_side_by_side(image, found, target):
    detections = {"plain": [found, found[:0]], "hard$": [found, found]}
    figure = side_by_side([image, image], detections, CLASSES, targets=[target, target])
    axes = np.array(figure.axes).reshape(2, 3)
    assert [one.get_title() for one in axes[0]] == ["what is there", "plain", "hard$"]
    assert [len(texts(one)) for one in axes.flat] == [2, 2, 2, 2, 0, 2]
    rendered(figure)
    with pytest.raises(DataError, match="plain has detections of 1 images; there are 2"):
        side_by_side([image, image], {"plain": [found]}, CLASSES)


def test_response_figure_lies_over_the_image(image):
    positions = grid_positions(20, 30, (4, 6), 8)
    scores = torch.linspace(0.1, 0.9, 12).reshape(3, 4)
    scores[2, 3] = torch.nan  # not computed yet
    response = OcclusionResponse(scores, positions, 8, 0.95, torch.tensor([4.0, 4.0, 12.0, 12.0]), 1)
    figure = response_figure(image, {"plain": response, "other": response}, CLASSES)
    axes, bar = figure.axes[0], figure.axes[-1]
    layer = axes.images[1]
    assert layer.get_extent() == [0, 32, 24, 0]  # 4 × 3 cells of 8 pixels
    assert layer.get_clim() == (0, 1)
    assert layer.get_array().count() == 11
    assert boxes(axes) == [(4, 4, 8, 8), (1, 2, 6, 4)]  # the object; the occluder where the score is lowest
    facts = "without occluder 0.95, lowest 0.10\nwith the occluder (6 × 4 px) at the dashed place"
    assert axes.get_title() == f"plain\n{facts}"
    assert figure.get_suptitle() == "What is left of the score of “$cat” with the occluder centred there"
    assert bar.get_ylabel() == "share of the score without it"
    assert layer.get_array()[0, 0] == pytest.approx(0.1 / 0.95)
    alpha = layer.get_cmap()([0.0, 0.5, 1.0])[:, 3]
    assert alpha[0] == pytest.approx(0.85)
    assert alpha[2] == 0  # nothing is coloured where the score does not fall
    rendered(figure)
    followed = response_figure(image, {"other": replace(response, followed=True)}, CLASSES)
    assert followed.axes[0].get_title().startswith("other (its matching detection)\nwithout occluder 0.95")
    narrow = response_figure(image, {"plain": response}, CLASSES, side=1.5)
    assert "\n" in narrow.get_suptitle()
    with pytest.raises(DataError, match="no response map"):
        response_figure(image, {})


def test_statistics_figure():
    figure = statistics_figure({"$a": 3, "b": 0}, [0.0, 0.01, 0.5, float("nan")])
    left, right = figure.axes
    assert [patch.get_height() for patch in left.patches] == [3, 0]
    heights = [patch.get_height() for patch in right.patches]
    assert (heights[0], heights[10], sum(heights)) == (2, 1, 3)
    rendered(figure)
    unknown = statistics_figure({"a": 1}, [float("nan")])
    assert texts(unknown.axes[1]) == ["unknown in this data set"]


def test_what_hides_objects_is_outlined(image, target):
    target["mask_occluder"] = torch.zeros(20, 30, dtype=torch.bool)
    target["mask_occluder"][4:8, 4:9] = True  # over part of the first object
    (axes,) = scene_grid([(image, target)], CLASSES, masks=True).axes
    layer = axes.images[1].get_array()
    assert layer[4, 4].tolist() == layer[7, 8].tolist() == [1, 1, 1, 1]
    np.testing.assert_allclose(layer[5, 5], to_rgba(colour(1), 0.55))  # inside the line the object shows
    assert layer[10, 10].tolist() == [0, 0, 0, 0]
    (axes,) = scene_grid([(image, target)], CLASSES).axes
    assert len(axes.images) == 1


def test_masks_of_detections_are_tinted_the_best_on_top(image, found, target):
    found.masks = torch.zeros(3, 20, 30, dtype=torch.bool)
    found.masks[0, 2:6, 20:25] = True  # label 2, score 0.875
    found.masks[1, 4:9, 22:27] = True  # label 1, score 0.5
    found.masks[2, 15:, :5] = True  # score 0.49: not shown
    (axes,) = detections_figure(image, found, CLASSES, min_score=0.5).axes
    layer = np.asarray(axes.images[1].get_array())
    assert layer.shape == (20, 30, 4)
    np.testing.assert_allclose(layer[3, 21], to_rgba(colour(2), 0.55))
    np.testing.assert_allclose(layer[8, 26], to_rgba(colour(1), 0.55))
    np.testing.assert_allclose(layer[5, 23], to_rgba(colour(2), 0.55))
    assert layer[..., 3].astype(bool).sum() == 4 * 5 + 5 * 5 - 2 * 3
    plain = Detections(found.boxes, found.labels, found.scores)
    figure = side_by_side([image], {"plain": [plain], "masks": [found]}, CLASSES, targets=[target])
    assert [len(axes.images) for axes in figure.axes] == [2, 1, 2]
    assert [len(a.images) for a in side_by_side([image], {"a": [plain]}, CLASSES, targets=[target]).axes] == [1, 1]
    assert rendered(figure)


def hatches(axes):
    return [one for one in axes.collections if any(getattr(one, "hatches", ()))]


def legend(figure):
    return [text.get_text() for one in figure.legends for text in one.get_texts()]


def test_what_is_found_to_hide_objects_is_hatched_and_said(image, found, target):
    """The last of three detections scores too little to be drawn; at first it alone has something before it."""
    occluders = torch.zeros(3, 20, 30, dtype=torch.bool)
    occluders[2, :4, :4] = True
    found.extras["masks_occluder"] = occluders
    nothing = detections_figure(image, found, CLASSES)
    assert (hatches(nothing.axes[0]), legend(nothing)) == ([], [])
    occluders[0, 6:16, 20:26] = True
    figure = detections_figure(image, found, CLASSES)
    (axes,) = figure.axes
    assert len(hatches(axes)) == 1
    assert legend(figure) == ["hatched: found to hide an object"]
    veil = axes.images[1].get_array()
    assert veil[10, 22].tolist() == pytest.approx([0, 0, 0, 0.4], abs=0.01)
    assert veil[1, 1].tolist() == [0, 0, 0, 0]
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 30), (20, 0))
    target["mask_occluder"] = occluders[0]
    grid = side_by_side([image], {"one": [found]}, CLASSES, targets=[target])
    assert legend(grid) == ["hatched: found to hide an object", "outlined in white: what hides objects"]
    assert rendered(grid).startswith(b"\x89PNG")
