"""Parts of the images of a file: by hand."""

from __future__ import annotations

import pytest

from workbench.data.reading.parts import draw_parts
from workbench.errors import DataError

FILES = {1: "a.jpg", 2: "./a.jpg", 3: "b.jpg", 4: "c.jpg", 5: "d.jpg"}


def test_files_are_drawn_once_and_their_images_together() -> None:
    parts = draw_parts(FILES, {"train": 0.5, "val": 0.25}, seed=0)
    assert set(parts) == {"train", "val"}
    assert [len({FILES[image].lstrip("./") for image in part}) for part in parts.values()] == [2, 1]
    assert not parts["train"] & parts["val"]
    assert all((1 in part) == (2 in part) for part in parts.values())
    assert draw_parts(FILES, {"train": 0.5, "val": 0.25}, seed=0) == parts
    assert set().union(*draw_parts(FILES, {"a": 0.5, "b": 0.5}, seed=1).values()) == set(FILES)


@pytest.mark.parametrize(
    "shares", [{}, {"a": 1.5}, {"a": 0.6, "b": 0.6}, {"a": -0.1}, {"a": float("nan")}, {"a": 0.01}]
)
def test_shares_that_are_none(shares: dict[str, float]) -> None:
    with pytest.raises(DataError, match=r"shares are|would have none of the 4 images"):
        draw_parts(FILES, shares, seed=0)
