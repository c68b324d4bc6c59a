"""NumPy's .npz files of others: only plain arrays, and none larger than it should be.

`numpy.load` takes the memory that the header of an array asks for, and Python objects are pickles, which can run
code. Here the header is held against a limit first, and objects are refused.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from workbench.data.reading.paths import check_regular
from workbench.errors import DataError

MOST_BYTES = 2**28  #: of an array
_WRONG = (ValueError, TypeError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, OverflowError,
          SyntaxError, UnicodeError, MemoryError)  # fmt: skip  # of broken archives and headers


def read_npz(path: Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    """The arrays of a file that are among `names`; those that it lacks are left out.

    Raises:
        DataError: the file cannot be read, or an array holds Python objects or is too large; it is named.
    """
    check_regular(path)
    found, name = {}, ""
    try:
        with zipfile.ZipFile(path) as archive:
            there = set(archive.namelist())
            for name in names:
                if f"{name}.npy" in there:
                    with archive.open(f"{name}.npy") as stream:
                        found[name] = _array(stream)
    except FileNotFoundError:
        raise DataError(f"{path}: this file does not exist") from None
    except OSError as error:
        raise DataError(f"{path}: this file cannot be read ({error.strerror or error})") from error
    except _WRONG as error:
        what = f"its array {name!r}" if name else "this file"
        raise DataError(f"{path}: {what} cannot be read ({str(error) or type(error).__name__})") from error
    return found


def _array(stream: IO[bytes]) -> np.ndarray:
    """An array in NumPy's format.

    Raises:
        ValueError: it is none, holds Python objects, is too large, or breaks off.
    """
    if npy.read_magic(stream) != (1, 0):  # later ones are for structures, and have headers of any length
        raise ValueError("it is not of version 1.0 of NumPy's format, as arrays of numbers are")
    shape, by_columns, kind = npy.read_array_header_1_0(stream)
    if kind.hasobject:
        raise ValueError("it holds Python objects, which are not loaded since they could run code")
    number = 1
    for side in shape:
        number *= side
    if number < 0 or number * kind.itemsize > MOST_BYTES:
        raise ValueError(f"it has {number} numbers; expected at most {MOST_BYTES / 2**20:.0f} MB")
    content = stream.read(number * kind.itemsize)
    if len(content) < number * kind.itemsize:
        raise ValueError("it breaks off")
    return np.frombuffer(content, kind, number).reshape(shape, order="F" if by_columns else "C")
