"""Running a detector over a data set."""

import weakref

import numpy as np
import pytest
import torch

from workbench.errors import DataError
from workbench.evaluation import evaluate, evaluate_detections
from workbench.evaluation.coco import coco_figures
from workbench.evaluation.counting.tables import gather_found, gather_objects

BOX = (10, 20, 40, 80)


@pytest.fixture
def scene(in_memory, oracle, target, found):
    data = in_memory([target([(*BOX, 1)], occlusion=[i / 10]) for i in range(7)])
    return oracle([found([(*BOX, 1, 0.9)])] * 6 + [found([])]), data


def test_batches_cover_the_data_and_give_the_same_as_detections(scene):
    detector, data = scene
    result = evaluate(detector, data, batch_size=3, progress=False)
    assert detector.batches == [3, 3, 1]
    expected = (86 * 1.0) / 101  # six of seven found: recall points 0 … 0.85
    assert result.summary["AP"] == pytest.approx(expected)
    assert result.losses is None
    again = evaluate_detections(detector.answers, data)
    assert again.summary == pytest.approx(result.summary, nan_ok=True)
    assert again.fingerprint == result.fingerprint


@pytest.mark.parametrize("size", [0, -1, 1.5])
def test_a_batch_has_one_image_or_more(size, scene):
    with pytest.raises(DataError, match=f"batch_size: expected a whole number of 1 or more, got {size}"):
        evaluate(*scene, batch_size=size, progress=False)


def test_losses_are_means_over_images_and_leave_no_trace(scene):
    detector, data = scene
    detector.train()
    result = evaluate(detector, data, batch_size=3, losses=True, progress=False)
    assert result.losses["number"] == pytest.approx(3.0)  # of 0 … 6, also with a short last batch
    assert detector.training
    assert detector.norm.training
    assert int(detector.norm.num_batches_tracked) == 0
    assert detector.scale.grad is None
    assert evaluate(detector, data, batch_size=3, losses=True, progress=False).losses == result.losses
    other = torch.Generator().manual_seed(1)
    drawn = evaluate(detector, data, batch_size=3, losses=True, progress=False, generator=other)
    assert drawn.losses["chance"] != result.losses["chance"]


def test_a_saved_result_keeps_its_losses(scene, tmp_path):
    detector, data = scene
    result = evaluate(detector, data, losses=True, progress=False)
    loaded = type(result).load(result.save(tmp_path / "result.json"))
    assert loaded.losses == pytest.approx(result.losses)


def test_progress_can_be_silent(scene, capfd):
    evaluate(*scene, progress=False)
    assert capfd.readouterr() == ("", "")
    evaluate(*scene, progress=True)
    assert "toy test" in capfd.readouterr().err


def test_the_detector_returns_to_its_device(scene):
    detector, data = scene
    evaluate(detector, data, device="cpu", progress=False)
    assert next(detector.parameters()).device == torch.device("cpu")


def test_classes_without_a_common_name_are_refused(scene, in_memory):
    detector, data = scene
    other = in_memory(data.targets, ("three", "four"))
    with pytest.raises(DataError, match=r"knows the classes one, two, the data have three, four.*classes=\{"):
        evaluate(detector, other, progress=False)
    assert detector.batches == []


def test_classes_are_compared_by_name(in_memory, oracle, target, found):
    """The detector counts them the other way round; what it finds of a class that is not here is left out."""
    data = in_memory([target([(*BOX, 1), (50, 20, 90, 60, 2)])], ("one", "two"))
    answer = found([(*BOX, 2, 0.9), (50, 20, 90, 60, 1, 0.8), (0, 0, 9, 9, 3, 0.7)])
    detector = oracle([answer])
    detector.classes = ("two", "one", "three")
    result = evaluate(detector, data, progress=False)
    assert result.summary["AP"] == pytest.approx(1)
    assert result.classes == ("one", "two")
    assert result.warnings == ["1 detections of classes that the data do not have were left out: three."]
    with pytest.raises(DataError, match="it has losses only on data with the same classes in the same order"):
        evaluate(detector, data, losses=True, progress=False)


def test_a_map_names_classes_that_are_called_otherwise(in_memory, oracle, target, found):
    data = in_memory([target([(*BOX, 1), (50, 20, 90, 60, 2)])], ("tvmonitor", "two"))
    detector = oracle([found([(*BOX, 1, 0.9), (50, 20, 90, 60, 2, 0.8)])])
    detector.classes = ("tv", "two")
    without = evaluate(detector, data, progress=False)
    assert without.summary["AP"] == pytest.approx(0.5)
    assert "lacks 1 classes of the data: tvmonitor (1). Their 1 objects count as missed" in without.warnings[0]
    result = evaluate(detector, data, classes={"tv": "tvmonitor"}, progress=False)
    assert result.summary["AP"] == pytest.approx(1)
    assert result.warnings == []
    with pytest.raises(DataError, match=r"the detector has no 'telly' \(known: tv, two\)"):
        evaluate(detector, data, classes={"telly": "tvmonitor"}, progress=False)
    assert evaluate(detector, data, classes={"tv": "tvmonitor"}, progress=False, device="cpu").summary["AP50"] == 1


def test_an_empty_data_set_and_an_unknown_comparison_are_refused(scene, in_memory, oracle):
    detector, data = scene
    with pytest.raises(DataError, match="toy test has no images"):
        evaluate(oracle([]), in_memory([]), progress=False)
    with pytest.raises(DataError, match='\'boxes\', expected "bbox" or "segm"'):
        evaluate(detector, data, iou_type="boxes", progress=False)
    with pytest.raises(DataError, match="toy test has no masks"):
        evaluate(detector, data, iou_type="segm", progress=False)
    assert detector.batches == []


def test_bfloat16_detections_can_be_scored(scene, found):
    _, data = scene
    answer = found([(*BOX, 1, 0.9)])
    answer.boxes, answer.scores = answer.boxes.bfloat16(), answer.scores.bfloat16()
    assert evaluate_detections([answer] * 7, data).summary["AP"] == pytest.approx(1)


def test_masks_are_compared_where_asked(in_memory, target, found):
    """Equal boxes, but the second mask covers 60 of 100 pixels: its IoU is 0.6, found at 0.50, 0.55, 0.60."""
    masks = torch.zeros(2, 30, 30, dtype=torch.bool)
    masks[0, :10, :10] = True
    masks[1, 15:25, 15:25] = True
    rows = [(0, 0, 10, 10, 1), (15, 15, 25, 25, 2)]
    data = in_memory([target(rows, masks=masks, occlusion=[0.0, 0.5])], size=(30, 30))
    answer = found([(*row, 0.9) for row in rows])
    answer.masks = masks.clone()
    answer.masks[1, 21:] = False
    boxes = evaluate_detections([answer], data)
    result = evaluate_detections([answer], data, iou_type="segm")
    assert boxes.summary["AP"] == pytest.approx(1)
    assert result.summary["AP"] == pytest.approx((1 + 0.3) / 2)
    assert result.summary["AP_unoccluded"] == pytest.approx(1)
    assert result.summary["AP_occluded"] == pytest.approx(0.3)
    objects = gather_objects(data.targets, [(30, 30)], masks="masks")
    answers = gather_found([answer], masks=True)
    both = [coco_figures(objects, answers, 2, backend=b) for b in ("pycocotools", "faster-coco-eval")]
    np.testing.assert_allclose(list(both[0].values()), list(both[1].values()))


def test_masks_do_not_pile_up(in_memory, oracle, target, found):
    """Those of a whole data set would fill the memory: at most those of the last batch are still there."""
    mask = torch.zeros(1, 100, 100, dtype=torch.bool)
    mask[0, 20:80, 10:40] = True
    data = in_memory([target([(*BOX, 1)], masks=mask)] * 6)
    detector, made = oracle([]), []

    def detect(images):
        assert sum(one() is not None for one in made) <= 2
        answers = [found([(*BOX, 1, 0.9)]) for _ in images]
        for one in answers:
            one.masks = mask.clone()
            made.append(weakref.ref(one.masks))
        return answers

    detector.detect = detect
    result = evaluate(detector, data, batch_size=2, progress=False, iou_type="segm")
    assert result.summary["AP"] == pytest.approx(1)
    assert (len(made), result.objects.masks, result.found.masks) == (6, None, None)


def test_a_detector_of_masks_is_scored_on_both(in_memory, oracle, target, found, monkeypatch):
    """The box is exact, the mask covers 48 of 80 pixels."""
    masks = torch.zeros(1, 100, 100, dtype=torch.bool)
    masks[0, 10:20, 10:18] = True
    data = in_memory([target([(10, 10, 18, 20, 1)], masks=masks)])
    answer = found([(10, 10, 18, 20, 1, 0.9)])
    answer.masks = masks.clone()
    answer.masks[0, 16:] = False
    detector = oracle([answer])
    assert "mask_AP" not in evaluate(detector, data, progress=False).summary
    monkeypatch.setattr(type(detector), "mask_key", "masks")
    both, alone = (evaluate(detector, data, progress=False, iou_type=kind) for kind in ("bbox", "segm"))
    assert both.summary["AP"] == pytest.approx(1)
    assert {k: both.summary[f"mask_{k}"] for k in ("AP", "AP50", "AP75")} == {
        k: alone.summary[k] for k in ("AP", "AP50", "AP75")
    }
    assert both.summary["mask_AP"] == pytest.approx(0.3)
    monkeypatch.setattr(type(detector), "mask_key", "masks_amodal")
    assert "mask_AP" not in evaluate(detector, data, progress=False).summary, "the data have none of these"


def test_data_of_voc_have_vocs_map(in_memory, target, found):
    """One of two objects is found: 6 of the 11 recalls are reached, and half of the area."""
    data = in_memory([target([(*BOX, 1), (60, 60, 90, 90, 1)])])
    answer = [found([(*BOX, 1, 0.9)])]
    assert "mAP" not in evaluate_detections(answer, data).summary
    for year, expected in ((2007, 6 / 11), (2012, 0.5)):
        data.voc_year = year
        assert evaluate_detections(answer, data.subset([0])).summary["mAP"] == pytest.approx(expected)


def test_a_detector_can_be_named():
    from workbench.data import load_data
    from workbench.detectors import load_detector

    data = load_data("digit-scenes", split="test", length=4)
    named = evaluate("digit-scenes/faster-rcnn", data, progress=False)
    assert named.summary == pytest.approx(
        evaluate(load_detector("digit-scenes/faster-rcnn"), data, progress=False).summary, nan_ok=True
    )


@pytest.mark.parametrize("data", ["digit-scenes", None, torch.nn.Linear(1, 1)])
def test_something_else_than_data_is_an_error(data):
    with pytest.raises(DataError, match=f"data is a {type(data).__name__}; expected a data set, as load_data"):
        evaluate("digit-scenes/faster-rcnn", data)
