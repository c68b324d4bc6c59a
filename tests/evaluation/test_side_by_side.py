"""Several detectors as one table: figures and paired differences, from detectors, results and files alike."""

from __future__ import annotations

import json

import pytest

from workbench.errors import DataError
from workbench.evaluation import as_result, difference, evaluate, evaluate_detections, side_by_side

BOX = (10, 20, 40, 80)


@pytest.fixture
def scene(in_memory, target, found):
    """All found, and only every second one."""
    data = in_memory([target([(*BOX, 1)], occlusion=[0.0]) for _ in range(6)])
    good, none = found([(*BOX, 1, 0.9)]), found([])
    return data, [good] * 6, [good, none] * 3


def test_figures_and_differences(scene, oracle):
    data, all_found, half = scene
    results = [evaluate_detections(one, data) for one in (all_found, half)]
    table = side_by_side({"all": oracle(all_found), "half": results[1]}, data, progress=False)
    assert table.loc[("AP", "all"), "value"] == pytest.approx(1)
    assert table.loc[("AP", "all"), ["difference", "difference_low"]].isna().all()
    wanted = difference(*results).loc["AP", ["difference", "low", "high"]].tolist()
    got = table.loc[("AP", "half"), ["difference", "difference_low", "difference_high"]].tolist()
    assert got == pytest.approx(wanted)
    assert table.loc[("AP", "half"), "value"] == pytest.approx(results[1].summary["AP"])


def test_files_of_results_are_taken_as_well(scene, tmp_path):
    data, all_found, half = scene
    saved = evaluate_detections(all_found, data).save(tmp_path / "result.json")
    coco = evaluate_detections(half, data).save_coco(tmp_path / "coco.json")
    table = side_by_side({"saved": saved, "coco": str(coco)}, data, progress=False)
    assert table.loc[("AP50", "saved"), "value"] == pytest.approx(1)
    assert table.loc[("AP50", "coco"), "value"] == pytest.approx(51 / 101)


def test_a_saved_result_is_no_list_of_detections(scene, tmp_path):
    data, all_found, _ = scene
    saved = evaluate_detections(all_found, data).save(tmp_path / "result.json")
    with pytest.raises(DataError, match=r"one that Result\.save wrote is read by workbench\.evaluation\.load_result"):
        evaluate(saved, data, progress=False)


def test_other_data_and_other_things_are_refused(scene, tmp_path):
    data, all_found, _ = scene
    result = evaluate_detections(all_found, data)
    with pytest.raises(
        DataError, match=r"a result on toy test \(6 images, 2 classes\) came with toy test \(3 images"
    ):
        as_result(result, data.subset(range(3)))
    with pytest.raises(DataError, match="takes a dict, name → detector or result"):
        side_by_side([result], data)
    with pytest.raises(DataError, match="a int is no detector"):
        as_result(3, data)
    (tmp_path / "odd.json").write_text(json.dumps({"format": "another"}))
    with pytest.raises(DataError, match=r"not a result written by Result\.save"):
        as_result(tmp_path / "odd.json", data)
