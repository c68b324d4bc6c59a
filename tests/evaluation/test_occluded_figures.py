"""Figures under occluders by name: those of the reports; what would be refused after a training is refused before."""

from __future__ import annotations

import pytest
from seeing_detectors import BrightObjects, ScoringBoxes, half_seen

from workbench.errors import WorkbenchError
from workbench.evaluation import audit, score_regions
from workbench.evaluation.occluded_figures import AUDITED, check_figures, occluded_figures

OBJECTS = [[("cat", 2, 2, 22, 22), ("dog", 30, 4, 70, 24)], [("dog", 40, 20, 60, 50)], [("cat", 2, 2, 22, 22)]]
SOME = {"kinds": ["grey", "leaves"], "fractions": [0.3, 0.6]}


@pytest.fixture(scope="module")
def data() -> BrightObjects:
    return BrightObjects(OBJECTS)


def test_figures_are_those_of_the_reports(data) -> None:
    detector = ScoringBoxes(data, half_seen)
    found = occluded_figures(detector, data, audited=SOME, regions=SOME)
    audited = {f"audit_{one}_{name}" for one in ("recall", "AP") for name in ("clean", "30", "60")}
    asked = {f"regions_accuracy_{name}" for name in ("clean", "30", "60")}
    kinds = {f"{name}_{kind}" for name in audited | asked for kind in SOME["kinds"] if not name.endswith("clean")}
    places = {f"regions_p_object_{name}" for name in ("0-0.1", "0.1-0.3", "0.3-0.5", "0.5-1")}
    assert set(found) == audited | asked | kinds | places
    ends = {"clean": 1.0, "30": 1.0, "60": 0.0}  # half of an object is enough
    for name in audited | asked:
        assert found[name] == ends[name.rpartition("_")[2]], name
    report = audit(detector, data, **AUDITED | SOME, progress=False)
    assert len(report.conditions) == 1 + 2 * 2, "clean, and two kinds at random places: no more unless asked for"
    ap = report.average_precision(by_kind=True).set_index(["kind", "hidden"])["AP"]
    assert found["audit_AP_30_leaves"] == ap["leaves", 0.3]
    scored = score_regions(detector, data, **SOME, progress=False).figures["ScoringBoxes"]
    assert {name: value for name, value in found.items() if name.startswith("regions_")} == {
        f"regions_{name}": value for name, value in scored.items()
    }


def test_what_is_not_asked_for_is_not_there(data) -> None:
    detector = ScoringBoxes(data, half_seen)
    assert occluded_figures(detector, data) == {}
    one = SOME | {"kinds": ["grey"], "limit": 1}
    found = occluded_figures(detector, data, regions=one)
    assert all(name.startswith("regions_") for name in found)
    assert "regions_accuracy_30_grey" not in found, "one kind: it is that of all"
    first = score_regions(detector, data.subset([0]), kinds=("grey",), fractions=(0.3, 0.6), progress=False)
    assert found["regions_p_object_0.1-0.3"] == first.figures["ScoringBoxes"]["p_object_0.1-0.3"]
    many = occluded_figures(detector, data, audited=one | {"limit": 100})
    assert set(many) == {f"audit_{one}_{name}" for one in ("recall", "AP") for name in ("clean", "30", "60")}


@pytest.mark.parametrize(
    ("key", "options", "said"),
    [
        ("audit", {"kindz": []}, r"test\.audit\.kindz does not exist \(did you mean 'kinds'\?\)"),
        ("audit", {"detector": "mine"}, r"test\.audit\.detector does not exist"),
        ("audit", {"folder": "x"}, r"test\.audit\.folder does not exist"),
        ("audit", {"fractions": [1.5]}, r"fractions: 1\.5; expected shares"),
        ("audit", {"search": [0.0]}, r"search: 0\.0; expected shares"),
        ("audit", {"corruptions": ["rain"]}, "rain"),
        ("audit", {"severities": [9]}, r"severities: 9"),
        ("audit", {"limit": 0}, r"test\.audit\.limit is 0; expected at least 1"),
        ("regions", {"limit": "all"}, r"test\.regions\.limit is 'all'"),
        ("regions", {"kinds": ["gray"]}, "did you mean 'grey'"),
        ("regions", {"places": ["above"]}, r"places: 'above' does not exist"),
        ("regions", {"regions": -1}, r"test\.regions\.regions is -1"),
        ("regions", [1], r"test\.regions is \[1\]; expected a section of options"),
    ],
)
def test_wrong_options_are_named(key, options, said) -> None:
    given = {"audit": (options, None), "regions": (None, options)}[key]
    with pytest.raises(WorkbenchError, match=said):
        check_figures("test", *given)


def test_right_options_pass() -> None:
    check_figures("test", None, None)
    check_figures("test", {}, {})
    check_figures("test", SOME | {"limit": 20, "places": ["random", "left"], "search": [0.5]}, SOME | {"seed": 3})
