"""What hides faces: outlines by hand, and what each kind can hide."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data.drawing.worn import DEPTHS, FACE_COVERS, Worn

BOX = np.array([60.0, 70, 100, 130])
CENTRES = np.arange(200) + 0.5


def worn(kind: str, extent: float, across: float = 0.0, down: float = 0.0, angle: float = 0.0) -> Worn:
    return Worn(kind, BOX, *(np.array([value]) for value in (extent, across, down, angle)))


def test_places_on_a_face() -> None:
    x, y = np.array([60.0, 80, 100]), np.array([70.0, 100, 130])
    u, v = worn("mask", 0.0).local(x, y)
    assert u.tolist() == v.tolist() == [[-1, 0, 1]]
    u, v = worn("hand", 1.0, across=1.0).local(x, y)  # from the right edge, and as many pixels across as down
    np.testing.assert_allclose(u, [[-40 / 30, -20 / 30, 0]], rtol=1e-6)
    turned = worn("sunglasses", 1.0, angle=np.pi / 2).local(np.array([80.0]), np.array([120.0]))
    np.testing.assert_allclose(turned, [[[1.0]], [[0.0]]], atol=1e-6)  # its right end is below


def test_a_mask_hides_mouth_and_chin_and_sunglasses_the_eyes() -> None:
    mouth, chin, eye, nose, brow = (80, 115), (80, 129), (88, 94), (80, 106), (80, 75)
    x, y = np.array([mouth, chin, eye, nose, brow], float).T
    assert worn("mask", 0.1).inside(x, y).tolist() == [[True, True, False, True, False]]
    assert worn("sunglasses", 1.0, down=-0.2).inside(x, y).tolist() == [[False, False, True, False, False]]


@given(st.integers(0, 10_000), st.floats(0.06, 0.74), st.sampled_from(sorted(DEPTHS)))
@settings(max_examples=40, deadline=None)
def test_the_window_holds_the_whole_outline(seed: int, level: float, kind: str) -> None:
    outline = FACE_COVERS[kind].draw(np.random.default_rng(seed), BOX, level, 3)[1]
    inside = outline.inside(CENTRES[None, :], CENTRES[:, None])[0]
    x1, y1, x2, y2 = outline.window((200, 200))
    within = np.zeros_like(inside)
    within[y1:y2, x1:x2] = True
    assert not (inside & ~within).any()


@pytest.mark.parametrize("kind", sorted(DEPTHS))
def test_a_kind_hides_what_it_says(kind: str) -> None:
    """Of a hundred outlines one comes near, at any level within the kind's range."""
    x, y = np.meshgrid(np.arange(60, 100) + 0.5, np.arange(70, 130) + 0.5)
    face = ((x - 80) / 20) ** 2 + ((y - 100) / 30) ** 2 < 1
    able = FACE_COVERS[kind]
    for level in np.linspace(able.least, able.most, 5):
        outlines = able.draw(np.random.default_rng(0), BOX, level, 100)
        hidden = outlines.inside(x[face], y[face]).mean(1)
        assert np.abs(hidden - level).min() < 0.03
