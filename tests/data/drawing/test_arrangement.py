"""Who is hidden by what: kinds that can hide so much, objects in front of others, and things that are no objects."""

import numpy as np

from workbench.data.drawing.arrangement import Arrangement, arrange, draw_cover
from workbench.data.drawing.layout import Cover, Piece
from workbench.data.drawing.occluders import COVERS, CoverKind, strip_shapes
from workbench.data.drawing.worn import FACE_COVERS

SQUARE = np.ones((24, 24), bool)


def test_a_kind_is_drawn_that_can_hide_so_much() -> None:
    kinds = {"low": CoverKind(strip_shapes, 0.0, 0.3), "high": CoverKind(strip_shapes, 0.4, 0.8)}
    rng = np.random.default_rng(0)

    def drawn(level: float, *names: str) -> set[str]:
        return {draw_cover(rng, names, kinds, level) for _ in range(30)}

    assert drawn(0.2, "low", "high") == {"low"}
    assert drawn(0.5, "low", "high") == {"high"}
    assert drawn(0.35, "low", "high") == {"low", "high"}  # none is able: any of them
    assert drawn(0.5, "low", "high", "object") == {"high", "object"}  # another object is always able


def test_what_is_no_object_lies_over_none() -> None:
    """One in front of another is of its sort, so that only objects hide objects here; things count for nothing."""
    hidden = 0
    for seed in range(20):
        layout = arrange(
            np.random.default_rng(seed), size=128, num_objects=6, rate=1.0, even=True, occluders=("object",),
            covers={}, draw_piece=lambda _, number: Piece(int(number < 3), 0, 0, SQUARE),
        )  # fmt: skip
        expected, number = np.zeros((128, 128), int), 0
        for piece in layout.pieces:
            number += 1
            expected[piece.window] = number
        assert np.array_equal(layout.owner(), expected)
        hidden += int((layout.hidden(layout.owner()) > 0).sum())
        assert number >= 1
    assert hidden > 5


def test_an_image_need_not_be_square() -> None:
    scene = Arrangement((40, 90), np.random.default_rng(0), COVERS)
    piece = Piece(1, 60, 10, SQUARE, level=0.4)
    scene.add(piece)
    assert scene.cover(0)
    cover = scene.layout.layers[1]
    assert isinstance(cover, Cover)
    owner = scene.layout.owner()
    assert owner.shape == (40, 90)
    assert abs(scene.layout.hidden(owner)[0] - 0.4) < 0.1


def test_every_kind_can_be_laid_over_a_face_at_the_edge() -> None:
    for kind, able in FACE_COVERS.items():
        scene = Arrangement((30, 30), np.random.default_rng(1), FACE_COVERS)
        scene.add(Piece(1, 6, 6, SQUARE, level=max(able.least, 0.25), cover=kind))
        assert scene.cover(0), kind
        cover = scene.layout.layers[-1]
        assert isinstance(cover, Cover)
        rows, columns = cover.window
        assert 0 <= rows.start < rows.stop <= 30
        assert 0 <= columns.start < columns.stop <= 30
