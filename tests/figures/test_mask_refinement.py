"""Pictures of SharpMask's top-down path: what they show, read from the artists."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.colors import to_hex

from workbench.analysis.mask_proposals import TopDownPath
from workbench.figures.drawing.colours import MINT, PINK, SKY, WHITE
from workbench.figures.mask_refinement import coarse_and_sharp_figure, top_down_figure

IMAGE = torch.full((3, 40, 60), 128, dtype=torch.uint8)
#: 32 pixels a side, half of it left of the image. The coarse mask is its lower half, the sharp one its right half.
WINDOW = torch.tensor([-16.0, 0, 16, 32])


def path():
    logits, coarse = torch.full((16, 16), -9.0), torch.full((4, 4), -9.0)
    logits[:, 8:], coarse[2:] = 9.0, 9.0
    second = torch.zeros(3, 8, 8)
    second[1, 0, 0] = 5.0
    encodings = (torch.arange(16.0).reshape(1, 4, 4), second)
    return TopDownPath(4, 0.75, WINDOW, encodings, logits, coarse, 0.5, (40, 60))


def titles(figure):
    return [one.get_title().split("\n") for one in figure.axes]


def layer(axes, place=-1):
    return np.asarray(axes.images[place].get_array())


def test_masks_within_the_image():
    """Where the window is inside the image: rows 16 to 32 of the coarse mask, all of the sharp one."""
    found = path()
    assert found.coarse_mask.sum() == 16 * 16
    assert found.coarse_mask[16:32, :16].all()
    assert found.mask.sum() == 32 * 16
    assert found.mask[:32, :16].all()


def test_the_path_panel_by_panel():
    figure = top_down_figure(IMAGE, path())
    assert titles(figure) == [
        ["proposal 4", "its window, score 0.75"],
        ["M¹", "4 × 4, 1 channel"],
        ["M²", "8 × 8, mean of 3"],
        ["probability", "16 × 16, 0 to 1"],
        ["mask", "where it is above 0.5"],
    ]
    first, one, two, probability, mask = figure.axes
    assert all((axes.get_xlim(), axes.get_ylim()) == ((-16, 16), (32, 0)) for axes in figure.axes)
    assert to_hex(first.patches[0].get_facecolor()) == "#808080"  # the grey around the image
    for axes in (one, two, probability):
        assert axes.images[0].get_extent() == [-16, 16, 32, 0]
    strongest = top_down_figure(IMAGE, path(), channels="strongest")
    assert titles(strongest)[2] == ["M²", "8 × 8, channel 2 of 3"]
    colours = to_hex(layer(mask)[..., :3][layer(mask)[..., 3] > 0][0])
    assert colours == SKY


def test_every_map_has_a_scale_of_its_own():
    """The lowest cell is as dark and the highest as bright in every map; each cell is a square of equal pixels."""
    _, one, two, probability, _ = top_down_figure(IMAGE, path()).axes
    low, high = layer(one)[0, 0], layer(one)[-1, -1]
    assert high.astype(int).sum() > low.astype(int).sum() + 200
    assert (layer(one)[:60, :60] == low).all()
    assert (layer(two)[:30, :30] == high).all()
    assert (layer(two)[31:, 31:] == low).all()
    assert layer(probability)[:, 121:].astype(int).sum() > layer(probability)[:, :119].astype(int).sum()


def test_what_refinement_changes():
    figure = coarse_and_sharp_figure(IMAGE, path())
    assert titles(figure) == [["coarse", "4 × 4"], ["sharp", "16 × 16"], ["what changes", "IoU of both 0.50"]]
    changed = layer(figure.axes[2])
    places = {to_hex(colour): (changed[..., :3] == colour).all(axis=2) & (changed[..., 3] > 0)
              for colour in np.unique(changed[changed[..., 3] > 0][:, :3], axis=0)}  # fmt: skip
    assert set(places) == {MINT}  # the coarse mask lies in the sharp one
    assert places[MINT].sum() == 16 * 16
    assert places[MINT][:16, :16].all()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["added by refinement", "taken away"]
    assert [to_hex(one.get_facecolor()) for one in figure.legends[0].get_patches()] == [MINT, PINK]


def test_with_the_object_titles_say_how_well_it_fits():
    truth = torch.zeros(40, 60, dtype=torch.bool)
    truth[16:32, :16] = True
    figure = coarse_and_sharp_figure(IMAGE, path(), truth=truth)
    assert titles(figure) == [
        ["coarse", "4 × 4, IoU 1.00"],
        ["sharp", "16 × 16, IoU 0.50"],
        ["what changes", "IoU of both 0.50"],
        ["the object", "as it is"],
    ]
    for axes in figure.axes:
        assert WHITE in {to_hex(colour) for lines in axes.collections for colour in lines.get_edgecolor()}
