"""State dicts from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from workbench.detectors.layers.pretrained import read_weights
from workbench.errors import WeightsError


@pytest.mark.parametrize("prefix", ["", "module.", "module.module."])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_what_data_parallel_writes_before_names_is_left_out(tmp_path: Path, prefix: str, wrapper: str | None) -> None:
    state = {f"{prefix}conv.weight": torch.ones(2), f"{prefix}bn.bias": torch.zeros(1)}
    torch.save(state if wrapper is None else {wrapper: state, "epoch": 3}, tmp_path / "w.pth")
    assert list(read_weights(tmp_path / "w.pth")) == ["conv.weight", "bn.bias"]


def test_a_module_of_that_name_among_others_stays(tmp_path: Path) -> None:
    torch.save({"module.weight": torch.ones(2), "bias": torch.zeros(1)}, tmp_path / "w.pth")
    assert list(read_weights(tmp_path / "w.pth")) == ["module.weight", "bias"]


def test_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2), "b": torch.tensor([1.0, float("nan")])}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"w\.pth: entry 'b' holds values that are not finite"):
        read_weights(tmp_path / "w.pth")
