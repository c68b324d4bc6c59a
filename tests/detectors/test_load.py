"""Files of detectors: equal ones for equal detectors, nothing that is not finite; what stands for a detector."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from adversary_run import adversary_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small_detectors import FASTER_RCNN, MASK_RCNN

from workbench import Recipe, evaluate, load_data
from workbench.analysis.attention import roi_attention
from workbench.detectors import (
    Detector,
    Ensemble,
    as_detector,
    build_detector,
    load_detector,
    relabel,
    save_detector,
    start_from,
)
from workbench.detectors.load import not_finite
from workbench.errors import DataError, WeightsError

NAME = "digit-scenes/faster-rcnn"


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


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed(tmp_path: Path, detector: Detector, place: float, bit: int) -> None:
    path = save_detector(detector, tmp_path / "d.safetensors")
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"d\.safetensors"):
        load_detector(path)


def test_files_without_a_checksum_are_read(tmp_path: Path, detector: Detector) -> None:
    path = save_detector(detector, tmp_path / "d.safetensors")
    with safe_open(path, "pt") as file:
        metadata = {key: value for key, value in file.metadata().items() if key != "digest"}
    save_file(load_file(path), path, metadata)
    assert load_detector(path).classes == ("a", "b")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_not_finite_are_refused_by_name(tmp_path: Path, detector: Detector, value: float) -> None:
    path = save_detector(detector, tmp_path / "good.safetensors")
    with safe_open(path, "pt") as file:
        metadata = {key: text for key, text in file.metadata().items() if key != "digest"}
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
    with pytest.raises(WeightsError, match=r"step-00000005\.pt is no checkpoint that can be read: 'detector'"):
        load_detector(folder / "step-00000005.pt")
    (tmp_path / "lfs.pth").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 4\n")
    with pytest.raises(WeightsError, match="`git lfs pull`"):
        load_detector(tmp_path / "lfs.pth")
    torch.save({"module.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"detector\.load_state_dict\(torch\.load"):
        load_detector(tmp_path / "other.pth")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return adversary_run(tmp_path_factory.mktemp("runs") / "run")


def test_a_detector_is_itself_and_a_name_or_file_is_loaded(tmp_path):
    detector = load_detector(NAME)
    assert as_detector(detector) is detector
    renamed = relabel(detector, ("x", *detector.classes))  # which holds it as its `detector`
    assert as_detector(renamed) is renamed
    assert torch.equal(next(as_detector(NAME).parameters()), next(detector.parameters()))


def test_a_run_gives_its_detector_and_its_hardener_where_that_is_asked_for(run):
    assert as_detector(run).hardener is None
    assert as_detector(run, hardener=True).hardener is not None
    assert torch.equal(next(as_detector(run.folder).parameters()), next(as_detector(run).parameters()))


@pytest.mark.parametrize("thing", [3, None, [NAME], Ensemble])
def test_anything_else_is_an_error(thing):
    with pytest.raises(DataError, match="is no detector; give one, a Run, or the name or path"):
        as_detector(thing)
    with pytest.raises(WeightsError, match="there is no detector 'nobody'"):
        as_detector("nobody")


def test_data_and_recipes_are_no_detectors_though_they_have_classes_or_name_one():
    for thing in (load_data("digit-scenes", length=1), Recipe.load(NAME)):
        with pytest.raises(DataError, match="is no detector"):
            as_detector(thing)


def test_it_is_taken_in_every_room(run):
    data = load_data("digit-scenes", split="test").subset(range(2))
    image, target = data[0]
    by_run, by_path = (evaluate(one, data, progress=False) for one in (run, run.folder))
    assert by_run.summary == pytest.approx(by_path.summary, nan_ok=True)
    box = target["boxes"].as_subclass(torch.Tensor)[0]
    assert torch.equal(roi_attention(run, image, box).map, roi_attention(str(run.folder), image, box).map)
    assert Ensemble([NAME, load_detector(NAME)]).classes == load_detector(NAME).classes


@pytest.mark.parametrize("config", [MASK_RCNN, FASTER_RCNN | {"branches": [{"kind": "occlusion", "layers": [4]}]}])
def test_a_branch_that_the_start_does_not_have_begins_anew(tmp_path: Path, config: dict) -> None:
    start = build_detector(FASTER_RCNN, ("a", "b"))
    path = save_detector(start, tmp_path / "start.safetensors")
    detector = build_detector(config, ("a", "b"))
    own = {key: value.clone() for key, value in detector.state_dict().items()}
    fresh = start_from(detector, path)
    assert fresh
    assert all("mask_" in key or "occlusion_head" in key for key in fresh)
    state = detector.state_dict()
    assert all(torch.equal(state[key], own[key]) for key in fresh)
    assert all(torch.equal(state[key], value) for key, value in start.state_dict().items())
