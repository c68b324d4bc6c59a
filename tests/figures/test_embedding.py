"""The map of vectors: its points, colours, arrows and key, read from the traces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from workbench.analysis.embedding import POINT_KINDS, Embedding
from workbench.errors import DataError
from workbench.figures.embedding import (
    ARROWS,
    CHOSEN,
    COLOUR_BY,
    PSEUDO,
    ROLES,
    STILL,
    colour_key,
    describe,
    embedding_figure,
    point_colours,
)


@pytest.fixture
def embedding() -> Embedding:
    """Two images (class "<b>a</b>" and c), three occluded ones, a pseudo-DFV and three DVs; class b is not there."""
    kinds = np.array([0, 0, 1, 1, 1, 2, 3, 3, 3])
    return Embedding(
        points=np.stack([np.arange(9), 10.0 * np.arange(9)], 1).astype(np.float32),
        vectors=torch.zeros(9, 4),
        kinds=kinds,
        labels=np.array([1, 3, 1, 1, 3, 1, 1, 1, 3]),
        patterns=np.array([0, 0, 1, 2, 1, 2, 1, 2, 1]),
        base=np.array([0, 1, 0, 0, 1, 1, 0, 0, 1]),
        pair=np.array([-1, -1, 0, 1, 2, 1, 0, 1, 2]),
        classes=("<b>a</b>", "b", "c"),
        pattern_names=("cup", "coin"),
    )


def trace(figure, name):
    return next(one for one in figure.data if one.name == name)


def test_each_kind_has_its_points(embedding):
    figure = embedding_figure(embedding, key=False)
    assert [one.name for one in figure.data] == [*ROLES, *POINT_KINDS], "points, then what their forms mean"
    for kind in POINT_KINDS:
        assert [one.showlegend for one in figure.data if one.legendgroup == kind] == [False, None]
        rows = embedding.rows(kind)
        assert list(trace(figure, kind).customdata) == rows.tolist()
        np.testing.assert_array_equal(trace(figure, kind).y, 10 * rows)
    assert len({trace(figure, kind).marker.symbol for kind in POINT_KINDS}) == 4
    assert len(trace(figure, PSEUDO).x) == len(trace(figure, CHOSEN).x) == len(trace(figure, ARROWS).x) == 0


def test_colours_tell_what_was_asked_for(embedding):
    key = colour_key(embedding, "class")
    assert list(key) == ["<b>a</b>", "c"]
    assert point_colours(embedding, "class").tolist() == [key[embedding.classes[k - 1]] for k in embedding.labels]
    key = colour_key(embedding, "pattern")
    assert key["clean"] == STILL
    names = ("clean", "cup", "coin")
    assert point_colours(embedding, "pattern").tolist() == [key[names[k]] for k in embedding.patterns]
    key = colour_key(embedding, "kind")
    assert point_colours(embedding, "kind").tolist() == [key[POINT_KINDS[k]] for k in embedding.kinds]
    for by in COLOUR_BY:
        keyed = embedding_figure(embedding, colour_by=by).data[len(ROLES) + len(POINT_KINDS) :]
        assert [one.marker.color for one in keyed] == list(colour_key(embedding, by).values())
    with pytest.raises(DataError, match="colour_by 'shape' does not exist; there are class, pattern, kind"):
        embedding_figure(embedding, colour_by="shape")


def test_names_are_text(embedding):
    figure = embedding_figure(embedding)
    assert figure.data[len(ROLES) + len(POINT_KINDS)].name == "&lt;b&gt;a&lt;/b&gt;"
    assert trace(figure, "occluded").text[1] == "occluded &lt;b&gt;a&lt;/b&gt;, coin"
    assert describe(embedding, 1) == "clean c"


def test_patterns_without_names_are_numbered(embedding):
    unnamed = replace(embedding, pattern_names=())
    assert list(colour_key(unnamed, "pattern")) == ["clean", "pattern 1", "pattern 2"]
    assert describe(unnamed, 3) == "occluded <b>a</b>, pattern 2"
    assert trace(embedding_figure(unnamed, colour_by="pattern"), "DV").text[2] == "DV c, pattern 1"


@pytest.mark.parametrize("names", [("cup", "cup"), ("clean", "cup"), ("clean", "clean (2)")])
def test_equal_names_keep_colours_of_their_own(embedding, names):
    colours = point_colours(replace(embedding, pattern_names=names), "pattern")
    assert colours.tolist() == point_colours(embedding, "pattern").tolist()
    assert len(colour_key(replace(embedding, pattern_names=names), "pattern")) == 3
    assert list(colour_key(replace(embedding, classes=("a", "b", "a")), "class")) == ["a", "a (2)"]


def test_arrows_go_from_clean_to_occluded(embedding):
    arrows = trace(embedding_figure(embedding, arrows=np.array([3, 4])), ARROWS)
    assert list(arrows.x) == [0, 3, None, 1, 4, None]
    assert list(arrows.y) == [0, 30, None, 10, 40, None]
    assert list(arrows.marker.size) == [0, 9, 0] * 2, "a head at the end only"
    for wrong in (0, 5, 6):
        with pytest.raises(DataError, match="arrows holds rows that are no occluded DFVs"):
            embedding_figure(embedding, arrows=np.array([wrong]))


def test_an_image_and_its_pseudo_dfvs(embedding):
    pseudo = np.array([[1.0, 2.0], [3, 4]])
    figure = embedding_figure(embedding, pseudo=pseudo, chosen=1)
    assert list(trace(figure, PSEUDO).y) == [2, 4]
    assert (trace(figure, CHOSEN).x[0], trace(figure, CHOSEN).y[0]) == (1, 10)
    assert len(trace(figure, CHOSEN).x) == 1
    assert trace(figure, PSEUDO).hoverinfo == "none", "with skip it could not be pointed at"
