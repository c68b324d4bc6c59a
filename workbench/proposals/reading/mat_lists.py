"""The .mat lists of the original Fast R-CNN, read by a process of their own.

SciPy's reader ends the process it is in, without an exception, at some damaged files; here that is an error like any
other. The process runs this file as a program, which imports NumPy and SciPy only and hands back plain arrays.
"""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

NONE = np.zeros((0, 4), np.float32)
REFUSED = 3  #: exit code of the process where the file is not what it should be; it says why


class MatLists(NamedTuple):
    """What a file holds, image after image."""

    boxes: np.ndarray  #: [P, 4] float32 xyxy pixels, of all images
    starts: np.ndarray  #: [I + 1] where the boxes of each image begin
    wrong: list[str]  #: what is wrong with the boxes of each image, which has none then; "" where nothing is
    names: list[str] | None  #: of the images, "" where one has none; None: the file says none


def read_mat(path: Path) -> MatLists:
    """The cell `boxes` of a file, and the cell `images` if there is one for each of it.

    Raises:
        ValueError: it is no such file; says why.
    """
    program = [sys.executable, "-P", __file__, str(path.absolute())]
    run = subprocess.run(program, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if run.returncode == REFUSED:
        raise ValueError(run.stderr.decode(errors="replace").strip())
    if run.returncode:
        raise ValueError("this is not a .mat file of version 7 or before (it cannot be read to the end)")
    with np.load(io.BytesIO(run.stdout), allow_pickle=False) as content:
        names = content["names"].tolist() if "names" in content else None
        return MatLists(content["boxes"], content["starts"], content["wrong"].tolist(), names)


def convert(path: str) -> bytes:
    """The file as arrays of NumPy, for `read_mat`.

    Raises:
        ValueError: it has no such cells.
    """
    from scipy.io import loadmat

    try:
        content = loadmat(path, variable_names=["boxes", "images"])
    except Exception as error:  # whatever SciPy stumbles over in a broken file
        what = f"{type(error).__name__}: {error}"
        raise ValueError(f"this is not a .mat file of version 7 or before ({what})") from error
    cells, names = content.get("boxes"), content.get("images")
    if not isinstance(cells, np.ndarray) or cells.dtype != object:
        raise ValueError("there is no cell `boxes` with the proposals of each image")
    boxes, wrong = zip(*map(_boxes, cells.ravel()), strict=True) if cells.size else ((), ())
    arrays = {
        "boxes": np.concatenate([NONE, *boxes]),
        "starts": np.cumsum([0, *map(len, boxes)]),
        "wrong": np.array(wrong, dtype=str),
    }
    if isinstance(names, np.ndarray) and names.dtype == object and names.size == cells.size:
        arrays["names"] = np.array([str(np.ravel(name)[0]) if np.size(name) else "" for name in names.ravel()], str)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def _boxes(cell: Any) -> tuple[np.ndarray, str]:
    """The boxes of an image as xyxy, and what is wrong with them; they are y1 x1 y2 x2 from 1, the last included."""
    boxes = np.asarray(cell)
    if boxes.size == 0:
        return NONE, ""
    if boxes.dtype.kind not in "iuf" or boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        return NONE, f"its boxes are {boxes.dtype} of shape {boxes.shape}, expected finite [P, 4]"
    top, left, bottom, right = boxes.astype(np.float32).T
    if (bottom < top).any() or (right < left).any():
        return NONE, "its boxes are not y1 x1 y2 x2 with y1 <= y2 and x1 <= x2"
    return np.stack([left - 1, top - 1, right, bottom], axis=1), ""


if __name__ == "__main__":
    try:
        sys.stdout.buffer.write(convert(sys.argv[1]))
    except (ValueError, MemoryError) as reason:
        print(reason, file=sys.stderr)
        sys.exit(REFUSED)
