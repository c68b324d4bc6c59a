"""Figures of statistics show the numbers, and mark what is quoted."""

from __future__ import annotations

import pytest

import workbench as wb
from workbench.errors import DataError
from workbench.figures.data_statistics import draw_statistics, figure_names


@pytest.fixture(scope="module")
def found():
    return wb.statistics(wb.load_data("digit-scenes", split="test", length=30), progress=False)


def test_every_figure_can_be_drawn(found):
    for name in figure_names(found):
        figure = draw_statistics(found, name)
        figure.draw_without_rendering()
        assert found.what in figure.get_suptitle()


def test_bars_and_curves_are_the_tables(found):
    bars = draw_statistics(found, "classes").axes[0].patches
    assert [bar.get_height() for bar in bars] == sorted(found.by_class["instances"], reverse=True)
    curve = draw_statistics(found, "instances").axes[0].lines[0].get_ydata()
    assert curve.tolist() == (found.per_image["instances"] / 30).tolist()[: len(curve)]
    bars = draw_statistics(found, "sizes").axes[0].patches
    assert [bar.get_height() for bar in bars] == pytest.approx(found.sizes["share"].tolist())


def test_quoted_figures_say_so(found):
    axes = draw_statistics(found, "categories").axes[0]
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts[1:] == ["COCO: 3.5, quoted", "VOC 2012, ImageNet det.: < 2, quoted"]
    assert [line.get_xdata()[0] for line in axes.lines[2:4]] == [3.5, 2]
    assert [text.get_text() for text in axes.texts] == [
        "10 % with one, COCO, quoted",
        "> 60 % with one, VOC 2012, ImageNet det., quoted",
    ]
    places = draw_statistics(found, "category counts").axes[0].texts
    assert all("quoted" in text.get_text() for text in places[1:])


def test_a_figure_that_does_not_exist_is_named(found):
    with pytest.raises(DataError, match=r"no figure 'size'; did you mean 'sizes'\?"):
        found.figure("size")
