"""Audits of detectors that say of themselves what they need to see: the audit must find out exactly that."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seeing_detectors import BrightObjects, Seeing, half_seen, how_much, left_seen

import workbench as wb
from workbench.data.drawing.diffuse import DIFFUSE
from workbench.data.drawing.hiding import hidden_count
from workbench.errors import DataError
from workbench.evaluation import AuditReport, audit

#: Two objects of 20 × 20 and one of 40 × 20 in the first image, one of 20 × 30 in the second, none in the third.
OBJECTS = [
    [("cat", 2, 2, 22, 22), ("dog", 30, 4, 70, 24), ("cat", 5, 33, 25, 53)],
    [("dog", 40, 20, 60, 50)],
    [],
]
NO_MORE = {"corruptions": (), "search": (), "progress": False}


@pytest.fixture(scope="module")
def data() -> BrightObjects:
    return BrightObjects(OBJECTS)


@pytest.fixture(scope="module")
def both(data) -> AuditReport:
    """A detector that needs half of an object, and one that needs its left half, under all that there is."""
    detectors = {"half": Seeing(data, half_seen), "left": Seeing(data, left_seen)}
    return audit(detectors, data, severities=(1, 5), progress=False)


def recalls(table, **chosen) -> list[float]:
    for name, value in chosen.items():
        table = table[table[name] == value]
    return table["recall"].tolist()


def test_who_needs_half_of_an_object_loses_it_beyond_one_half(both) -> None:
    expected = [1.0] * 6 + [0.0] * 2  # clean, 10 … 50 %, 60 and 70 %
    assert recalls(both.recall(), detector="half") == expected
    for by in ("kind", "place", "class", "size"):
        table = both.recall(by)
        for group, rows in table[table["detector"] == "half"].groupby(by):
            points = 2 if group == "worst" else 8
            assert rows["recall"].tolist() == (expected if points == 8 else [1.0, 1.0]), group
    assert both.summary.loc["half", "half_at"] == pytest.approx(0.55), "half-way between 50 and 60 %"
    assert set(both.first_lost("half")["lost_at"]) == {0.6}


def test_who_needs_the_left_half_is_known_by_it(both) -> None:
    table = both.recall("place")
    assert recalls(table, detector="left", place="left") == [1.0] + [0.0] * 7
    assert recalls(table, detector="left", place="right") == [1.0] * 6 + [0.0] * 2
    assert recalls(table, detector="left", place="top") == [1.0] + [0.0] * 7
    assert recalls(table, detector="left", place="worst") == [1.0, 0.0]
    halves = both.halves().set_index(["detector", "half", "hidden"]).sort_index()
    assert halves.loc[("left", "left", 0.5), ["without", "without_other", "difference"]].tolist() == [0, 1, 1]
    assert halves.loc[("left", "top", 0.5), "difference"] == 0
    assert (halves.loc["half", "difference"] == 0).all()
    of_classes = both.halves(by_class=True).set_index(["detector", "class", "half", "hidden"]).sort_index()
    assert of_classes.loc[("left", "dog", "left", 0.5), "difference"] == 1
    assert both.first_lost("left")["lost_at"].between(0.1, 0.55).all()


def test_the_hidden_share_of_every_object_is_exact(both) -> None:
    frame = both.frame()
    counts = [hidden_count(n, f) for n, f in zip(frame["pixels"], frame["fraction"], strict=True)]
    assert frame["hidden"].tolist() == counts
    assert set(frame["pixels"]) == {400, 800, 600}
    # 64 conditions with occluders, 8 corrupted ones and the clean one, of 4 objects and 2 detectors
    assert len(frame) == (28 + 35 + 1 + 8 + 1) * 4 * 2
    keys = ["detector", "image", "object", "kind", "place", "fraction", "severity"]
    assert not frame.duplicated(keys).any()


def test_both_see_the_same_images_and_differences_are_paired(both) -> None:
    hidden = both.frame().pivot_table(
        index=["kind", "place", "fraction", "severity", "image", "object"], columns="detector", values="hidden",
        observed=True,
    )  # fmt: skip
    assert (hidden["half"] == hidden["left"]).all()
    table = both.differences()
    assert table.loc["recall, 50 % hidden, left", ["a", "b", "difference"]].tolist() == [1, 0, -1]
    assert table.loc["recall, 50 % hidden, right", "difference"] == 0
    assert table.loc["recall, clean", "difference"] == 0
    assert both.differences("left", "half").loc["recall, 50 % hidden, left", "difference"] == 1
    assert table.loc["recall, gaussian-noise", "difference"] == 0, "noise leaves neither half"


def test_ap_is_one_or_nothing(both) -> None:
    table = both.average_precision()
    assert table[table["detector"] == "half"]["AP"].tolist() == [1.0] * 6 + [0.0] * 2
    by_kind = both.average_precision(by_kind=True).set_index(["detector", "kind", "hidden"])
    assert by_kind.loc[("half", "grey", 0.5), ["AP", "low", "high", "AP50"]].tolist() == [1, 1, 1, 1]
    assert by_kind.loc[("half", "grey", 0.6), "AP"] == 0


def test_fates_and_calibration(both) -> None:
    fates = both.fates().set_index(["detector", "hidden"])
    assert fates.loc[("half", 0.5), "found"] == 1
    assert fates.loc[("half", 0.6), "nothing"] == 1
    calibration = both.calibration().set_index(["detector", "hidden"])
    assert calibration.loc[("half", 0.5), "ECE"] == pytest.approx(0.1), "all are right and have the score 0.9"
    assert calibration.loc[("half", 0.5), ["n", "right"]].tolist() == [4 * 4, 1]
    assert np.isnan(calibration.loc[("half", 0.7), "ECE"]), "nothing is found"


def test_what_is_lost_first_comes_first() -> None:
    data = BrightObjects(OBJECTS)
    needs = {"cat": 0.75, "dog": 0.35}
    detector = Seeing(data, lambda visible, name: 0.9 if visible.mean() >= needs[name] else 0.0)
    report = audit(detector, data, kinds=("grey", "leaves"), places=("random",), **NO_MORE)
    lost = report.first_lost()
    assert lost["class"].tolist() == ["cat", "cat", "dog", "dog"]
    assert lost["lost_at"].tolist() == pytest.approx([0.3, 0.3, 0.7, 0.7])
    assert [picture.title for picture in report.pictures] == ["cat, 0.90"] * 2 + ["dog, 0.90"] * 2
    assert report.pictures[0].facts == "30 % hidden, grey"
    assert report.detectors == ("Seeing",)
    by_class = report.recall("class")
    assert recalls(by_class, **{"class": "cat"}) == [1, 1, 1, 0, 0, 0, 0, 0]
    assert recalls(by_class, **{"class": "dog"}) == [1] * 7 + [0]


boxes = st.tuples(st.integers(0, 60), st.integers(0, 40), st.integers(8, 40), st.integers(8, 30))


@given(
    images=st.lists(st.lists(boxes, min_size=1, max_size=5), min_size=1, max_size=2),
    masks=st.booleans(),
    fractions=st.lists(st.sampled_from([0.05, 0.1, 0.35, 0.5, 0.7, 0.95]), min_size=1, max_size=2, unique=True),
    kind=st.sampled_from(["grey", "brick", "fence", "leaves", "cup", "cut-outs"]),
    place=st.sampled_from(["random", "centre", "left", "bottom"]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=20, deadline=None)
def test_exactly_the_share_is_hidden_in_what_detectors_are_shown(images, masks, fractions, kind, place, seed) -> None:
    """Boxes overlap as they like; the score in a row is what the detector saw of the object in the image itself."""
    classes = ["a", "b", "c", "d", "e"]
    objects = [
        [(name, x, y, min(80, x + w), min(60, y + h)) for name, (x, y, w, h) in zip(classes, image, strict=False)]
        for image in images
    ]
    data = BrightObjects(objects, masks=masks, classes=classes)
    few = {"kinds": (kind,), "fractions": fractions, "places": (place,), "search": fractions[:1], "budget": 2}
    report = audit(Seeing(data, how_much), data, **few, corruptions=(), least_size=0, seed=seed, progress=False)
    frame = report.frame()
    number = 1 + len(fractions) + (kind not in DIFFUSE)  # a fence has no place to search for
    assert len(frame) == sum(map(len, objects)) * number, "each object once under each condition"
    counts = [hidden_count(n, f) for n, f in zip(frame["pixels"], frame["fraction"], strict=True)]
    assert frame["hidden"].tolist() == counts
    np.testing.assert_allclose(frame["score"], 1 - frame["hidden"] / frame["pixels"], atol=1e-6)
    assert (frame["iou"] == 1).all()


def quick(detector, data, **options) -> AuditReport:
    return audit(detector, data, **({"kinds": ("grey",), "places": ("random",)} | NO_MORE | options))


def test_what_is_not_audited_is_counted_by_its_reason_and_never_missed() -> None:
    objects = [[("cat", 0, 0, 20, 20), ("dog", 30, 0, 50, 20), ("cat", 0, 30, 10, 40), ("cat", 30, 30, 50, 50)]]
    more = {
        "occlusion": [torch.tensor([0.0, np.nan, 0.0, 0.3])],
        "iscrowd": [torch.tensor([False, False, False, False])],
    }
    data = BrightObjects(objects, more=more)
    detector = Seeing(data, how_much)
    report = quick(detector, data, fractions=(0.5,))
    assert {reason: number for reason, number in report.set_aside.items() if number} == {
        "smaller than the least size": 1, "hidden already": 1,
    }  # fmt: skip
    assert report.frame()["object"].unique().tolist() == [0, 1]
    assert report.average_precision()["AP"].tolist() == [1, 1], "to find the others is not wrong"
    assert any("1 smaller than the least size, 1 hidden already" in note for note in report.notes)
    all_of_them = quick(detector, data, fractions=(0.5,), least_size=0, most_hidden=1.0)
    assert len(all_of_them.audited) == 4
    more["iscrowd"][0][0] = True
    assert quick(detector, data, fractions=(0.5,)).set_aside["crowd or difficult"] == 1
    with pytest.raises(DataError, match=r"none of the objects can be audited .*lower least_size or raise"):
        quick(detector, data, least_size=70)


def test_only_classes_that_both_know_count() -> None:
    objects = [[("cat", 0, 0, 20, 20), ("dog", 30, 0, 50, 20)]]
    data = BrightObjects(objects)
    detector = Seeing(data, how_much)
    detector.classes = ("bird", "dog")  # a cat is called a bird
    report = quick(detector, data, fractions=(0.5,))
    assert report.frame()["class"].unique().tolist() == ["dog"]
    assert report.set_aside["of a class that a detector does not know"] == 1
    assert report.average_precision()["AP"].tolist() == [1, 1], "birds count neither as right nor as wrong"
    both = quick(detector, data, fractions=(0.5,), classes={"bird": "cat"})
    assert both.frame()["class"].unique().tolist() == ["cat", "dog"]
    assert both.average_precision()["AP"].tolist() == [1, 1]
    with pytest.raises(DataError, match=r"no detector has 'bard'.*did you mean 'bird'"):
        quick(detector, data, classes={"bard": "cat"})
    with pytest.raises(DataError, match="'bird' is to be 'cow', which the data do not have"):
        quick(detector, data, classes={"bird": "cow"})
    detector.classes = ("bird", "fish")
    with pytest.raises(DataError, match="knows the classes bird, fish, the data have cat, dog, and none is the same"):
        quick(detector, data)


def test_on_clean_images_ap_is_that_of_evaluate() -> None:
    data = wb.load_data("digit-scenes", split="test", length=5)
    detector = wb.load_detector("digit-scenes/faster-rcnn")
    report = audit(detector, data, kinds=(), **NO_MORE, least_size=0, most_hidden=1.0, iou=0.75)
    summary = wb.evaluate(detector, data, progress=False).summary
    ap = report.counted.average_precision(0, 0)[0]
    assert ap.mean() == pytest.approx(summary["AP"], abs=1e-9)
    assert ap[5] == pytest.approx(summary["AP75"], abs=1e-9)
    assert report.summary.loc["faster-rcnn", "AP"] == pytest.approx(summary["AP"], abs=1e-9)
    assert report.figure_names == ("calibration",)


class Stopping(Seeing):
    """Is interrupted once, when it is shown so many images."""

    after = 10**9

    def _one(self, image):
        if self.shown == self.after:
            self.after = 10**9
            raise KeyboardInterrupt
        return super()._one(image)


def test_an_audit_that_was_stopped_goes_on_and_ends_as_one_that_was_not(data, tmp_path) -> None:
    options = {"fractions": (0.3, 0.6), "search": (0.5,), "corruptions": ("jpeg",), "severities": (5,)}
    whole = quick({"it": Seeing(data, how_much)}, data, **options)
    detector = Stopping(data, how_much)
    detector.after = 20  # 14 passes for each image with objects
    with pytest.raises(KeyboardInterrupt):
        quick({"it": detector}, data, **options, folder=tmp_path / "parts")
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == ["audit.json", "image-000000.json"]
    before = detector.shown
    report = quick({"it": detector}, data, **options, folder=tmp_path / "parts")
    assert detector.shown - before == 14 + 2, "the first image is not looked at again; the last has no objects"
    assert report.frame().equals(whole.frame())
    for name in ("audited", "outcomes", "answers"):
        for key, values in vars(getattr(whole, name)).items():
            np.testing.assert_array_equal(values, getattr(getattr(report, name), key), err_msg=key)
    with pytest.raises(DataError, match=r"parts of another audit, with other conditions.*name another folder"):
        quick({"it": detector}, data, **options | {"fractions": (0.3,)}, folder=tmp_path / "parts")
    (tmp_path / "parts" / "image-000000.json").write_text("{}")
    with pytest.raises(DataError, match=r"image-000000\.json is damaged.*delete it"):
        quick({"it": detector}, data, **options, folder=tmp_path / "parts")


def test_a_part_of_another_image_is_refused(data, tmp_path) -> None:
    quick(Seeing(data, how_much), data, fractions=(0.3,), folder=tmp_path)
    (tmp_path / "image-000001.json").write_text((tmp_path / "image-000000.json").read_text())
    with pytest.raises(DataError, match="it is of another image"):
        quick(Seeing(data, how_much), data, fractions=(0.3,), folder=tmp_path)


def test_seeds_and_detectors_change_nothing_but_what_they_should(data) -> None:
    options = {"kinds": ("texture",), "fractions": (0.4,)}
    first, again, other = (quick(Seeing(data, how_much), data, **options, seed=seed) for seed in (0, 0, 1))
    assert first.frame().equals(again.frame())
    assert first.frame()["hidden"].tolist() == other.frame()["hidden"].tolist()
    alone = quick({"b": Seeing(data, half_seen)}, data, **options).frame()
    beside = quick({"a": Seeing(data, how_much), "b": Seeing(data, half_seen)}, data, **options).frame()
    assert beside[beside["detector"] == "b"]["found"].tolist() == alone["found"].tolist()


def test_the_score_asked_for_is_the_one_that_counts(data) -> None:
    report = quick(Seeing(data, how_much), data, score=0.65)
    assert report.scores == {"Seeing": pytest.approx(0.65)}
    assert report.recall()["recall"].tolist() == [1] * 4 + [0] * 4, "the score is the visible share"
    assert report.fates().set_index("hidden").loc[0.5, "low score"] == 1


def test_saved_and_loaded_it_is_the_same(both, tmp_path) -> None:
    again = AuditReport.load(both.save(tmp_path / "deep" / "audit.json"))
    assert again.frame().equals(both.frame())
    assert again.summary.equals(both.summary)
    assert again.notes == both.notes
    assert repr(again) == repr(both)
    assert np.array_equal(again.pictures[0].pixels, both.pictures[0].pixels)
    content = (tmp_path / "deep" / "audit.json").read_text()
    for wrong in (
        "{}",
        "[]",
        content.replace('"num_images": 3', '"num_images": 1'),
        content.replace("grey", "", 1)[:-9],
    ):
        (tmp_path / "wrong.json").write_text(wrong)
        with pytest.raises(DataError, match=r"wrong\.json"):
            AuditReport.load(tmp_path / "wrong.json")
    with pytest.raises(DataError, match=r"saved as \.html"):
        both.save(tmp_path / "audit.csv")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinds": ("gray",)}, "did you mean 'grey'"),
        ({"kinds": ("grey", "grey")}, "'grey' is given twice"),
        ({"kinds": ("no/such.png",)}, "does not exist"),
        ({"kinds": (None, "grey")}, "kinds: None is no occluder"),
        ({"kinds": None}, "kinds is None; expected a list of occluders"),
        ({"kinds": "grey"}, "kinds is 'grey'; expected a list of occluders"),
        ({"fractions": (0.5, 1.0)}, r"fractions: 1\.0"),
        ({"places": ("worst",)}, "searched for by search"),
        ({"places": ("up",)}, "'up' does not exist"),
        ({"corruptions": ("jpg",)}, "did you mean 'jpeg'"),
        ({"corruptions": ("jpeg",), "severities": (6,)}, "severities: 6"),
        ({"budget": 0}, "budget is 0; expected at least 1"),
        ({"score": 1.5}, "score is 1.5; expected at most 1"),
        ({"iou": 0.52}, "iou is 0.52; expected one of 0.50"),
        ({"seed": -1}, "seed is -1"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(data, options, message) -> None:
    with pytest.raises(DataError, match=message):
        quick(Seeing(data, how_much), data, **options)


def test_wrong_detectors_are_refused(data) -> None:
    with pytest.raises(DataError, match="cannot look at occluded images"):
        quick("theirs.json", data)
    with pytest.raises(DataError, match="no detector; give one"):
        quick({}, data)
    with pytest.raises(DataError, match="is no detector"):
        quick(object(), data)

    class Short(Seeing):
        def detect(self, images, proposals=None):
            return super().detect(images)[1:]

    with pytest.raises(DataError, match=r"gave \d answers to \d images; expected one for each"):
        quick(Short(data, how_much), data)

    class Wild(Seeing):
        def _one(self, image):
            found = super()._one(image)
            found.labels += 7
            return found

    with pytest.raises(DataError, match=r"Detections of bright/test image 0: label 8 is outside 1\.\.2"):
        quick(Wild(data, how_much), data)
    report = quick(Seeing(data, how_much), data, fractions=(0.5,))
    with pytest.raises(DataError, match="one detector was audited"):
        report.differences()
    with pytest.raises(DataError, match="no detector 'seeing' was audited"):
        report.first_lost("seeing")
    with pytest.raises(DataError, match=r"recall by 'sise'.*did you mean 'size'"):
        report.recall("sise")
    with pytest.raises(DataError, match="no figure 'recal'"):
        report.figure("recal")


def test_own_pngs_and_folders_are_kinds(data, tmp_path) -> None:
    from workbench.data.drawing.cut_outs import shipped

    shipped("coin").save(tmp_path / "penny.png")
    (tmp_path / "things").mkdir()
    shipped("cup").save(tmp_path / "things" / "a.png")
    shipped("wheel").save(tmp_path / "things" / "b.png")
    kinds = (tmp_path / "penny.png", str(tmp_path / "things"), shipped("flower"))
    report = quick(Seeing(data, how_much), data, kinds=kinds, fractions=(0.25,))
    assert report.counted.kinds == ("penny", "things", "flower")
    assert recalls(report.recall(), hidden=0.25) == [1.0]


def test_the_first_kind_that_has_a_place_lies_at_all_places(data) -> None:
    report = quick(Seeing(data, left_seen), data, kinds=("leaves", "grey"), places=("random", "left", "right"),
                   fractions=(0.5,), search=(0.5,), budget=3)  # fmt: skip
    assert [one.name for one in report.conditions] == [
        *("clean", "leaves 50 % random", "grey 50 % random", "grey 50 % left", "grey 50 % right", "grey 50 % worst"),
    ]
    recall = report.recall("place").set_index(["place", "hidden"])["recall"]
    assert [recall[place, 0.5] for place in ("left", "right", "worst")] == [0, 1, 0]
    only = quick(Seeing(data, left_seen), data, kinds=("leaves",), fractions=(0.5,), search=(0.5,))
    assert [one.name for one in only.conditions] == ["clean", "leaves 50 % random"]
    searched = quick(Seeing(data, left_seen), data, fractions=(), search=(0.3,))
    assert searched.summary.loc["Seeing", "recall_worst_30"] == 0
    assert searched.figure_names == ("calibration",)


def test_several_detectors_are_compared_with_the_first(data) -> None:
    detectors = {name: Seeing(data, found) for name, found in (("a", half_seen), ("b", left_seen), ("c", half_seen))}
    report = quick(detectors, data, places=("left",), fractions=(0.5,))
    assert report.differences("a", "b").loc["recall, 50 % hidden", "difference"] == -1
    assert report.differences("a", "c").loc["recall, 50 % hidden", "difference"] == 0
    (axes,) = report.figure("differences").axes
    assert axes.get_xlabel() == "each minus a"
