"""ErrorBrowser without a browser: filters, pages, what only one detector gets wrong, and words that are text."""

from __future__ import annotations

import io

import pytest
import torch
import traitlets
from colour_detector import ColourDetector
from PIL import Image
from small_detectors import FASTER_RCNN

from widgets.error_browser import PAGE, ErrorBrowser
from workbench import wrap
from workbench.data.dataset import Dataset
from workbench.detectors import build_detector
from workbench.errors import DataError
from workbench.evaluation import evaluate_detections
from workbench.types import Detections, Target

CLASSES = ("cat", "<b>dog</b>")
CAT, DOG, NOWHERE = (0, 0, 20, 20), (30, 0, 50, 20), (60, 40, 80, 60)
IMAGES = 12


class Toy(Dataset):
    name, split, classes = "toy", "test", CLASSES

    def __init__(self, length=IMAGES):
        self.length = length

    def __len__(self):
        return self.length

    def size(self, index):
        return 70, 90

    def image(self, index):
        return torch.full((3, 70, 90), 10 * index, dtype=torch.uint8)

    def target(self, index):
        return Target(boxes=torch.tensor([CAT, DOG]).float(), labels=torch.tensor([1, 2]))


def result(rows):
    table = torch.tensor(rows).reshape(-1, 6)
    found = Detections(table[:, :4], table[:, 4].long(), table[:, 5])
    return evaluate_detections([found] * IMAGES, Toy())


@pytest.fixture
def browser():
    """Both see a cat in the background; the first takes the dog for a cat, the second misses both objects."""
    first = result([(*CAT, 1.0, 0.95), (*DOG, 1.0, 0.9), (*NOWHERE, 1.0, 0.8)])
    second = result([(*NOWHERE, 1.0, 0.7)])
    return ErrorBrowser({"<i>one</i>": first, "two": second}, Toy(), similar=[CLASSES])


def picture(browser):
    return Image.open(io.BytesIO(browser._picture.value))


def test_what_is_shown_first(browser):
    assert browser.detector == "<i>one</i>"
    assert len(browser.table) == IMAGES  # as many as there are cats
    assert set(browser.table["kind"]) == {"similar"}
    assert browser.pages == 2
    assert picture(browser).width > 600
    summary = browser.children[2].value
    assert "12 <b>similar</b>" in summary
    assert "&lt;i&gt;" not in summary  # no other detector is named yet


def test_filters(browser):
    browser.kind = "background"
    assert len(browser.table) == 0
    assert browser._picture.layout.display == "none"
    browser.show(kind="all", class_name="<b>dog</b>")
    assert len(browser.table) == 0
    browser.show(class_name="all", detector="two")
    assert browser.table["kind"].unique().tolist() == ["background"]
    browser.unlike = "<i>one</i>"
    assert len(browser.table) == IMAGES  # not among the top ones of the first
    assert "&lt;i&gt;one&lt;/i&gt; has no box" in browser.children[2].value
    browser.unlike = "two"
    assert len(browser.table) == 0


def test_missed_objects(browser):
    browser.view = "missed objects"
    assert browser.table["class"].unique().tolist() == ["<b>dog</b>"]
    assert "12 of 24 objects" in browser.children[2].value
    browser.show(detector="two")
    assert len(browser.table) == 2 * IMAGES
    browser.unlike = "<i>one</i>"
    assert browser.table["class"].unique().tolist() == ["cat"]  # the first finds those


def test_pages(browser):
    first = browser._picture.value
    back, on, place = browser.children[3].children
    assert back.disabled
    on.click()
    assert browser.page == 1
    assert on.disabled
    assert f"{PAGE + 1} to 12 of 12" in place.value
    assert browser._picture.value != first
    browser.page = 7
    assert browser.page == 1, "there is no page 7"
    browser.class_name = "cat"
    assert browser.page == 0, "a filter begins anew"
    back.click()
    assert browser.page == 0


def test_one_result_alone_and_state(browser):
    alone = ErrorBrowser(result([(*NOWHERE, 1.0, 0.7)]), Toy(), view="missed objects", page=1)
    assert alone.page == 1
    assert alone.view == "missed objects"
    assert repr(alone) == "ErrorBrowser(detector; 12 images)"


def finds_cats(images):
    """A detector of others that sees a cat in every place."""
    return [{"boxes": [CAT, DOG, NOWHERE], "labels": [0, 0, 0], "scores": [0.95, 0.9, 0.8]} for _ in images]


def test_detectors_and_files_of_results_are_taken_as_results(browser, tmp_path):
    """A detector of others, and the result of the first one as both kinds of file: all show the same errors."""
    first = result([(*CAT, 1.0, 0.95), (*DOG, 1.0, 0.9), (*NOWHERE, 1.0, 0.8)])
    given = {"live": wrap(finds_cats, CLASSES), "saved": first.save(tmp_path / "result.json")}
    other = ErrorBrowser(given | {"coco": str(first.save_coco(tmp_path / "coco.json"))}, Toy(), similar=[CLASSES])
    assert list(other.diagnoses) == ["live", "saved", "coco"]
    for name in other.diagnoses:
        other.detector = name
        assert other.table["kind"].tolist() == browser.table["kind"].tolist()
    with pytest.raises(DataError, match=r"wb\.wrap\(it"):
        ErrorBrowser(finds_cats, Toy())


def test_what_does_not_fit(browser):
    one = result([(*CAT, 1.0, 0.9)])
    with pytest.raises(DataError, match=r"\(12 images, 2 classes\) came with toy test \(3 images"):
        ErrorBrowser(one, Toy(3))
    with pytest.raises(DataError, match="no result to explore"):
        ErrorBrowser({}, Toy())
    with pytest.raises(DataError, match=r"ErrorBrowser has no \['colour'\]"):
        ErrorBrowser(one, Toy(), colour="red")
    with pytest.raises(DataError, match="detector is 'three'; it can be <i>one</i>, two"):
        browser.show(detector="three")
    with pytest.raises(traitlets.TraitError):
        browser.class_name = "mouse"


def test_an_image_that_cannot_be_read_is_shown(browser, monkeypatch):
    def broken(self, index):
        raise DataError(f"image {index}: <i>truncated</i>")

    monkeypatch.setattr(Toy, "image", broken)
    browser.page = 1
    assert browser.error == "DataError: image 8: <i>truncated</i>"
    assert "&lt;i&gt;truncated" in browser.children[1].value
    assert browser.page == 0, "it stays where it was"
    monkeypatch.undo()
    browser.page = 1
    assert browser.error == ""
    assert browser.children[1].value == ""


def test_what_a_detector_finds_to_hide_objects_is_hatched(browser):
    """The branch of the detector of the first result finds every pixel occluded."""
    build = {**FASTER_RCNN, "branches": [{"kind": "occlusion", "layers": []}]}
    detector = build_detector(build, CLASSES)
    with torch.no_grad():
        detector.occlusion_head[0].bias.copy_(torch.tensor([0.0, 99.0]))
    results = {name: result([(*CAT, 1.0, 0.9), (*NOWHERE, 1.0, 0.8)]) for name in ("one", "two")}
    hatched = ErrorBrowser(results, Toy(), detectors={"one": detector}, occlusion=True)
    before = hatched._picture.value
    assert hatched._hatched.layout.display is None
    assert "Hatched: what the detector finds to hide it." in hatched._summary.value
    hatched.page = 1
    hatched._hatched.value = False
    assert hatched.page == 1, "it is no filter"
    assert "Hatched" not in hatched._summary.value
    hatched.page = 0
    assert hatched._picture.value != before
    hatched.show(detector="two", occlusion=True)
    assert hatched._hatched.layout.display == "none"
    assert "Hatched" not in hatched._summary.value
    assert browser._hatched.layout.display == "none", "no detector was given"
    assert ErrorBrowser(results, Toy(), detectors=ColourDetector())._hatched.layout.display == "none"
    with pytest.raises(DataError, match="there is no result of three; there are one, two"):
        ErrorBrowser(results, Toy(), detectors={"three": detector})


def test_the_selection_is_what_is_chosen_or_else_the_page(browser):
    assert browser.selection["image"].tolist() == browser.table["image"][:PAGE].tolist()
    browser.page = 1
    assert len(browser.selection) == IMAGES - PAGE
    browser.chosen = 3
    assert browser.page == 0
    row = browser.selection.iloc[0]
    assert len(browser.selection) == 1
    assert row[["x1", "y1", "x2", "y2"]].tolist() == list(DOG)
    about = ["image", "image_id", "object", "class", "kind", "detector"]
    assert row[about].tolist() == [3, 4, 1, "cat", "similar", "<i>one</i>"]
    assert row["score"] == pytest.approx(0.9)
    browser.show(view="missed objects")
    assert browser.chosen is None, "it was a row of another list"
    assert browser.selection["class"].unique().tolist() == ["<b>dog</b>"]
    assert browser.selection["kind"].unique().tolist() == ["missed"]
    assert browser.selection["object"].unique().tolist() == [1]
    browser.show(view="false positives", detector="two")
    assert browser.selection["object"].isna().all(), "they lie where nothing is"


def test_a_click_chooses_and_draws_nothing_anew(browser):
    drawn = browser._picture.value
    browser._picture.chosen = 2
    assert (browser.chosen, browser._picture.value is drawn) == (2, True)
    browser._picture.chosen = None
    assert browser.chosen is None
    browser.chosen = 9
    assert (browser.page, browser._picture.chosen) == (1, 1)
    assert browser._picture.value is not drawn
    browser.page = 0
    assert (browser.chosen, browser._picture.chosen) == (None, None)
    browser.chosen = IMAGES
    assert browser.error == "DataError: chosen is 12; 12 errors are listed, from 0 on"
    assert browser.chosen is None
