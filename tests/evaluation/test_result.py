"""The tables of a result, its file, and paired differences."""

import json
import os

import numpy as np
import pytest
import torch

from workbench.errors import DataError
from workbench.evaluation import Result, difference, evaluate_detections, load_result
from workbench.evaluation.coco import FIGURES
from workbench.types import Detections

LEVELS = ["< 5 %", "5–20 %", "20–40 %", "40–60 %", "≥ 60 %"]
HIDDEN = [0.0, 0.1, 0.3, 0.5, 0.7]


def column_scene(target, found, *, images=20, miss=(), hidden=HIDDEN):
    """Images of five objects, one of each level of occlusion; those of the levels in `miss` are not found."""
    boxes = [(10, 18 * i, 25, 18 * i + 15) for i in range(5)]
    rows = [(*box, i % 2 + 1) for i, box in enumerate(boxes)]
    seen = [(*row, 0.9 - 0.1 * i) for i, row in enumerate(rows) if i not in miss]
    return [target(rows, occlusion=hidden) for _ in range(images)], [found(seen) for _ in range(images)]


@pytest.fixture(scope="module")
def mixed(in_memory, target, found):
    """Forty images; a third of the objects missed, some found badly, some wrong detections."""
    generator = np.random.default_rng(0)
    targets, answers = [], []
    for _ in range(40):
        corners = generator.uniform(0, 60, (4, 2))
        boxes = np.concatenate([corners, corners + 30], axis=1)
        labels = generator.integers(1, 3, 4)
        targets.append(target(np.column_stack([boxes, labels]), occlusion=generator.choice(HIDDEN, 4)))
        near = boxes + generator.normal(0, 2, (4, 4))
        rows = np.column_stack([near, labels, generator.uniform(0.3, 1, 4)])[generator.random(4) < 0.7]
        wrong = np.column_stack([boxes[::-1] + 25, labels, generator.uniform(0, 0.6, 4)])
        answers.append(found(np.concatenate([rows, wrong])))
    data = in_memory(targets, ("one", "two"))
    return data, answers, evaluate_detections(answers, data)


def better(answers, targets):
    """The same detections and, with the best score of all, one exact one per image."""
    return [
        Detections(
            torch.cat([found.boxes, target["boxes"][:1]]),
            torch.cat([found.labels, target["labels"][:1]]),
            torch.cat([found.scores, torch.ones(1)]),
        )
        for found, target in zip(answers, targets, strict=True)
    ]


def test_missed_levels_show_in_their_rows_only(in_memory, target, found):
    targets, answers = column_scene(target, found, miss={2, 4})
    result = evaluate_detections(answers, in_memory(targets))
    table = result.by_occlusion
    assert list(table.index) == LEVELS
    assert list(table.columns) == ["n", "AP", "low", "high"]
    assert table["n"].tolist() == [20] * 5
    # Each level holds one class only. Class one loses two of its three objects, class two none.
    assert table["AP"].tolist() == pytest.approx([1, 1, 0, 1, 0])
    assert table["low"].tolist() == pytest.approx([1, 1, 0, 1, 0])
    assert result.summary["AP_unoccluded"] == pytest.approx(1)
    # Occluded: class one misses both objects per image, class two has its one.
    assert result.summary["AP_occluded"] == pytest.approx(0.5)
    # All: a third of class one is found, always right, so 34 of 101 recall points.
    assert result.by_class["AP"].tolist() == pytest.approx([34 / 101, 1])
    assert result.by_class["n"].tolist() == [60, 40]
    assert result.summary["AP"] == pytest.approx((34 / 101 + 1) / 2)


def test_a_detection_of_another_level_is_ignored_not_wrong(in_memory, target, found):
    """All objects are found, the unoccluded with the lowest score: nothing counts against its level."""
    rows = [(10, 10, 30, 30, 1), (50, 50, 70, 70, 1)]
    targets = [target(rows, occlusion=[0.0, 0.5])] * 3
    answers = [found([(*rows[0], 0.1), (*rows[1], 0.9)])] * 3
    result = evaluate_detections(answers, in_memory(targets))
    assert result.summary["AP_unoccluded"] == pytest.approx(1)
    assert result.summary["AP_occluded"] == pytest.approx(1)
    # A detection of nothing counts against every level: right after wrong is precision 1/2.
    wrong = [found([(*rows[0], 0.1), (*rows[1], 0.9), (0, 80, 9, 99, 1, 0.5)])] * 3
    result = evaluate_detections(wrong, in_memory(targets))
    assert result.summary["AP_unoccluded"] == pytest.approx(0.5)
    assert result.summary["AP_occluded"] == pytest.approx(1)


def taken_for_another(target, found):
    """Three images: a free cat that is found (0.5), a half hidden dog that is taken for a cat (0.9)."""
    rows = [(10, 10, 30, 30, 1), (50, 50, 70, 70, 2)]
    answers = [(10, 10, 30, 30, 1, 0.5), (50, 50, 70, 70, 1, 0.9)]
    return [target(rows, occlusion=[0.0, 0.5])] * 3, [found(answers)] * 3


def test_a_hidden_object_taken_for_another_class_costs_the_free_ones_nothing(in_memory, target, found):
    targets, answers = taken_for_another(target, found)
    result = evaluate_detections(answers, in_memory(targets))
    assert result.summary["AP"] == pytest.approx(0.25), "cats: every right one after two wrong ones; dogs: none"
    assert result.summary["AP_unoccluded"] == result.by_occlusion.loc["< 5 %", "AP"] == pytest.approx(1.0)
    assert result.summary["AP_occluded"] == result.by_occlusion.loc["40–60 %", "AP"] == 0.0
    strict = result.strict()
    assert strict.summary["AP_unoccluded"] == strict.by_occlusion.loc["< 5 %", "AP"] == pytest.approx(0.5)
    assert strict.summary["AP_occluded"] == 0.0
    assert strict.table().loc["AP_unoccluded", "value"] == pytest.approx(0.5)
    changed = {
        name for name, value in result.summary.items() if strict.summary[name] != pytest.approx(value, nan_ok=True)
    }
    assert changed == {"AP_unoccluded"}, "nothing else changes"
    assert strict.by_class.equals(result.by_class)
    assert "count in every level" in strict.occlusion_note
    assert result.occlusion_note is None
    assert "count in every level" in repr(strict)
    # The other way round, a wrong dog on the free cat costs the dogs of the other level nothing.
    answers = [found([(10, 10, 30, 30, 2, 0.9), (50, 50, 70, 70, 2, 0.5)])] * 3
    result = evaluate_detections(answers, in_memory(targets))
    assert (result.summary["AP_occluded"], result.strict().summary["AP_occluded"]) == pytest.approx((1.0, 0.5))


def test_differences_by_level_are_of_one_form(in_memory, target, found):
    targets, answers = taken_for_another(target, found)
    result = evaluate_detections(answers, in_memory(targets))
    other = evaluate_detections([one.above(0.8) for one in answers], in_memory(targets))
    assert difference(other, result).loc["AP_unoccluded", "difference"] == pytest.approx(1.0)
    assert difference(other.strict(), result.strict()).loc["AP_unoccluded", "difference"] == pytest.approx(0.5)
    assert difference(other.strict(), result.strict()).loc["AP"].equals(difference(other, result).loc["AP"])
    with pytest.raises(DataError, match="differ in strict_levels"):
        difference(other, result.strict())


def as_before(result, path, *, boxes=True):
    """A file of `result` as earlier versions wrote it: with strict levels, and at first without boxes."""
    content = json.loads(result.strict().save(path).read_text())
    del content["strict_levels"]
    if not boxes:
        content["objects"] = content["found"] = None
    path.write_text(json.dumps(content))
    return path


def test_files_of_earlier_versions_are_read_as_they_would_be_now(mixed, tmp_path):
    _, _, result = mixed
    loaded = Result.load(as_before(result, tmp_path / "before.json"))
    assert result.summary["AP_unoccluded"] > result.strict().summary["AP_unoccluded"]
    assert loaded.summary == pytest.approx(result.summary, nan_ok=True)
    assert loaded.by_occlusion.equals(result.by_occlusion)
    assert not loaded.strict_levels
    without = Result.load(as_before(result, tmp_path / "first.json", boxes=False))
    assert without.strict_levels, "no boxes: it stays as it was, and says so"
    assert without.by_occlusion.equals(result.strict().by_occlusion)
    assert "count in every level" in without.occlusion_note
    for one in (result, result.strict()):
        again = Result.load(one.save(tmp_path / "now.json"))
        assert again.strict_levels == one.strict_levels
        assert again.summary == pytest.approx(one.summary, nan_ok=True)


def test_a_file_of_masks_of_an_earlier_version_stays_strict(in_memory, target, found, tmp_path):
    masks = torch.zeros(1, 100, 100, dtype=torch.bool)
    masks[0, 10:30, 10:30] = True
    answer = found([(10, 10, 30, 30, 1, 0.9)])
    answer.masks = masks
    data = in_memory([target([(10, 10, 30, 30, 1)], occlusion=[0.0], masks=masks)])
    result = evaluate_detections([answer], data, iou_type="segm")
    assert Result.load(as_before(result, tmp_path / "before.json")).strict_levels


def test_unknown_occlusion_is_said_and_not_guessed(in_memory, target, found):
    targets, answers = column_scene(target, found, hidden=[float("nan")] * 5)
    result = evaluate_detections(answers, in_memory(targets))
    assert result.summary["AP"] == pytest.approx(1)
    assert np.isnan(result.summary["AP_unoccluded"])
    assert np.isnan(result.summary["AP_occluded"])
    table = result.by_occlusion
    assert table["n"].sum() == 0
    assert table[["AP", "low", "high"]].isna().all(axis=None)
    assert "unknown" in table.attrs["note"]
    assert table.attrs["note"] in repr(result)


def test_partly_known_and_estimated_occlusion_is_said(in_memory, target, found):
    targets, answers = column_scene(target, found, images=2, hidden=[0.0, float("nan"), 0.3, 0.5, 0.7])
    data = in_memory(targets)
    data.occlusion_is_estimate = True
    note = evaluate_detections(answers, data).by_occlusion.attrs["note"]
    assert "estimate" in note
    assert "2 of 10 objects is unknown" in note


def test_no_occlusion_key_at_all_is_unknown(in_memory, target, found):
    result = evaluate_detections([found([(0, 0, 9, 9, 1, 0.5)])], in_memory([target([(0, 0, 9, 9, 1)])]))
    assert result.occlusion_note is not None
    known = evaluate_detections(
        [found([(0, 0, 9, 9, 1, 0.5)])], in_memory([target([(0, 0, 9, 9, 1)], occlusion=[0.0])])
    )
    assert known.occlusion_note is None


def test_table_and_summary_hold_every_figure(mixed):
    _, _, result = mixed
    names = [*FIGURES, "AP_unoccluded", "AP_occluded"]
    assert list(result.summary) == names
    table = result.table()
    assert list(table.index) == names
    assert table["value"].tolist() == pytest.approx(list(result.summary.values()), nan_ok=True)
    known = table.loc[["AP", "AP50", "AP75", "AP_unoccluded", "AP_occluded"]]
    assert (known["low"] < known["value"]).all()
    assert (known["value"] < known["high"]).all()
    assert result.by_class["AP"].mean() == pytest.approx(result.summary["AP"])


def test_precision_recall_has_the_area_ap50(mixed):
    _, _, result = mixed
    curve = result.precision_recall(0.5)
    assert len(curve) == 101
    assert curve["precision"].mean() == pytest.approx(result.summary["AP50"])
    assert (np.diff(curve["precision"]) <= 1e-12).all()
    one = result.precision_recall(0.5, label=1)
    assert one["precision"].mean() == pytest.approx(result.by_class["AP50"].iloc[0])
    with pytest.raises(DataError, match=r"threshold 0\.52"):
        result.precision_recall(0.52)
    with pytest.raises(DataError, match=r"label 3 is outside 1\.\.2"):
        result.precision_recall(label=3)


def test_a_saved_result_is_the_same_result(mixed, tmp_path):
    data, answers, result = mixed
    path = result.save(tmp_path / "deep" / "result.json")
    loaded = Result.load(path)
    assert loaded.summary == pytest.approx(result.summary, nan_ok=True)
    assert (loaded.data, loaded.split, loaded.classes) == ("toy", "test", ("one", "two"))
    assert loaded.by_occlusion.equals(result.by_occlusion)
    assert loaded.by_class.equals(result.by_class)
    other = evaluate_detections(better(answers, data.targets), data)
    assert difference(loaded, other).equals(difference(result, other))
    assert [entry.name for entry in path.parent.iterdir()] == ["result.json"]
    assert json.loads(path.read_text())["summary"]["AP"] == pytest.approx(result.summary["AP"])
    assert path.stat().st_size < 22_000


def test_what_is_not_a_result_is_refused_by_name(mixed, tmp_path):
    path = mixed[2].save(tmp_path / "result.json")
    content = json.loads(path.read_text())
    content["matches"]["status"]["zlib+base64"] = "AAAA"
    for text in ("[]", "{}", json.dumps(content), json.dumps({**content, "format": "other"})):
        path.write_text(text)
        with pytest.raises(DataError, match=r"result\.json: not a result"):
            Result.load(path)
    path.write_text("{")
    with pytest.raises(DataError, match=r"result\.json: this is not JSON"):
        Result.load(path)
    with pytest.raises(DataError, match=r"missing\.json: this file cannot be read"):
        Result.load(tmp_path / "missing.json")
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(DataError, match=r"pipe\.json: this is a folder, a pipe or a device"):
        load_result(tmp_path / "pipe.json")


def test_difference_of_a_result_with_itself_is_zero(mixed):
    table = difference(mixed[2], mixed[2], resamples=50)
    assert list(table.index) == ["AP", "AP50", "AP_unoccluded", "AP_occluded", *LEVELS]
    assert list(table.columns) == ["a", "b", "difference", "low", "high"]
    assert (table[["difference", "low", "high"]] == 0).all(axis=None)


def test_difference_is_paired(mixed):
    """A better detector is better on every resample, though its own interval is wide."""
    data, answers, result = mixed
    other = evaluate_detections(better(answers, data.targets), data)
    table = difference(result, other)
    row = table.loc["AP"]
    assert row["a"] == pytest.approx(result.summary["AP"])
    assert row["b"] == pytest.approx(other.summary["AP"])
    assert row["difference"] == pytest.approx(row["b"] - row["a"])
    assert 0 < row["low"] < row["difference"] < row["high"]
    alone = result.table().loc["AP"]
    assert row["high"] - row["low"] < alone["high"] - alone["low"]
    swapped = difference(other, result).loc["AP"]
    assert [swapped["low"], swapped["high"]] == pytest.approx([-row["high"], -row["low"]], abs=1e-6)


def test_difference_follows_its_seed(mixed):
    data, answers, result = mixed
    other = evaluate_detections(better(answers, data.targets), data)
    first = difference(result, other, resamples=40, seed=1)
    assert first.equals(difference(result, other, resamples=40, seed=np.random.default_rng(1)))
    assert not first.equals(difference(result, other, resamples=40, seed=2))


def test_difference_between_data_sets_is_refused(mixed, in_memory):
    data, answers, result = mixed
    part = evaluate_detections(answers[:30], data.subset(range(30)))
    with pytest.raises(DataError, match=r"toy test \(40 images, bbox\) and toy test \(30 images, bbox\)"):
        difference(result, part)
    changed = [dict(target) for target in data.targets]
    changed[3]["boxes"] = changed[3]["boxes"] + 1
    other = evaluate_detections(answers, in_memory(changed))
    with pytest.raises(DataError, match="differ in fingerprint"):
        difference(result, other)
    val = in_memory(data.targets)
    val.split = "val"
    with pytest.raises(DataError, match=r"toy test .* and toy val .* differ in split"):
        difference(result, evaluate_detections(answers, val))


def test_repr_says_what_was_measured_and_html_escapes(in_memory, target, found):
    data = in_memory([target([(0, 0, 9, 9, 1)], occlusion=[0.0])])
    data.name = "<b>"
    result = evaluate_detections([found([])], data)
    assert "AP 0.000" in repr(result)
    assert "1 images, 1 objects" in repr(result)
    assert "Warning: The detector found nothing" in repr(result)
    assert "<b>" not in result._repr_html_()
    assert "&lt;b&gt;" in result._repr_html_()
