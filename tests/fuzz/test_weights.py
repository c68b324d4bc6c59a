"""Files of weights with damaged bytes and strange configurations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from campaign import cases, changed, damaged, only_own_errors
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load, save
from small_detectors import MASK_RCNN

import workbench as wb
from workbench.detectors import build_detector, load_detector, save_detector
from workbench.detectors.load import FORMAT


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_detector(build_detector(MASK_RCNN, ("a", "b")), tmp_path_factory.mktemp("w") / "d.safetensors")


@given(draw=st.data())
@cases(25)
def test_damaged_files(tmp_path: Path, weights: Path, draw: st.DataObject) -> None:
    path = tmp_path / "d.safetensors"
    content = weights.read_bytes()
    head = 8 + int.from_bytes(content[:8], "little")
    spoilt = draw.draw(damaged(content[:head])) + content[head:]
    path.write_bytes(spoilt)
    with only_own_errors():
        detect(path)


@given(said=changed({"config": MASK_RCNN, "classes": ["a", "b"], "about": {}}))
@cases(25)
def test_strange_configurations(tmp_path: Path, weights: Path, said: dict) -> None:
    path = tmp_path / "d.safetensors"
    metadata = {key: json.dumps(value) for key, value in said.items()} | {"format": FORMAT}
    path.write_bytes(save(load(weights.read_bytes()), metadata))
    with only_own_errors():
        detect(path)


def detect(path: Path) -> None:
    detector = load_detector(path)
    detector.detect([wb.load_data("digit-scenes", "test", length=1)[0][0]])
