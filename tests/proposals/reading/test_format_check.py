"""Proposals in another format are seen by their images, or by the objects that they miss."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.data.reading.boxes import CENTRE, XYWH, XYXY, YXHW, YXYX
from workbench.proposals.reading.format_check import proposal_format_problems


def _scene(seed: int, height: int, width: int, largest: float) -> tuple[np.ndarray, torch.Tensor]:
    """60 proposals of an image, xyxy; the first five are those of its objects."""
    rng = np.random.default_rng(seed)
    size = rng.uniform(4, largest, (60, 2))
    low = rng.uniform(0, 1, (60, 2)) * (np.array([width, height]) - size)
    boxes = np.concatenate([low, low + size], axis=1)
    return boxes, torch.from_numpy(boxes[:5]).float()


def _written(boxes: np.ndarray, form: str) -> np.ndarray:
    x1, y1, x2, y2 = boxes.T
    w, h = x2 - x1, y2 - y1
    columns = {
        XYXY: (x1, y1, x2, y2), XYWH: (x1, y1, w, h), YXYX: (y1, x1, y2, x2), YXHW: (y1, x1, h, w),
        CENTRE: (x1 + w / 2, y1 + h / 2, w, h),
    }  # fmt: skip
    return np.stack(columns[form], axis=1)


@pytest.mark.parametrize("shape", [(128, 128, 30), (300, 400, 200)])
@pytest.mark.parametrize("meant", [XYWH, YXYX])
@pytest.mark.parametrize("written", [XYXY, XYWH, YXYX, YXHW, CENTRE])
def test_another_format_is_named(written: str, meant: str, shape: tuple) -> None:
    scenes = [_scene(seed, *shape) for seed in range(8)]
    given = [_written(boxes, written) for boxes, _ in scenes]
    found = proposal_format_problems(given, [shape[:2]] * 8, [objects for _, objects in scenes], "p.json", meant)
    if written == meant:
        assert found == []
    else:
        assert [problem.where for problem in found] == ["p.json"]
        assert written in found[0].what
        assert meant in found[0].what


def test_without_proposals_or_objects_nothing_is_said() -> None:
    none = np.zeros((0, 4)), torch.zeros(0, 4)
    assert proposal_format_problems([none[0]], [(9, 9)], [none[1]], "p.json", XYWH) == []
    assert proposal_format_problems([], [], [], "p.json", XYWH) == []
