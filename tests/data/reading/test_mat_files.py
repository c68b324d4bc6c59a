"""Variables of .mat files as plain values, also of damaged ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from folders import mat_cell as cell
from scipy.io import savemat

from workbench.data.reading.mat_files import read_mat


def test_cells_structs_numbers_and_texts(tmp_path: Path) -> None:
    content = {
        "numbers": np.array([[1.5, 2], [3, np.nan]], np.float32),
        "nested": cell(cell("a b.jpg", np.array([[7]], np.uint8)), np.zeros((0, 4)), "Bäume 图"),
        "people": np.array([[("x", 3)], [("y", 4)]], dtype=[("name", object), ("age", object)]),
        "other": 1 + 2j,
        "unasked": 5,
    }
    savemat(tmp_path / "a.mat", content)
    found = read_mat(tmp_path / "a.mat", ["numbers", "nested", "people", "other", "missing"])
    assert set(found) == {"numbers", "nested", "people", "other"}
    np.testing.assert_array_equal(found["numbers"], content["numbers"])
    (name, seven), empty, text = found["nested"]
    assert (name, seven.tolist(), empty.shape, text) == ("a b.jpg", [[7]], (0, 4), "Bäume 图")
    assert found["people"]["name"] == ["x", "y"]
    assert [age.tolist() for age in found["people"]["age"]] == [[[3]], [[4]]]
    assert found["other"] is None


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n" + bytes(600)])
def test_what_is_no_mat_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(ValueError, match=r"not a \.mat file of version 7"):
        read_mat(tmp_path / "a.mat", ["x"])
