"""Figures of attention: the pixels that they are made of, their words, and that notebooks show each once."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from workbench.analysis.attention import Inversion, RoIAttention
from workbench.errors import DataError
from workbench.figures.attention import (
    COLOURS,
    attention_of_objects,
    attention_on_patch,
    attention_over_training,
    four_strategies,
    heat,
    keep,
)

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


def words(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def pictures(figure):
    """The panels without the scale at the right."""
    return figure.axes[0].images[:-1]


def test_heat_is_grey_at_zero_and_brightest_at_the_highest():
    patch = torch.zeros(3, 4, 4, dtype=torch.uint8)
    patch[1] = 255  # green, whose grey is a third of white
    drawn = heat(patch, torch.tensor([[0.0, -5.0], [0.0, 8.0]]))
    scale = [COLOURS(value)[:3] for value in (0.0, 1.0)]
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
    luminance = COLOURS(np.linspace(0, 1, 64))[:, :3] @ [0.2126, 0.7152, 0.0722]
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
    images = pictures(figure)
    assert len(images) == 9
    np.testing.assert_array_equal(images[0].get_array(), heat(seen().patch, torch.tensor([[0, 0], [6, 0]])))
    np.testing.assert_array_equal(images[1].get_array(), heat(seen().patch, torch.zeros(2, 2)))
    np.testing.assert_array_equal(images[2].get_array(), heat(seen().patch, seen().map))
    np.testing.assert_array_equal(images[3].get_array(), keep(seen().patch, inversion.mask[2]))
    np.testing.assert_array_equal(images[4].get_array(), keep(seen().patch, torch.ones(2, 2)))
    np.testing.assert_array_equal(images[5].get_array(), keep(seen().patch, inversion.mask.mean(0)))
    text = words(figure)
    assert [t for t in text if t.startswith("channel")] == [f"channel {c}" for c in (2, 0, 2, 0, 1, 2)]
    assert any(t.startswith("$cat: 0.75\nspread ") for t in text)
    assert any(t.startswith("<b>dog</b>: 0.75") for t in text)
    assert "92 % of elements" in text  # 11 of 12
    left, right, bottom, top = images[5].get_extent()
    assert right - left == pytest.approx(1.5)
    assert bottom - top == pytest.approx(1.5)
    assert rendered(figure)[1:4] == b"PNG"  # a lone $ is no formula


def test_panels_do_not_overlap_and_stay_inside(inversion):
    for figure in (
        attention_on_patch({"a": seen(), "b": inversion}),
        four_strategies({"soft": inversion, "hard": inversion}),
        attention_over_training({"a": {1: seen(), 2: seen()}, "b": {2: seen()}}),
    ):
        width, height = figure.get_size_inches()
        places = [image.get_extent() for image in figure.axes[0].images]
        for place, (left, right, bottom, top) in enumerate(places):
            assert 0 <= left < right <= width
            assert 0 <= top < bottom <= height
            for other in places[:place]:
                assert left >= other[1] or right <= other[0] or top >= other[2] or bottom <= other[3]


def test_four_strategies(inversion):
    figure = four_strategies({"soft": inversion, "hard": inversion}, CLASSES)
    assert len(pictures(figure)) == 3
    assert words(figure)[:3] == ["attention\n$cat: 0.75", "soft\n0.75 → 0.25", "hard\n0.75 → 0.25"]
    np.testing.assert_array_equal(pictures(figure)[1].get_array(), keep(seen().patch, inversion.mask.mean(0)))
    rendered(figure)


def test_over_training_leaves_missing_steps_empty():
    figure = attention_over_training({"a": {500: seen(), 1000: seen()}, "$b": {1000: seen()}}, marked=1000)
    assert len(pictures(figure)) == 3
    titles = [text for text in figure.axes[0].texts if text.get_text().startswith("step")]
    assert [(t.get_text(), t.get_fontweight()) for t in titles] == [
        ("step 500", "normal"),
        ("step 1,000", "bold"),
    ]
    assert pictures(figure)[1].get_extent()[0] == pictures(figure)[2].get_extent()[0]
    assert f"0.75 · {seen().spread:.2f}" in words(figure)
    rendered(figure)


def test_a_step_that_only_a_later_run_has_is_titled_too():
    figure = attention_over_training({"a": {500: seen()}, "b": {1000: seen()}})
    assert {"step 500", "step 1,000"} <= set(words(figure))


def test_of_objects():
    figure = attention_of_objects({"plain": [seen(), seen(2)], "hardened": [seen(), seen(0)]}, CLASSES)
    assert len(pictures(figure)) == 4
    assert {"$cat", "<b>dog</b>", "plain", "hardened"} <= set(words(figure))
    assert "background" in words(attention_of_objects({"plain": [seen(0)]}, CLASSES))
    assert "label 2" in words(attention_of_objects({"plain": [seen(2)]}))
    with pytest.raises(DataError, match="the same objects"):
        attention_of_objects({"a": [seen()], "b": []})


@pytest.mark.parametrize(
    "draw", [attention_on_patch, four_strategies, attention_over_training, attention_of_objects]
)
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
