"""Pickles of plain values: lists, tuples, dicts, texts, bytes and numbers, read without running what they ask for.

A pickle is a program, which can call any function. Here it can call a few, all written below, that make bytes (as old
pickles do) and NumPy's single numbers; of arrays nothing is kept. Everything else that it names is refused. Python's
unpickler in Python is used, as the one in C takes memory for any number that a file claims.
"""

from __future__ import annotations

import io
import pickle
import struct
from pathlib import Path
from typing import Any

from workbench.data.reading.paths import check_regular
from workbench.errors import DataError

MOST_BYTES = 2**28  #: of a file
_NUMPY = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
_WRONG = (pickle.UnpicklingError, ValueError, TypeError, AttributeError, KeyError, IndexError, EOFError, MemoryError,
          OverflowError, AssertionError, struct.error, RecursionError, NameError)  # fmt: skip  # of broken pickles


def read_pickle(path: Path) -> Any:
    """What a pickle of plain values holds.

    Raises:
        DataError: the file cannot be read, is no pickle, or names anything that is no plain value; it is named.
    """
    check_regular(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path}: this file is larger than {MOST_BYTES / 2**20:.0f} MB; is it the right one?")
        return _reader(io.BytesIO(path.read_bytes())).load()
    except OSError as error:
        raise DataError(f"{path}: this file cannot be read ({error.strerror or error})") from error
    except DataError:
        raise
    except _WRONG as error:
        raise DataError(
            f"{path}: this is no pickle of plain values ({str(error) or type(error).__name__})"
        ) from error


def _reader(stream: io.BytesIO) -> Any:
    """An unpickler with stand-ins of its own: what a pickle does to them ends with it."""

    class Dtype:
        """A type of NumPy's numbers, by its name such as i8."""

        def __init__(self, *given: Any) -> None:
            self.name = given[0] if given and isinstance(given[0], str) else ""
            self.order = "<"

        def __setstate__(self, state: Any) -> None:
            """Take the order of the bytes, which comes second."""
            if isinstance(state, tuple) and len(state) > 1 and state[1] == ">":
                self.order = ">"

    class Unread:
        """An array, of which nothing is kept."""

        def __init__(self, *given: Any) -> None: ...

        def __setstate__(self, state: Any) -> None: ...

    def scalar(dtype: Any, data: Any = b"") -> int | float | bool | None:
        """NumPy's single number as Python's."""
        kinds = {"i": "bhiq", "u": "BHIQ", "f": " efd", "b": "?"}
        name = dtype.name if isinstance(dtype, Dtype) else ""
        size = {"1": 0, "2": 1, "4": 2, "8": 3}.get(name[1:2], -1)
        if name[:1] not in kinds or size < 0 or not isinstance(data, bytes):
            raise pickle.UnpicklingError("a number of NumPy is of no usual type")
        return struct.unpack(dtype.order + kinds[name[0]][size], data)[0]

    def encode(text: Any, encoding: Any = "latin1") -> bytes:
        """How old pickles write bytes."""
        if not isinstance(text, str) or encoding != "latin1":
            raise pickle.UnpicklingError("bytes are written in an unusual way")
        return text.encode("latin1")

    def no_bytes() -> bytes:
        """How old pickles write bytes where there are none."""
        return b""

    class Reader(pickle._Unpickler):
        """Python's unpickler, which finds nothing but the stand-ins."""

        def find_class(self, module: str, name: str) -> Any:
            known = {
                "scalar": scalar,
                "dtype": Dtype,
                "_reconstruct": Unread,
                "ndarray": Unread,
                "_frombuffer": Unread,
            }
            if module in _NUMPY and name in known:
                return known[name]
            if (module, name) == ("_codecs", "encode"):
                return encode
            if (module, name) == ("__builtin__", "bytes"):
                return no_bytes
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is not loaded since it could run code")

        def persistent_load(self, pid: Any) -> Any:
            raise pickle.UnpicklingError("it names something outside of the file")

    return Reader(stream, encoding="latin1")
