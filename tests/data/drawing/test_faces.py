"""Faces as ovals: their outline, their colours, and where they end up in a picture."""

import numpy as np

from workbench.data.drawing.faces import Oval, draw_oval, oval, paint_oval, paint_person, tinted


def test_an_oval_is_solid_in_the_middle_and_soft_at_its_edge() -> None:
    alpha = oval(40, 0)
    np.testing.assert_allclose(alpha, alpha[:, ::-1], atol=1e-5)
    assert alpha[20, 20] == 1
    assert alpha[0, 0] == alpha[0, -1] == 0
    solid = alpha > 0.5
    assert solid.any(1).sum() == 38  # 0.96 of 40 rows
    assert solid.any(0).sum() == 32  # 0.8 of 40 columns
    assert solid[36].sum() < solid[3].sum()  # the chin is narrower than the forehead


def test_the_colours_of_skin() -> None:
    grey = np.array([[0.0, 0.5, 1.0]], np.float32)
    np.testing.assert_allclose(tinted(grey, 0.0), np.repeat(grey[..., None], 3, 2))
    dark, middle, light = tinted(grey, 1.0)[0]
    assert dark.tolist() == [0, 0, 0]
    assert middle[0] > middle[1] > middle[2]
    assert light[0] - light[2] < 2 * (middle[0] - middle[2])  # the lighter the paler


def test_an_oval_changes_the_picture_only_in_its_place() -> None:
    rng = np.random.default_rng(3)
    piece = draw_oval(rng, "val", 30, face=True)
    piece.x, piece.y = 20, 10
    picture = np.full((64, 64, 3), 0.5, np.float32)
    paint_oval(picture, piece, rng, "val")
    changed = (picture != 0.5).any(2)
    assert changed[piece.window][piece.mask].mean() > 0.99
    changed[piece.window] = False
    assert not changed.any()


def test_a_person_stands_below_its_face_down_to_the_edge() -> None:
    piece = Oval(1, 24, 6, oval(20, 0) > 0.5)
    picture = np.full((64, 70, 3), -1.0, np.float32)
    paint_person(picture, piece, np.random.default_rng(0), "test")
    assert (picture[-1, 24:44] > -1).all()  # clothes
    assert (picture[:3] == -1).all()  # nothing above the hair
    assert (picture[:, :10] == -1).all()


def test_what_is_drawn_for_a_split_is_there() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_oval(rng, "val", 24, face=number % 2 == 0) for number in range(40)]
    assert {piece.label for piece in drawn} == {0, 1}
    assert max(piece.picture for piece in drawn if piece.label) < 15
    assert min(piece.picture for piece in drawn if not piece.label) == -1
    assert all(piece.mask.shape == (24, 24) for piece in drawn)
