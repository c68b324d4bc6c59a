"""MATLAB's .mat files, read by a process of their own.

SciPy's reader ends the process it is in, without an exception, at some damaged files; here that is an error like any
other. The process runs this file as a program, which imports NumPy and SciPy only and leaves plain arrays.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

REFUSED = 3  #: exit code of the process where the file is not what it should be; it says why
NUMBERS, TREE = "numbers.npy", "tree.json"
_NO_MAT = "this is not a .mat file of version 7 or before"


def read_mat(path: Path, names: Iterable[str]) -> dict[str, Any]:
    """The variables of a file that are among `names`, as plain values.

    Numbers are arrays of the shape that they have there, a text is a str, a cell the list of what it holds, and a
    struct (also an array of structs) a dict of lists by field; None is anything else. Cells and structs of several
    rows and columns are read row by row.

    Raises:
        ValueError: it is no such file; says why.
    """
    with TemporaryDirectory() as folder:
        program = [sys.executable, "-P", __file__, str(path.absolute()), folder, *names]
        run = subprocess.run(program, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if run.returncode == REFUSED:
            raise ValueError(run.stderr.decode(errors="replace").strip())
        if run.returncode:
            raise ValueError(f"{_NO_MAT} (it cannot be read to the end)")
        numbers = np.load(Path(folder, NUMBERS), allow_pickle=False)
        tree = json.loads(Path(folder, TREE).read_text(encoding="ascii"))
    return {name: _value(branch, numbers) for name, branch in tree.items()}


def mat_content(path: Path, names: Iterable[str]) -> dict[str, Any]:
    """As `read_mat`, with the file in what is said of it.

    Raises:
        DataError: there is no such file, or it cannot be read.
    """
    from workbench.data.reading.paths import check_regular  # not at the top, which the program runs, too
    from workbench.errors import DataError
    from workbench.files import unfetched

    check_regular(path)
    if not path.exists():
        raise DataError(f"{path}: this file does not exist")
    try:
        return read_mat(path, names)
    except ValueError as error:
        raise DataError(f"{path}: {unfetched(path) or error}") from error


def _value(branch: Any, numbers: np.ndarray) -> Any:
    """What `_branch` has written down."""
    if isinstance(branch, list):
        return [_value(one, numbers) for one in branch]
    if not isinstance(branch, dict):
        return branch
    if "fields" in branch:
        return {name: _value(values, numbers) for name, values in branch["fields"].items()}
    first, shape = branch["first"], branch["shape"]
    return numbers[first : first + int(np.prod(shape))].reshape(shape)


def convert(path: str, folder: str, *names: str) -> None:
    """Write what `read_mat` gives: all numbers in one array, and where in it those of each value are.

    Raises:
        ValueError: it is no .mat file.
    """
    from scipy.io import loadmat

    try:
        content = loadmat(path, variable_names=names)
        leaves: list[np.ndarray] = []
        end = [0]
        tree = {name: _branch(content[name], leaves, end) for name in names if name in content}
        text = json.dumps(tree)
    except Exception as error:  # whatever SciPy stumbles over in a broken file
        raise ValueError(f"{_NO_MAT} ({type(error).__name__}: {error})") from error
    np.save(Path(folder, NUMBERS), np.concatenate([np.zeros(0, np.uint8), *leaves]), allow_pickle=False)
    Path(folder, TREE).write_text(text, encoding="ascii")


def _branch(value: Any, leaves: list[np.ndarray], end: list[int]) -> Any:
    """A value as JSON has it, but for numbers, which go to `leaves`, `end` of them up to now."""
    if not isinstance(value, np.ndarray):
        return None
    if value.dtype.names is not None:
        fields = {name: [_branch(one, leaves, end) for one in value[name].ravel()] for name in value.dtype.names}
        return {"fields": fields}
    if value.dtype == object:
        return [_branch(one, leaves, end) for one in value.ravel()]
    if value.dtype.kind == "U":
        return "".join(value.ravel().tolist())
    if value.dtype.kind not in "biuf":
        return None
    first = end[0]
    leaves.append(value.ravel())
    end[0] += value.size
    return {"first": first, "shape": list(value.shape)}


if __name__ == "__main__":
    try:
        convert(*sys.argv[1:])
    except (ValueError, MemoryError) as reason:
        print(reason, file=sys.stderr)
        sys.exit(REFUSED)
