"""Pickles of plain values: what every protocol writes is read, and what could do harm is refused."""

from __future__ import annotations

import os
import pickle
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.data.reading.plain_pickle import read_pickle
from workbench.errors import DataError

VALUES = [
    ["a ü.jpg", "person", 2**40, [1.5, -2, 3e8], {"size": [4, 5], "counts": b"0\xff`"}],
    (None, True),
    {},
    "",
    b"",
]


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol(tmp_path: Path, protocol: int) -> None:
    assert read_pickle(write(tmp_path / "x.pkl", pickle.dumps(VALUES, protocol))) == VALUES


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_numbers_of_numpy_are_numbers_and_arrays_are_not_kept(tmp_path: Path, protocol: int) -> None:
    values = [np.int64(-7), np.uint8(200), np.float32(0.5), np.float64(1e300), np.bool_(True), np.arange(3.0)]
    *numbers, array = read_pickle(write(tmp_path / "x.pkl", pickle.dumps(values, protocol)))
    assert numbers == [-7, 200, 0.5, 1e300, True]
    assert not isinstance(array, np.ndarray)


class Harm:
    """What is called when it is unpickled."""

    def __init__(self, *call: Any):
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


@pytest.mark.parametrize(
    "harm",
    [
        Harm(os.system, "touch harm"), Harm(eval, "open('harm', 'w')"), Harm(getattr, "x", "upper"),
        Harm(np.load, "x"), Harm(np.dtype, "O"), np.dtype([("a", "O")]), Path("x"), 1j, np.float64, Harm,
        np.array([Harm(os.system, "touch harm")]),
    ],
    ids=lambda one: type(one).__name__,
)  # fmt: skip
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_nothing_else_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: Any, protocol: int) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "x.pkl", pickle.dumps([harm], protocol))
    try:
        found = read_pickle(path)
    except DataError as error:
        assert str(path) in str(error)  # noqa: PT017, either is right
    else:
        assert type(found[0]).__module__ == "workbench.data.reading.plain_pickle"  # a stand-in, which does nothing
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"not a pickle", b"\x80\x04", b"\x80\x09.", b"(lp0\n", pickle.dumps(VALUES)[:-4], b"\x80\x04]",
        b"\x80\x05\x96" + struct.pack("<Q", 2**62) + b".",  # a bytearray that is said to be endless
        b"\x80\x04]r\xff\xff\xff\x7f.",  # a place in the memo for which the unpickler in C would take 32 GB
        b"\x80\x02\x82\x01.", b"Pid\n.", b"cos\nsystem\n(S'x'\ntR.",
    ],
)  # fmt: skip
def test_broken_ones_are_named(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path / "x.pkl", content)
    if content.startswith(b"\x80\x04]r"):
        assert read_pickle(path) == []
        return
    with pytest.raises(DataError, match=r"x\.pkl: this is no pickle of plain values"):
        read_pickle(path)


def test_stand_ins_of_one_file_are_not_those_of_another(tmp_path: Path) -> None:
    """A pickle can set attributes of what it is given; the next one must not notice."""
    for spoil in (b"cnumpy\ndtype\n(N}S'__init__'\nNstb.", b"c_codecs\nencode\n}S'__kwdefaults__'\nNsb."):
        with suppress(DataError):  # it may also be read, without harm
            read_pickle(write(tmp_path / "spoil.pkl", spoil))
    assert read_pickle(write(tmp_path / "x.pkl", pickle.dumps([np.int64(3)]))) == [3]


def test_files_that_are_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_pickle(tmp_path / "gone.pkl")
    with pytest.raises(DataError, match="a folder, a pipe or a device"):
        read_pickle(tmp_path)
    monkeypatch.setattr("workbench.data.reading.plain_pickle.MOST_BYTES", 3)
    with pytest.raises(DataError, match="larger than"):
        read_pickle(write(tmp_path / "x.pkl", pickle.dumps(VALUES)))
