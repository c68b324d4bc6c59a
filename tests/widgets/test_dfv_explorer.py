"""DFVExplorer without a browser: map, colours, arrows, one image's pseudo-DFVs, and what is shown of a point."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
import traitlets
from PIL import Image

from widgets import DFVExplorer
from workbench.analysis.deep_vectors import coverage, pair_vectors, some_pairs
from workbench.analysis.embedding import NONE, POINT_KINDS
from workbench.data import load_data
from workbench.detectors import build_detector, load_detector
from workbench.errors import DataError
from workbench.figures.embedding import ARROWS, CHOSEN, OWN_DVS, POINTED, PSEUDO, ROLES, colour_key

TINY = {"kind": "classifier", "backbone": {"name": "small", "widths": [8, 12], "stem": 8}}
OCCLUSION = {"occluders": ["cup", "coin"], "random_places": 0, "pair_classes": 3, "pair_images": 3}
NAME = "<i>one</i>"


@pytest.fixture(scope="module")
def pairs():
    return load_data("digits", split="train", ground="plain", occlusion=OCCLUSION).pairs


@pytest.fixture(scope="module")
def models(pairs):
    made = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        made.append(build_detector(TINY, pairs.clean.classes))
    return dict(zip((NAME, "two"), made, strict=True))


@pytest.fixture(scope="module")
def decoder(pairs):
    torch.manual_seed(0)
    model = build_detector({"kind": "dfv-decoder", "classifier": TINY, "size": 16, "width": 16}, pairs.clean.classes)
    model.generator[-2].weight.data *= 30  # pictures that differ
    return model


@pytest.fixture
def explorer(models, pairs, decoder):
    return DFVExplorer(models, pairs, decoder, images=2, patterns=(2, 4))


def picture(explorer):
    return np.asarray(Image.open(io.BytesIO(explorer._picture.value))).astype(int)


def trace(explorer, name):
    return next(one for one in explorer.maps.vectors.figure.data if one.name == name)


def difference(explorer, name):
    return next(one for one in explorer.maps.differences.figure.data if one.name == name)


def point(plot, name, number, event="hover"):
    """Point at a point of a line, as the browser does."""
    line = [one.name for one in plot.figure.data].index(name)
    plot._pointed = {"event": event, "line": line, "point": number, "turn": plot._pointed.get("turn", 0) + 1}


def points(one):
    return np.stack([one.x, one.y], axis=1)


def test_what_is_on_the_map(explorer, models, pairs):
    assert repr(explorer) == f"DFVExplorer({NAME}, two; 6 images, 12 pairs)"
    assert [one.name for one in explorer.maps.vectors.figure.data] == [*ROLES, "clean", "occluded", "pseudo-DFV"]
    assert [one.name for one in explorer.maps.differences.figure.data] == [
        OWN_DVS if name == PSEUDO else name for name in (*ROLES, "DV")
    ]
    expected = pair_vectors(models[NAME], some_pairs(pairs, images=2, patterns=(2, 4)))
    assert torch.equal(explorer.vectors.occluded, expected.occluded)
    assert len(trace(explorer, "clean").x) == 6
    assert len(trace(explorer, "occluded").x) == len(difference(explorer, "DV").x) == 12
    assert len(trace(explorer, "DV").x) == 0
    assert torch.equal(explorer.differences.vectors, expected.occluded - expected.clean[expected.source])
    assert len(explorer.pseudo.vectors) == 10, "all DVs but the image's own two"
    np.testing.assert_allclose(trace(explorer, PSEUDO).y, explorer.placed.points[:, 1])


def test_maps_are_linked(explorer):
    """A vector that is pointed at is marked on both maps, and the DVs of the chosen image are."""
    dvs, dfvs = explorer.differences.points, explorer.embedding.points
    np.testing.assert_allclose(points(difference(explorer, OWN_DVS)), dvs[explorer.vectors.source == 0])
    point(explorer.maps.vectors, "occluded", 7)
    np.testing.assert_allclose(points(trace(explorer, POINTED)), dfvs[[6 + 7]])
    np.testing.assert_allclose(points(difference(explorer, POINTED)), dvs[[7]])
    point(explorer.maps.differences, "DV", 4)
    assert explorer.point == 6 + 4
    np.testing.assert_allclose(points(trace(explorer, POINTED)), dfvs[[6 + 4]])
    np.testing.assert_allclose(points(difference(explorer, POINTED)), dvs[[4]])
    point(explorer.maps.vectors, "clean", 2)
    np.testing.assert_allclose(points(trace(explorer, POINTED)), dfvs[[2]])
    assert len(points(difference(explorer, POINTED))) == 0, "no DV belongs to a clean image"
    point(explorer.maps.vectors, PSEUDO, 3)
    np.testing.assert_allclose(points(trace(explorer, POINTED)), explorer.placed.points[[3]])
    np.testing.assert_allclose(points(difference(explorer, POINTED)), dvs[[explorer.pseudo.pair[3]]])
    point(explorer.maps.differences, "DV", 9, event="click")
    assert explorer.image == explorer.vectors.source[9] != 0
    np.testing.assert_allclose(points(difference(explorer, OWN_DVS)), dvs[explorer.vectors.source == explorer.image])
    point(explorer.maps.differences, OWN_DVS, 1)
    own = np.flatnonzero(explorer.vectors.source == explorer.image)
    assert explorer.point == 6 + own[1]
    assert explorer.error == ""


def test_pseudo_dfvs_move_with_beta(explorer):
    explorer.beta = 0.0
    clean = explorer.embedding.points[explorer.image]
    np.testing.assert_allclose(explorer.placed.points, np.tile(clean, (10, 1)), rtol=1e-5)
    np.testing.assert_allclose(trace(explorer, PSEUDO).x, np.full(10, clean[0]), rtol=1e-5)
    explorer._controls["beta"].value = 1.5
    expected = explorer.vectors.clean[0] + 1.5 * explorer.vectors.differences[explorer.pseudo.pair]
    assert torch.equal(explorer.pseudo.vectors, expected)
    assert trace(explorer, PSEUDO).x.std() > 0
    assert "β = 1.50: of the 10 pseudo-DFVs of this" in explorer._facts.value
    assert explorer.error == ""


def test_coverage_and_tightness_are_those_of_the_analysis(explorer):
    explorer.beta = 0.5
    options = {"neighbours": 2, "each": 3}
    assert explorer.coverage(**options).equals(coverage(explorer.vectors, beta=0.5, **options))
    assert f"{explorer.tightness.loc['DVs', 'pattern']:.2f}" in explorer._claims.value


def test_another_image(explorer):
    before = picture(explorer)
    explorer.image = 4
    star = trace(explorer, CHOSEN)
    assert (star.x[0], star.y[0]) == tuple(explorer.embedding.points[4])
    assert (explorer.pseudo.base == 4).all()
    assert explorer.point == 4
    assert not np.array_equal(picture(explorer), before)
    point(explorer.maps.vectors, "occluded", 3, event="click")
    assert explorer.image == explorer.vectors.source[3] != 4
    point(explorer.maps.vectors, PSEUDO, 0, event="click")
    assert explorer.image == explorer.vectors.source[3], "those are of this image anyway"


def test_colours(explorer):
    first = list(trace(explorer, "occluded").marker.color)
    explorer.colour = "pattern"
    assert "Colour by pattern:" in explorer._key.value
    assert "cup 20 % centre" in explorer._key.value
    assert set(trace(explorer, "clean").marker.color) == {"#8c959f"}
    assert len(set(trace(explorer, "occluded").marker.color)) == 2
    assert list(trace(explorer, "occluded").marker.color) != first
    explorer.colour = "kind"
    assert [text in explorer._key.value for text in POINT_KINDS] == [True] * 4
    assert len(set(trace(explorer, "occluded").marker.color)) == 1
    assert set(difference(explorer, "DV").marker.line.color) == {colour_key(explorer.differences, "kind")["DV"]}


def test_arrows(explorer):
    ends = list(trace(explorer, ARROWS).x)
    assert len(ends) == 3 * 12
    clean, occluded = explorer.embedding.points[0], explorer.embedding.points[6]
    assert ends[:3] == [clean[0], occluded[0], None], "those of the image come first"
    explorer.arrows = False
    assert len(trace(explorer, ARROWS).x) == 0
    explorer._controls["arrows"].value = True
    assert len(trace(explorer, ARROWS).x) == 3 * 12


def test_what_is_pointed_at(explorer, decoder, monkeypatch):
    seen = []
    monkeypatch.setattr(type(decoder), "decode", lambda _, v: (seen.append(v), torch.zeros(len(v), 3, 16, 16))[1])
    point(explorer.maps.vectors, "occluded", 7)
    assert explorer._words.value == f"<b>occluded {explorer.vectors.classes[explorer.vectors.labels[7] - 1]}, " \
        f"{explorer.vectors.pattern_names[explorer.vectors.patterns[7] - 1]}</b>"  # fmt: skip
    clean = explorer.vectors.clean[explorer.vectors.source[7]]
    assert torch.equal(seen[-1][0], clean)
    torch.testing.assert_close(seen[-1][1], explorer.vectors.occluded[7])
    explorer.beta = 2.0
    point(explorer.maps.vectors, PSEUDO, 3)
    assert explorer.point == -4
    torch.testing.assert_close(seen[-1][1], explorer.pseudo.vectors[3])
    assert "pseudo-DFV" in explorer._words.value
    assert "β = 2, " in explorer._words.value
    point(explorer.maps.vectors, "clean", 2)
    assert explorer.embedding.pair[explorer.point] == NONE
    assert len(seen[-1]) == 1


def test_pictures_with_and_without_decoder(explorer, models, pairs):
    explorer.point = int(explorer.embedding.rows("occluded")[0])
    wide = picture(explorer).shape[1]
    explorer.classifier = "two"  # has no decoder
    assert explorer.error == ""
    assert picture(explorer).shape[1] < wide
    alone = DFVExplorer(models["two"], pairs, images=1, colour="kind", beta=0.25, arrows=False)
    assert (alone.colour, alone.beta, alone.arrows) == ("kind", 0.25, False)
    assert len(trace(alone, ARROWS).x) == 0


def test_another_classifier_has_a_map_of_its_own(explorer, models):
    first = explorer.embedding
    explorer.classifier = "two"
    assert torch.equal(explorer.vectors.clean, pair_vectors(models["two"], explorer.pairs).clean)
    np.testing.assert_allclose(trace(explorer, "clean").x, explorer.embedding.points[:6, 0])
    explorer.classifier = NAME
    assert explorer.embedding is first, "made once"


def test_names_are_text(models, pairs, monkeypatch):
    monkeypatch.setattr(pairs.clean, "classes", tuple(f"<u>{k}</u>" for k in range(10)))
    explorer = DFVExplorer(models[NAME], pairs, images=1)
    for html in (explorer._key.value, explorer._facts.value, explorer._words.value):
        assert "&lt;u&gt;" in html
        assert "<u>" not in html


def test_what_does_not_fit(explorer, models, pairs, decoder):
    with pytest.raises(DataError, match="no classifier to explore"):
        DFVExplorer({}, pairs)
    with pytest.raises(DataError, match="plain is a FasterRCNN; expected a Classifier"):
        DFVExplorer({"plain": load_detector("digit-scenes/faster-rcnn")}, pairs)
    with pytest.raises(DataError, match="has no pairs"):
        DFVExplorer(models, load_data("digits", split="val"))
    with pytest.raises(DataError, match=r"decoder names \['three'\]; there are"):
        DFVExplorer(models, pairs, {"three": decoder})
    other = build_detector({**TINY, "backbone": {**TINY["backbone"], "widths": [8, 16]}}, pairs.clean.classes)
    with pytest.raises(DataError, match="the decoder of detector paints vectors of 12, not 16"):
        DFVExplorer(other, pairs, decoder)
    with pytest.raises(DataError, match=r"DFVExplorer has no \['shape'\]; it has classifier, colour"):
        explorer.show(shape=1)
    with pytest.raises(traitlets.TraitError, match="image is 6; there are 6, from 0 on"):
        explorer.image = 6
    with pytest.raises(traitlets.TraitError, match="classifier is 'three'"):
        explorer.classifier = "three"


def test_an_error_is_shown(explorer, monkeypatch):
    def broken(self, index):
        raise DataError(f"image {index}: <i>truncated</i>")

    monkeypatch.setattr(type(explorer.pairs.clean), "image", broken)
    explorer.image = 3
    assert explorer.error.endswith("<i>truncated</i>")
    assert "&lt;i&gt;truncated" in explorer._message.value
    monkeypatch.undo()
    explorer.image = 2
    assert explorer.error == explorer._message.value == ""


def lasso(plot, **points):
    """Choose points of lines by plotly's lasso, as the browser does."""
    names = [one.name for one in plot.figure.data]
    found = {str(names.index(name)): some for name, some in points.items()}
    plot._lassoed = {"points": found, "turn": plot._lassoed.get("turn", 0) + 1}


def test_the_selection_is_what_is_pointed_at(explorer):
    row = explorer.selection.iloc[0]
    assert (row["kind"], row["pattern"], row["point"], row["detector"]) == ("clean", "", 0, NAME)
    assert (row["x"], row["y"]) == pytest.approx(explorer.embedding.points[0])
    point(explorer.maps.vectors, "occluded", 7)
    row = explorer.selection.iloc[0]
    source = explorer.vectors.source[7]
    assert (row["image"], row["point"], row["kind"]) == (explorer._clean_rows[source], 6 + 7, "occluded")
    assert row["pattern"] == explorer.vectors.pattern_names[explorer.vectors.patterns[7] - 1]
    assert row["class"] == explorer.vectors.classes[explorer.vectors.labels[7] - 1]
    assert row["image_id"] == explorer.pairs.clean.target(int(row["image"]))["image_id"]
    point(explorer.maps.vectors, PSEUDO, 3)
    row = explorer.selection.iloc[0]
    assert (row["kind"], row["point"]) == ("pseudo-DFV", -4)
    assert (row["x"], row["y"]) == pytest.approx(explorer.placed.points[3])


def test_a_lasso_selects_points_on_both_maps(explorer):
    seen = []
    explorer.observe(lambda change: seen.append(change["new"]["point"].tolist()), "selection")
    drawn = explorer._picture.value
    lasso(explorer.maps.vectors, clean=[2], occluded=[4, 1], **{PSEUDO: [0]})
    assert explorer.selected == [2, 6 + 1, 6 + 4]
    assert explorer.selection["kind"].tolist() == ["clean", "occluded", "occluded"]
    assert explorer._picture.value is drawn
    line = [one.name for one in explorer.maps.differences.figure.data].index("DV")
    assert explorer.maps.differences._selected[str(line)] == [1, 4]
    lasso(explorer.maps.differences, DV=[3])
    assert explorer.selected == [6 + 3]
    explorer.colour = "kind"
    assert explorer.maps.differences._selected[str(line)] == [3], "also once it is drawn anew"
    lasso(explorer.maps.vectors)
    assert explorer.selected == []
    assert explorer.maps.vectors._selected == explorer.maps.differences._selected == {}
    assert seen == [[2, 7, 10], [9], [0]]
    with pytest.raises(traitlets.TraitError, match=r"selected has row 99; the map has \d+ points"):
        explorer.selected = [99]
