"""Arrays of .npz files: plain ones are read, and no header makes it take memory or run code."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from workbench.data.reading.npz_files import read_npz
from workbench.errors import DataError

KINDS = [np.uint8, np.int16, np.int64, np.float32, np.float64, np.bool_, ">i4"]


SHAPES = arrays.array_shapes(min_dims=0, max_dims=3)


@settings(max_examples=30)
@given(
    values=st.sampled_from(KINDS).flatmap(lambda kind: arrays.arrays(kind, SHAPES)),
    by_columns=st.booleans(),
    small=st.booleans(),
)
def test_what_numpy_writes(
    tmp_path_factory: pytest.TempPathFactory, values: np.ndarray, by_columns: bool, small: bool
) -> None:
    path = tmp_path_factory.mktemp("npz") / "x.npz"
    (np.savez_compressed if small else np.savez)(path, a=np.asarray(values, order="F" if by_columns else "C"), b=1)
    found = read_npz(path, ("a", "c"))
    assert list(found) == ["a"]
    assert found["a"].dtype == values.dtype
    np.testing.assert_array_equal(found["a"], values)


def header(text: str, version: bytes = b"\x01\x00") -> bytes:
    """An array in NumPy's format of which nothing but the header is there."""
    line = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY" + version + len(line).to_bytes(2, "little") + line


def write(path: Path, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", content)
    return path


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}"), "expected at most 256 MB"),
        (header("{'descr': '<f8', 'fortran_order': False, 'shape': (4,)}"), "it breaks off"),
        (header("{'descr': '<f8', 'fortran_order': False, 'shape': (-4,)}"), "numbers; expected at most"),
        (header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"), "it holds Python objects"),
        (header("__import__('os').system('x')"), "cannot be read"),
        (header("{'descr': '<f8', 'fortran_order': False, 'shape': (4,)}", b"\x02\x00"), r"not of version 1\.0"),
        (b"", "cannot be read"),
        (b"\x93NUMPY\x01\x00\xff\xff{", "cannot be read"),
    ],
)
def test_wrong_arrays_are_named(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(DataError, match=rf"x\.npz: its array 'a' cannot be read \(.*{words}|x\.npz.*{words}"):
        read_npz(write(tmp_path / "x.npz", content), ("a",))


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.npz: this file does not exist"):
        read_npz(tmp_path / "gone.npz", ("a",))
    (tmp_path / "x.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"x\.npz: this file cannot be read"):
        read_npz(tmp_path / "x.npz", ("a",))
    with pytest.raises(DataError, match="a folder, a pipe or a device"):
        read_npz(tmp_path, ("a",))
    stream = io.BytesIO()
    np.savez(stream, a=np.array([None]))
    (tmp_path / "x.npz").write_bytes(stream.getvalue())
    with pytest.raises(DataError, match="its array 'a' cannot be read"):
        read_npz(tmp_path / "x.npz", ("a",))
