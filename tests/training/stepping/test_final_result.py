"""What a finished detector is tested for: detections always, occluders and given boxes where the recipe asks."""

from __future__ import annotations

import pytest
import torch

import workbench as wb
from workbench.evaluation import ImageResult, Result, load_result
from workbench.evaluation.occluded_figures import occluded_figures
from workbench.training.recipe_sections import TestSpec
from workbench.training.stepping.final_result import final_result

FEW = {"kinds": ["grey"], "fractions": [0.5], "limit": 4}
CPU = torch.device("cpu")


def test_further_figures_are_in_the_summary_and_in_the_file(tmp_path):
    data = wb.load_data("digit-scenes", split="test", length=6)
    detector = wb.load_detector("digit-scenes/faster-rcnn")
    plain = final_result(detector, data, TestSpec(name="digit-scenes"), device=CPU)
    assert plain.summary == pytest.approx(wb.evaluate(detector, data, progress=False).summary, nan_ok=True)
    spec = TestSpec(name="digit-scenes", audit=FEW, regions=FEW)
    result = final_result(detector, data, spec, device=CPU)
    more = occluded_figures(detector, data, audited=FEW, regions=FEW)
    assert {"audit_recall_50", "regions_accuracy_50"} <= set(more)
    assert result.summary == pytest.approx(plain.summary | more, nan_ok=True)
    again = load_result(result.save(tmp_path / "result.json"))
    assert isinstance(again, Result)
    assert again.summary == pytest.approx(result.summary, nan_ok=True)
    assert again.table().loc["audit_recall_50", "value"] == more["audit_recall_50"]


def test_results_of_other_kinds_are_left_as_they_are():
    data = wb.load_data("digits", split="test").subset(range(20))
    result = final_result(wb.load_detector("dfv/digits-c"), data, None, device=CPU)
    assert isinstance(result, ImageResult)
