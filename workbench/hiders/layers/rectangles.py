"""Random rectangles (Zhong et al. 2020): of a share of an area and a ratio of sides, wholly inside it."""

from __future__ import annotations

import numpy as np

TRIES = 10  #: rectangles that do not fit are drawn again


def random_rectangle(
    height: int, width: int, area: tuple[float, float], aspect: tuple[float, float], rng: np.random.Generator
) -> tuple[int, int, int, int] | None:
    """Top, left, rows and columns of a random rectangle inside; None if none of `TRIES` fits.

    Args:
        area: lowest and highest share of height × width.
        aspect: lowest and highest width over height; its logarithm is evenly distributed.
    """
    for _ in range(TRIES):
        pixels = height * width * rng.uniform(*area)
        ratio = np.exp(rng.uniform(*np.log(aspect)))
        columns, rows = round((pixels * ratio) ** 0.5), round((pixels / ratio) ** 0.5)
        if 0 < columns <= width and 0 < rows <= height:
            top, left = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
            return int(top), int(left), rows, columns
    return None
