"""The still map of vectors: a panel for each colouring, forms by kind, arrows from clean to occluded."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from workbench.analysis.embedding import POINT_KINDS, Embedding
from workbench.errors import DataError
from workbench.figures.embedding import colour_key
from workbench.figures.embedding_panels import embedding_panels


@pytest.fixture
def embedding() -> Embedding:
    """Two clean images, three occluded ones and one pseudo-DFV; no DVs."""
    return Embedding(
        points=np.stack([np.arange(6), 10.0 * np.arange(6)], 1).astype(np.float32),
        vectors=torch.zeros(6, 4),
        kinds=np.array([0, 0, 1, 1, 1, 2]),
        labels=np.array([1, 2, 1, 1, 2, 1]),
        patterns=np.array([0, 0, 1, 2, 1, 2]),
        base=np.array([0, 1, 0, 0, 1, 1]),
        pair=np.array([-1, -1, 0, 1, 2, 1]),
        classes=("cat", "dog"),
        pattern_names=("cup", "coin"),
    )


def test_a_panel_for_each_colouring_with_its_own_key(embedding):
    figure = embedding_panels(embedding, ("class", "kind"))
    panels = figure.axes
    assert [panel.get_title() for panel in panels] == ["coloured by class", "coloured by kind"]
    keys = [[text.get_text() for text in panel.get_legend().get_texts()] for panel in panels]
    assert keys == [list(colour_key(embedding, by)) for by in ("class", "kind")]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["clean", "occluded", "pseudo-DFV"]


def test_names_are_text(embedding):
    odd = replace(embedding, classes=("$^^$", "_dog"), pattern_names=("$^^$", "_coin"))
    figure = embedding_panels(odd)
    figure.savefig(BytesIO(), format="svg")  # a formula that is none would raise
    assert [len(panel.get_legend().get_texts()) for panel in figure.axes] == [2, 3], "none is left out"


def test_points_lie_where_they_are_embedded_in_their_colours(embedding):
    panel = embedding_panels(embedding, ("class",)).axes[0]
    points = np.concatenate([part.get_offsets() for part in panel.collections])
    assert sorted(map(tuple, points)) == [(k, 10 * k) for k in range(6)]
    clean = panel.collections[-1]
    assert clean.get_offsets().tolist() == [[0, 0], [1, 10]]
    assert [to_hex(colour) for colour in clean.get_facecolors()] == list(colour_key(embedding, "class").values())


def test_an_arrow_leads_from_the_clean_image_to_the_occluded_one(embedding):
    rows = embedding.rows("occluded")[1:]
    panel = embedding_panels(embedding, ("pattern",), arrows=rows).axes[0]
    arrows = [child for child in panel.texts if isinstance(child, matplotlib.text.Annotation)]
    assert [(tuple(arrow.xyann), tuple(arrow.xy)) for arrow in arrows] == [((0, 0), (3, 30)), ((1, 10), (4, 40))]


def test_arrows_end_at_occluded_vectors_only(embedding):
    with pytest.raises(DataError, match="rows that are no occluded DFVs"):
        embedding_panels(embedding, arrows=embedding.rows("clean"))
    assert POINT_KINDS[embedding.kinds[5]] == "pseudo-DFV"
    with pytest.raises(DataError, match="rows that are no occluded DFVs"):
        embedding_panels(embedding, arrows=np.array([5]))
