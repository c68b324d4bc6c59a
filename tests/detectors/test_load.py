"""Files of detectors: equal ones for equal detectors, and nothing that is not finite goes in or comes out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small_detectors import MASK_RCNN

from workbench.detectors import Detector, build_detector, load_detector, save_detector
from workbench.detectors.load import not_finite
from workbench.errors import WeightsError


@pytest.fixture(scope="module")
def detector() -> Detector:
    return build_detector(MASK_RCNN, ("a", "b"))


def test_equal_detectors_give_equal_files(tmp_path: Path, detector: Detector) -> None:
    """Ten times: the order of four keys that are drawn at random would be equal once in 24."""
    files = [save_detector(detector, tmp_path / f"{n}.safetensors", about={"seed": 0}) for n in range(10)]
    assert len({file.read_bytes() for file in files}) == 1
    with safe_open(files[0], "pt") as file:
        assert file.metadata()["classes"] == '["a", "b"]'
    state = load_file(files[0])
    assert all(torch.equal(state[name], value) for name, value in detector.state_dict().items())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_not_finite_are_refused_by_name(tmp_path: Path, detector: Detector, value: float) -> None:
    path = save_detector(detector, tmp_path / "good.safetensors")
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    state = load_file(path)
    name = next(name for name, tensor in state.items() if tensor.is_floating_point())
    state[name].view(-1)[-1] = value
    assert not_finite(state) == name
    save_file(state, path, metadata)
    with pytest.raises(WeightsError, match=rf"good\.safetensors: values in {name} are not finite"):
        load_detector(path)
    broken = build_detector(MASK_RCNN, ("a", "b"))
    broken.load_state_dict(state)
    with pytest.raises(WeightsError, match=f"is not written: values in {name} are not finite"):
        save_detector(broken, tmp_path / "bad.safetensors")
    assert not (tmp_path / "bad.safetensors").exists()


def test_weights_too_large_for_16_bits_are_not_stored_in_them(tmp_path: Path) -> None:
    large = build_detector(MASK_RCNN, ("a", "b"))
    weight = next(large.parameters()).data
    weight[(0,) * weight.ndim] = 1e5
    save_detector(large, tmp_path / "whole.safetensors")
    with pytest.raises(WeightsError, match="not finite in 16 bits"):
        save_detector(large, tmp_path / "half.safetensors", half=True)


def test_it_is_said_what_to_do_with_files_of_others(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save({"step": 5}, folder / "step-00000005.pt")
    with pytest.raises(WeightsError, match=r"It is a checkpoint: Run\.open\('.*run'\)\.detector\(step\)"):
        load_detector(folder / "step-00000005.pt")
    (tmp_path / "lfs.pth").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 4\n")
    with pytest.raises(WeightsError, match="`git lfs pull`"):
        load_detector(tmp_path / "lfs.pth")
    torch.save({"module.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"detector\.load_state_dict\(torch\.load"):
        load_detector(tmp_path / "other.pth")
