"""Figures of attention: the pixels that they are made of, their words, and that notebooks show each once."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from tests.support.figures import sheet_pixels, words
from workbench.analysis.attention import Inversion, RoIAttention
from workbench.errors import DataError
from workbench.figures.attention import (
    attention_of_objects,
    attention_on_patch,
    attention_over_training,
    four_strategies,
)
from workbench.figures.drawing.sheet import SCALE, heat, keep

CLASSES = ("$cat", "<b>dog</b>")


def seen(label=1, score=0.75, channels=(2, 0)):
    """Channel c of 3 is c + 1 in cell c of 2 × 2, with weight c."""
    features = torch.zeros(3, 4)
    features[[0, 1, 2], [0, 1, 2]] = torch.tensor([1.0, 2.0, 3.0])
    weights = torch.tensor([0.0, 1.0, 2.0])
    probabilities = torch.tensor([1 - score, 0.0, 0.0])
    probabilities[label] = score
    return RoIAttention(
        map=torch.tensor([[0.0, 2.0], [6.0, -3.0]]),
        weights=weights,
        features=features.view(3, 2, 2),
        channels=torch.tensor(channels),
        patch=torch.full((3, 224, 224), 102, dtype=torch.uint8),
        box=torch.tensor([0.0, 0, 8, 8]),
        label=label,
        probabilities=probabilities,
    )


@pytest.fixture
def inversion():
    mask = torch.ones(3, 2, 2)
    mask[2, 1, 0] = 0
    return Inversion(seen(), mask, seen(score=0.25))


def rendered(figure):
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=50)
    return out.getvalue()


PATCH = torch.full((3, 225, 225), 102, dtype=torch.uint8)  # as `seen` has it, in the size of a panel


def runs(marks):
    """Start and end of the stretches that are set."""
    steps = np.flatnonzero(np.diff(np.concatenate([[0], marks.astype(int), [0]])))
    return list(zip(steps[::2], steps[1::2], strict=True))


def panels(figure):
    """Row → column → pixels; fails where panels touch, overlap or leave the figure. The scale is left out."""
    pixels = sheet_pixels(figure)
    assert list(pixels.shape[:2]) == [round(side * figure.dpi) for side in figure.get_size_inches()[::-1]]
    drawn = pixels[..., 3] > 0  # the rest is clear
    rows, columns = runs(drawn.any(axis=1)), runs(drawn.any(axis=0))[:-1]
    sizes = {end - start for start, end in rows + columns}
    assert sizes <= {180, 225}  # 1.2 and 1.5 inches at 150 pixels
    assert len(sizes) == 1
    return [[pixels[top:bottom, left:right, :3] for left, right in columns] for top, bottom in rows]


def test_heat_is_grey_at_zero_and_brightest_at_the_highest():
    patch = torch.zeros(3, 4, 4, dtype=torch.uint8)
    patch[1] = 255  # green, whose grey is a third of white
    drawn = heat(patch, torch.tensor([[0.0, -5.0], [0.0, 8.0]]))
    scale = [SCALE(value)[:3] for value in (0.0, 1.0)]
    assert drawn.shape == (4, 4, 3)
    assert np.ptp(drawn[0, 0].astype(int)) < 5  # 0.2 of almost black over grey
    assert drawn[0, 0, 0] == pytest.approx(0.8 * 85, abs=2)
    assert drawn[3, 3].sum() > 2.5 * drawn[0, 0].sum()
    assert sum(scale[1]) > 2 * sum(scale[0])
    assert (drawn[0] == drawn[0, 0]).all()  # below 0 is the same as 0, up to the middle of the highest cell


def test_heat_of_nothing_is_bare():
    patch = torch.full((3, 4, 4), 90, dtype=torch.uint8)
    assert (heat(patch, torch.full((2, 2), -1.0)) == heat(patch, torch.zeros(2, 2))).all()


def test_brightness_rises_all_the_way_on_any_ground():
    """So that no colour vision is needed."""
    luminance = SCALE(np.linspace(0, 1, 64))[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance[16:]) > 0).all()


def test_keep_darkens_what_is_dropped_and_outlines_it():
    patch = torch.full((3, 8, 8), 200, dtype=torch.uint8)
    drawn = keep(patch, torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    assert (drawn[0, 0], drawn[7, 7], drawn[0, 7]) == (
        pytest.approx([200] * 3),
        pytest.approx([200] * 3),
        pytest.approx([16] * 3),
    )
    assert (drawn[0, 3:5] == 255).all()
    assert (drawn[3:5, 7] == 255).all()
    assert (drawn[7, 3:5] == 200).all()
    soft = keep(patch, torch.tensor([[1.0, 0.5], [0.2, 0.0]]))
    assert (soft < 255).all()  # no outlines between many values
    assert soft[0, 0, 0] > soft[0, 7, 0] > soft[7, 0, 0] > soft[7, 7, 0]


def test_attention_on_patch(inversion):
    rows = {"plain": seen(), "kept": inversion, "hardened": seen(label=2, channels=(1, 2))}
    figure = attention_on_patch(rows, CLASSES)
    plain, kept, hardened = panels(figure)
    expected = [
        (plain[0], heat(PATCH, torch.tensor([[0, 0], [6, 0]]))),
        (plain[1], heat(PATCH, torch.zeros(2, 2))),
        (plain[2], heat(PATCH, seen().map)),
        (kept[0], keep(PATCH, inversion.mask[2])),
        (kept[1], keep(PATCH, torch.ones(2, 2))),
        (kept[2], keep(PATCH, inversion.mask.mean(0))),
        (hardened[0], heat(PATCH, torch.tensor([[0, 2], [0, 0]]))),
    ]
    for shown, picture in expected:
        np.testing.assert_array_equal(shown, picture)
    text = words(figure)
    named = [t for t in text if "channel" in t]
    assert named == ["channel 2", "channel 0", "all channels", "channel 1", "channel 2"]  # each once
    assert any(t.startswith("$cat: 0.75\nspread ") for t in text)
    assert any(t.startswith("<b>dog</b>: 0.75") for t in text)
    assert "92 % of elements" in text  # 11 of 12
    assert rendered(figure)[1:4] == b"PNG"  # a lone $ is no formula


def test_four_strategies(inversion):
    figure = four_strategies({"soft": inversion, "hard": inversion}, CLASSES)
    assert words(figure)[:3] == ["attention\n$cat: 0.75", "soft\n0.75 → 0.25", "hard\n0.75 → 0.25"]
    assert len(panels(figure)[0]) == 3
    np.testing.assert_array_equal(panels(figure)[0][1], keep(PATCH, inversion.mask.mean(0)))
    rendered(figure)


def test_over_training_leaves_missing_steps_empty():
    figure = attention_over_training({"a": {500: seen(), 1000: seen()}, "$b": {1000: seen()}}, marked=1000)
    (_, _), (empty, later) = panels(figure)
    assert (empty == 0).all()
    np.testing.assert_array_equal(later, heat(PATCH[:, :180, :180], seen().map))
    titles = [text for text in figure.texts if text.get_text().startswith("step")]
    assert [(t.get_text(), t.get_fontweight()) for t in titles] == [
        ("step 500", "normal"),
        ("step 1,000", "bold"),
    ]
    assert f"0.75 · {seen().spread:.2f}" in words(figure)
    rendered(figure)


def test_a_step_that_only_a_later_run_has_is_titled_too():
    figure = attention_over_training({"a": {500: seen()}, "b": {1000: seen()}})
    assert {"step 500", "step 1,000"} <= set(words(figure))


def test_of_objects():
    figure = attention_of_objects({"plain": [seen(), seen(2)], "hardened": [seen(), seen(0)]}, CLASSES)
    assert [len(row) for row in panels(figure)] == [2, 2]
    assert {"$cat", "<b>dog</b>", "plain", "hardened"} <= set(words(figure))
    assert "background" in words(attention_of_objects({"plain": [seen(0)]}, CLASSES))
    assert "label 2" in words(attention_of_objects({"plain": [seen(2)]}))
    with pytest.raises(DataError, match="the same objects"):
        attention_of_objects({"a": [seen()], "b": []})


@pytest.mark.parametrize("draw", [attention_on_patch, four_strategies, attention_over_training, attention_of_objects])
def test_nothing_to_draw(draw):
    with pytest.raises(DataError, match="there is no"):
        draw({})


def test_notebooks_show_a_figure_once(inversion):
    """A figure that pyplot still holds at the end of a cell is shown again."""
    before = plt.get_fignums()
    attention_on_patch({"a": seen()})
    four_strategies({"soft": inversion})
    assert plt.get_fignums() == before


def test_long_names_are_wrapped_and_cut():
    figure = attention_on_patch({"a very long name of a detector that goes on and on without an end": seen()})
    name = next(text for text in words(figure) if text.startswith("a very"))
    assert name.count("\n") == 2
    assert name.endswith("…")
    assert (
        "a class with …: 0.75"
        in words(
            four_strategies({"soft": Inversion(seen(), torch.ones(1, 2, 2), seen())}, ("a class with a long name",))
        )[0]
    )
