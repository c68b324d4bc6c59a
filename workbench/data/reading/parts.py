"""Parts of the images of a file, drawn at random."""

from __future__ import annotations

import posixpath
import random
from collections.abc import Mapping
from itertools import accumulate, pairwise
from typing import TypeVar

from workbench.errors import DataError

Key = TypeVar("Key")


def draw_parts(files: Mapping[Key, str], shares: Mapping[str, float], seed: int) -> dict[str, set[Key]]:
    """The images of each part; those of one file go together.

    Args:
        files: by image, the name of its file.
        shares: by name of the part, how much of the files it has, above 0; in all at most 1.
        seed: of the draw.

    Raises:
        DataError: the shares are none, or leave a part without an image.
    """
    wanted = list(shares.values())
    if not wanted or not all(0 < share <= 1 for share in wanted) or sum(wanted) > 1 + 1e-9:
        raise DataError(f"shares are {dict(shares)}; expected numbers above 0 that add up to 1 or less")
    groups: dict[str, set[Key]] = {}
    for image, name in files.items():
        groups.setdefault(posixpath.normpath(name), set()).add(image)
    drawn = list(groups.values())
    random.Random(seed).shuffle(drawn)
    ends = [round(share * len(drawn)) for share in accumulate(wanted, initial=0)]
    parts = {name: drawn[first:end] for name, (first, end) in zip(shares, pairwise(ends), strict=True)}
    for name, part in parts.items():
        if not part:
            raise DataError(f"{name!r} would have none of the {len(drawn)} images; give it a larger share")
    return {name: set().union(*part) for name, part in parts.items()}
