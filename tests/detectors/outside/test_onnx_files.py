"""ONNX files: a tiny one of one operation, and YOLOX-Nano with real weights on real photographs."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from outside_stand_ins import identity_onnx

from workbench import evaluate, load_data, load_detector, wrap
from workbench.detectors import YOLOX
from workbench.errors import DataError, WeightsError, WorkbenchError

IMAGE = torch.zeros(3, 8, 8, dtype=torch.uint8)
IMAGE[:, 2:6, 3:7] = 255
NEEDS = "onnxruntime is not installed (extra: test)"


def prepare(image):
    return image.transpose(2, 0, 1)[None].astype(np.float32) / 255


def decode(outputs, image):
    """One box around what is bright."""
    y, x = np.nonzero(outputs[0][0, 0] > 0.5)
    return {"boxes": [[x.min(), y.min(), x.max() + 1, y.max() + 1]], "labels": [0], "scores": [0.9]}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "bright.onnx"
    path.write_bytes(identity_onnx((1, 3, 8, 8)))
    return path


def test_a_file_is_run_between_prepare_and_decode(path):
    pytest.importorskip("onnxruntime", reason=NEEDS)
    detector = wrap(path, ["bright"], prepare=prepare, decode=decode)
    (found,) = detector.detect([IMAGE])
    assert found.boxes.tolist() == [[3, 2, 7, 6]]
    assert "bright, an ONNX model of 1 classes" in repr(detector)
    by_name = wrap(str(path), ["bright"], prepare=lambda image: {"images": prepare(image)}, decode=decode)
    assert torch.equal(by_name.detect([IMAGE])[0].boxes, found.boxes)
    session = wrap(detector.family.session, ["bright"], prepare=prepare, decode=decode)
    assert torch.equal(session.detect([IMAGE])[0].boxes, found.boxes)


def test_what_goes_in_and_comes_out_is_said_where_it_is_not_explained(path, tmp_path):
    pytest.importorskip("onnxruntime", reason=NEEDS)
    message = (
        r"bright takes images \[1, 3, 8, 8\] and gives output \[1, 3, 8, 8\]; say what these mean.*{} is a function"
    )
    with pytest.raises(DataError, match=message.format("prepare")):
        wrap(path, ["bright"])
    with pytest.raises(DataError, match=message.format("decode")):
        wrap(path, ["bright"], prepare=prepare)
    wrong = wrap(path, ["bright"], prepare=lambda image: prepare(image)[:, :2], decode=decode)
    with pytest.raises(DataError, match=r"bright was given images \(1, 2, 8, 8\) float32 by prepare, and takes"):
        wrong.detect([IMAGE])
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"no model")
    with pytest.raises(WeightsError, match=r"bad\.onnx cannot be read as an ONNX model"):
        wrap(bad, ["bright"])
    with pytest.raises(WeightsError, match="there is no file"):
        wrap(tmp_path / "none.onnx", ["bright"])


def test_without_onnxruntime_it_is_said_what_to_install(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(WorkbenchError, match="needs the package onnxruntime, which is not installed: pip install"):
        wrap(path, ["bright"], prepare=prepare, decode=decode)
    with pytest.raises(WeightsError, match=r"is an ONNX model: wb\.wrap\(path, classes=..., prepare=..., decode="):
        load_detector(path)


def test_yolox_nano_has_its_published_quality(data_root):
    """Its check values on the 75 photographs are those that come with the file: COCO AP 0.323, AP50 0.504."""
    pytest.importorskip("onnxruntime", reason=NEEDS)
    file = data_root / "outside-detector" / "yolox_nano_coco.onnx"
    if not file.is_file():
        pytest.skip(f"{file} is not there")
    data, yolox = load_data("coco", root=data_root / "coco-mini", split="val"), YOLOX(416)
    detector = wrap(file, data.classes, prepare=yolox.prepare, decode=yolox.decode)
    result = evaluate(detector, data, progress=False)
    assert result.summary["AP"] == pytest.approx(0.323, abs=0.0015)
    assert result.summary["AP50"] == pytest.approx(0.504, abs=0.0015)
    strict = result.strict()  # as its levels were counted
    assert strict.by_occlusion["AP"]["< 5 %"] == pytest.approx(0.343, abs=0.003)
    assert strict.summary["AP_occluded"] == pytest.approx(0.209, abs=0.003)
    assert result.warnings == []
