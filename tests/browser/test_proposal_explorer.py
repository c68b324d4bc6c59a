"""ProposalExplorer as a user meets it: choose objects with the keyboard, drag a region, follow a mask down."""

import pytest

pytestmark = pytest.mark.browser

SETUP = """
import torch
import workbench as wb
from widgets import ProposalExplorer
from workbench.detectors import build_detector

data = wb.load_data("digit-scenes", split="test")
plain = wb.load_detector("digit-scenes/faster-rcnn")
torch.manual_seed(0)
sharp = build_detector(wb.Recipe.load("sharp-mask/digits").detector, data.classes)
"""
SHOW = "explorer = ProposalExplorer({'<i>RPN</i>': plain, 'sharp': sharp}, data, index=7)\nexplorer"
SHOWN = "[...document.querySelectorAll('img.widget-image')].filter((one) => one.offsetHeight > 50).length"


def test_choose_drag_and_follow_a_mask_down(lab_page):
    lab = lab_page([SETUP, SHOW], size=(1400, 2000))
    page = lab.page
    page.wait_for_function(f"() => {SHOWN} === 3")  # the object, all objects, the best by score
    page.get_by_text("Choose sharp as the proposer").wait_for()
    page.locator(".rp-object").nth(4).focus()  # the smallest is the last
    lab.changes(lambda: page.keyboard.press("Enter"), place=0)
    page.get_by_text("Object 2: ").wait_for()
    lab.changes(lambda: page.get_by_label("Proposer").select_option("sharp"), place=2)
    page.wait_for_function(f"() => {SHOWN} === 5")  # and the top-down path, coarse and sharp
    lab.changes(lambda: page.get_by_label("Encodings").select_option("strongest channel"), place=3)
    lab.screenshot("proposal-explorer-light")

    area = page.locator(".region-picker svg").bounding_box()

    def drag():
        page.mouse.move(area["x"] + 0.1 * area["width"], area["y"] + 0.1 * area["height"])
        page.mouse.down()
        page.mouse.move(area["x"] + 0.7 * area["width"], area["y"] + 0.7 * area["height"], steps=4)
        page.mouse.up()

    lab.changes(drag, place=0)
    page.get_by_text("This region. Among the best 100 proposals").wait_for()
    page.get_by_text("All objects, the more proposals there are").click()
    page.wait_for_function(f"() => {SHOWN} === 6")
    assert page.locator(".jp-OutputArea-output i", has_text="RPN").count() == 0, "a name is text"
    lab.theme("dark")
    page.locator(".region-picker").scroll_into_view_if_needed()
    lab.screenshot("proposal-explorer-dark")
    assert lab.python("print(explorer.detector, explorer.chosen, repr(explorer.error))") == "sharp None ''"

    lab.reload()
    page.wait_for_function(f"() => {SHOWN} >= 5")
    page.set_viewport_size({"width": 800, "height": 1600})
    lab.changes(lambda: page.get_by_label("Proposer").select_option("<i>RPN</i>"), place=2)
    page.locator(".region-picker").scroll_into_view_if_needed()
    lab.screenshot("proposal-explorer-narrow")
    wide = "one => one.scrollWidth - one.clientWidth"
    assert page.locator(".jp-OutputArea-child").last.evaluate(wide) <= 1, (
        "nothing is cut off or has to be scrolled to"
    )
