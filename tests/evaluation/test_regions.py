"""Detectors that say of themselves what they need to see, asked about given boxes; and the shipped one, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from seeing_detectors import BrightObjects, ScoringBoxes, Seeing, half_seen, left_seen

import workbench as wb
from workbench.detectors.base import Detector
from workbench.errors import DataError, WorkbenchError
from workbench.evaluation import RegionReport, audit, score_regions

#: As in the tests of audits: two objects of 20 × 20 and one of 40 × 20, one of 20 × 30, and none.
OBJECTS = [
    [("cat", 2, 2, 22, 22), ("dog", 30, 4, 70, 24), ("cat", 5, 33, 25, 53)],
    [("dog", 40, 20, 60, 50)],
    [],
]
KINDS = ("grey", "texture", "cut-outs", "leaves")
FRACTIONS = (0.1, 0.3, 0.5, 0.6)


@pytest.fixture(scope="module")
def data() -> BrightObjects:
    return BrightObjects(OBJECTS)


@pytest.fixture(scope="module")
def asked(data) -> tuple[RegionReport, dict[str, ScoringBoxes]]:
    """One that needs half of an object, and one that needs its left half."""
    detectors = {"half": ScoringBoxes(data, half_seen), "left": ScoringBoxes(data, left_seen)}
    places = ("random", "left", "right")
    return score_regions(detectors, data, fractions=FRACTIONS, places=places, progress=False), detectors


def column(table, name, **chosen) -> list[float]:
    for key, value in chosen.items():
        table = table[table[key] == value]
    return table[name].tolist()


def test_the_class_is_known_as_long_as_half_of_an_object_is_seen(asked) -> None:
    report, _ = asked
    table = report.accuracy()
    assert column(table, "hidden", detector="half") == [0.0, *FRACTIONS]
    assert column(table, "accuracy", detector="half") == [1.0] * 4 + [0.0]
    assert column(table, "p_class", detector="half") == pytest.approx([0.8] * 4 + [0.1])
    assert column(table, "p_object", detector="half") == pytest.approx([0.95] * 4 + [0.4])
    assert column(table, "n", detector="half") == [4, 16, 16, 16, 16], "four kinds of occluders"
    for by in ("kind", "class", "size"):
        for _, rows in report.accuracy(by).query("detector == 'half'").groupby(by):
            assert rows["accuracy"].tolist() == [1.0] * 4 + [0.0]
    places = report.accuracy("place")
    assert column(places, "accuracy", detector="left", place="left") == [1.0] + [0.0] * 4
    assert column(places, "accuracy", detector="left", place="right") == [1.0] * 4 + [0.0]
    assert report.summary.loc["half", ["accuracy_clean", "accuracy_50", "accuracy_60"]].tolist() == [1, 1, 0]


def test_regions_that_nobody_changed(asked) -> None:
    report, _ = asked
    frame = report.regions_frame()
    assert np.allclose(frame["p_object"], frame["iou"], atol=1e-6), "that is what these detectors say"
    table = report.objectness()
    for detector in ("half", "left"):
        own = frame[frame["detector"] == detector]
        means = own.groupby("range", sort=False)["iou"].agg(["mean", "count"])
        assert column(table, "iou", detector=detector) == means.index.tolist()
        assert column(table, "p_object", detector=detector) == pytest.approx(means["mean"].tolist(), abs=1e-6)
        assert column(table, "n", detector=detector) == means["count"].tolist()
    assert set(frame["image"]) == {0, 1, 2}, "without objects, too, for the lowest range"
    assert set(frame.loc[frame["image"] == 2, "range"]) == {"0–0.1"}


def test_both_are_asked_about_the_same_and_differences_are_paired(asked) -> None:
    report, detectors = asked
    half, left = detectors.values()
    assert all(np.array_equal(a, b) for a, b in zip(half.boxes, left.boxes, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(half.images, left.images, strict=True))
    # clean; 4 kinds of occluders and 4 fractions at random places, the first kind at 2 more; of 2 images with objects
    assert len(half.images) == 2 * (1 + 16 + 8) + 1
    table = report.differences()
    assert table.loc["accuracy, clean", ["a", "b", "difference", "low", "high"]].tolist() == [1, 1, 0, 0, 0]
    assert table.loc["p(object), IoU 0.3–0.5", "difference"] == pytest.approx(0, abs=1e-7)
    back = report.differences("left", "half")
    assert back.loc["accuracy, 30 % hidden", "difference"] == -table.loc["accuracy, 30 % hidden", "difference"] > 0
    frame = report.frame()
    rows = frame[(frame["place"] == "random") & (frame["fraction"] == 0.3)]
    mean = rows.groupby("detector")["right"].mean()
    assert table.loc["accuracy, 30 % hidden", "difference"] == pytest.approx(mean["left"] - mean["half"])
    assert {f"accuracy, 30 % hidden, {kind}" for kind in ("grey", "texture", "cut-outs", "leaves")} <= set(
        table.index
    )


def test_figures_are_those_of_the_tables(asked) -> None:
    report, _ = asked
    figures = report.figures["left"]
    assert figures["accuracy_clean"] == 1.0
    by_kind = report.accuracy("kind")
    grey = column(by_kind, "accuracy", detector="left", kind="grey")
    assert [figures[f"accuracy_{name}_grey"] for name in ("10", "30", "50", "60")] == grey[1:]
    means = [np.mean([figures[f"accuracy_30_{kind}"] for kind in KINDS])]
    assert means == pytest.approx([figures["accuracy_30"]])
    assert figures["p_object_0.3-0.5"] == column(report.objectness(), "p_object", detector="left", iou="0.3–0.5")[0]
    assert "accuracy_30_grey" not in report.summary


def test_occluded_images_are_those_of_an_audit(data) -> None:
    """Pixel by pixel, and the same objects are set aside."""
    shared = {
        "kinds": ("texture", "leaves"),
        "fractions": (0.4,),
        "places": ("random",),
        "seed": 5,
        "progress": False,
    }
    scoring = ScoringBoxes(data, half_seen)
    report = score_regions(scoring, data, **shared)

    class Watching(Seeing):
        images: list[bytes] = []  # noqa: RUF012

        def detect(self, images, proposals=None):
            self.images.extend(image.numpy().tobytes() for image in images)
            return super().detect(images)

    audited = audit(Watching(data, half_seen), data, search=(), corruptions=(), **shared)
    assert {image.tobytes() for image in scoring.images} == set(Watching.images)
    keys = ["image", "object", "kind", "fraction"]
    both = report.frame().merge(audited.frame(), on=keys, suffixes=("", "_audit"))
    assert len(both) == len(report.frame()) == 4 * 3
    assert (both["hidden"] == both["hidden_audit"]).all()
    assert report.set_aside == audited.set_aside


def test_the_shipped_detector_by_hand() -> None:
    data = wb.load_data("digit-scenes", split="test", length=8)
    detector = wb.load_detector("digit-scenes/faster-rcnn")
    report = score_regions(detector, data, kinds=(), progress=False)
    right, number = 0, 0
    for image, target in data:
        sides = (target["boxes"][:, 2:] - target["boxes"][:, :2]).prod(1).sqrt()
        wanted = (sides >= 16) & (target["occlusion"] <= 0.2)
        (scores,) = detector.score_boxes([image], [target["boxes"][wanted].as_subclass(torch.Tensor)])
        right += int((scores[:, 1:].argmax(1) + 1 == target["labels"][wanted]).sum())
        number += int(wanted.sum())
    row = report.accuracy().iloc[0]
    assert (row["n"], row["accuracy"]) == (number, pytest.approx(right / number))
    assert row["low"] <= row["accuracy"] <= row["high"]
    p_object = report.objectness()["p_object"]
    assert p_object.is_monotonic_increasing, "the nearer to an object, the more it is one"


class Renamed(Detector):
    """Says the same of other classes: "hound" is a dog, and a bird is nothing of the data."""

    classes = ("hound", "bird", "cat")

    def __init__(self, inner: ScoringBoxes):
        super().__init__()
        self.inner = inner

    def detect(self, images, proposals=None):
        raise AssertionError

    def score_boxes(self, images, boxes):
        scores = self.inner.score_boxes(images, boxes)  # of (background, cat, dog)
        birds = [torch.full((len(one), 1), 0.9) for one in scores]  # everywhere
        return [
            torch.cat([one[:, :1], one[:, 2:], bird, one[:, 1:2]], dim=1)
            for one, bird in zip(scores, birds, strict=True)
        ]


def test_classes_go_by_name(data) -> None:
    few = {"kinds": ("grey",), "fractions": (0.5, 0.7), "progress": False}
    plain = score_regions(ScoringBoxes(data, half_seen), data, **few)
    renamed = Renamed(ScoringBoxes(data, half_seen))
    same = score_regions(renamed, data, classes={"hound": "dog"}, **few)
    assert same.accuracy()["accuracy"].tolist() == plain.accuracy()["accuracy"].tolist() == [1, 1, 0]
    cats = score_regions({"own": ScoringBoxes(data, half_seen), "theirs": renamed}, data, **few)
    assert set(cats.frame()["class"]) == {"cat"}, "what one does not know is asked of none"
    assert cats.set_aside["of a class that a detector does not know"] == 2
    assert 1 not in set(cats.regions.image[cats.regions.iou > 0.1]), "nor are regions at it"


def test_a_report_comes_back_from_its_file(asked, tmp_path) -> None:
    report, _ = asked
    again = RegionReport.load(report.save(tmp_path / "deep" / "regions.json"))
    assert again.differences().equals(report.differences())
    assert again.frame().equals(report.frame())
    assert again.regions_frame().equals(report.regions_frame())
    assert again.notes == report.notes
    assert "accuracy_clean" in repr(again)
    assert "<table" in again._repr_html_()
    path, text = tmp_path / "other.json", (tmp_path / "deep" / "regions.json").read_text()
    for wrong in (
        "[1]",
        text.replace('"num_images": 3', '"num_images": 1'),
    ):
        path.write_text(wrong)
        with pytest.raises(DataError, match="not a result written by RegionReport"):
            RegionReport.load(path)


def test_what_is_wrong_is_said(data) -> None:
    detector = ScoringBoxes(data, half_seen)
    with pytest.raises(WorkbenchError, match=r"Seeing cannot score given boxes; choose one of .*faster-rcnn"):
        score_regions(Seeing(data, half_seen), data)
    with pytest.raises(DataError, match=r"regions is -1; expected at least 0"):
        score_regions(detector, data, regions=-1)
    with pytest.raises(DataError, match="did you mean 'grey'"):
        score_regions(detector, data, kinds=("gray",))
    with pytest.raises(DataError, match="no detector has 'hound'"):
        score_regions(detector, data, classes={"hound": "dog"})
    with pytest.raises(DataError, match=r"there are no objects to ask about.*4 smaller than the least size"):
        score_regions(detector, data, least_size=60, progress=False)
    with pytest.raises(DataError, match="a difference needs two"):
        score_regions(detector, data, kinds=(), progress=False).differences()
    both = score_regions({"one": detector, "two": detector}, data, kinds=(), progress=False)
    with pytest.raises(DataError, match="no detector 'a' was asked"):
        both.differences("a")
    with pytest.raises(DataError, match="accuracy by 'colour'"):
        score_regions(detector, data, kinds=(), progress=False).accuracy("colour")
    detector.score_boxes = lambda images, boxes: [torch.full((len(one), 3), float("nan")) for one in boxes]
    with pytest.raises(DataError, match=r"bright/test image 0: ScoringBoxes gave scores .*expected finite ones"):
        score_regions(detector, data, kinds=(), progress=False)


def test_what_was_stopped_goes_on_and_ends_as_what_was_not(asked, data, tmp_path) -> None:
    report, _ = asked
    options = {"fractions": FRACTIONS, "places": ("random", "left", "right"), "progress": False}
    detectors = {"half": ScoringBoxes(data, half_seen), "left": ScoringBoxes(data, left_seen)}
    score_regions(detectors, data, **options, folder=tmp_path)
    every = len(detectors["half"].images)
    (tmp_path / "image-000001.json").unlink()  # as if it had not been done
    again = score_regions(detectors, data, **options, folder=tmp_path)
    assert again.frame().equals(report.frame())
    assert again.regions_frame().equals(report.regions_frame())
    assert 1 < len(detectors["half"].images) - every < every - 1, "only that image is looked at again"
    with pytest.raises(DataError, match="parts of another audit, with other settings"):
        score_regions(detectors, data, **options, folder=tmp_path, regions=3)
    with pytest.raises(DataError, match="parts of another audit, with other format"):
        audit(detectors, data, folder=tmp_path, progress=False)
