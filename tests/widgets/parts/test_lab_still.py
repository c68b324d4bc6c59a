"""What a still of OcclusionLab shows of each detector's answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from widgets.parts.lab_still import HATCHED, answer_pieces, check_region
from widgets.parts.pictures import encode_pixels
from workbench.errors import DataError

IMAGE = torch.full((3, 40, 80), 90, dtype=torch.uint8)


def answer(*scores, before=0.9, now=0.25):
    return {
        "boxes": [[10, 5, 30, 25]] * len(scores),
        "names": ["cup"] * len(scores),
        "scores": list(scores),
        "before": before,
        "now": now,
    }


def result(**detectors):
    return {"detectors": detectors, "min_score": 0.5, "object": {"box": [8, 4, 32, 28]}, "box": [0, 0, 20, 20]}


def test_each_detector_has_a_panel_with_what_it_is_sure_of():
    some = result(plain=answer(0.9, 0.4), hard=answer(0.6, before=None, now=None))
    (figure,) = answer_pieces(IMAGE, some, ["cup", "spoon"], {})
    said = [text.get_text() for text in figure.axes[0].texts]
    assert said == ["cup 0.90", "plain: 0.90 → 0.25", "cup 0.60", "hard"]
    styles = [patch.get_linestyle() for patch in figure.axes[0].patches]
    assert styles == ["-", "--", "--"] * 2, "a detection, the object and the occluder in each panel"
    (figure,) = answer_pieces(IMAGE, {**some, "object": None}, ["cup"], {})
    assert len(figure.axes[0].patches) == 4


def test_what_hides_objects_is_shaded():
    layer = np.zeros((40, 80, 4), np.uint8)
    layer[:, :10] = (255, 0, 0, 200)
    (figure,) = answer_pieces(IMAGE, result(plain=answer(0.9)), ["cup"], {"plain": encode_pixels(layer)})
    shade = figure.axes[0].images[1].get_array()
    assert shade[0, 0].tolist() == [0, 0, 0, int(HATCHED * 200)]
    assert shade[0, 40].tolist() == [0, 0, 0, 0]


def test_regions_of_files_are_checked():
    check_region({"box": [1, 2.5, 30, 40], "name": "cup", "source": None})
    check_region({"box": [1, 2, 30, 40], "name": "cup", "source": "plain"})
    good = {"box": [1, 2, 3, 4], "name": "cup", "source": None}
    for wrong in (None, [], {}, {**good, "more": 1}, {**good, "box": [1, 2, 3]}, {**good, "box": [1, 2, 3, True]},
                  {**good, "box": "1234"}, {**good, "name": 3}, {**good, "source": 3}):  # fmt: skip
        with pytest.raises(DataError, match=r"region is .*; expected box \(four numbers, xyxy pixels\)"):
            check_region(wrong)
