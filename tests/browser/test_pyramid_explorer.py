"""PyramidExplorer as a user meets it: choose objects with the keyboard, drag a region, compare detectors."""

import pytest

pytestmark = pytest.mark.browser

SETUP = """
import workbench as wb
from widgets import PyramidExplorer
from workbench.detectors import build_detector

data = wb.load_data("digit-scenes", split="test")
plain = wb.load_detector("digit-scenes/faster-rcnn")
dense = build_detector(wb.Recipe.load("digit-scenes/retinanet").detector, data.classes)
"""
SHOW = "explorer = PyramidExplorer({'<i>pyramid</i>': plain, 'retinanet': dense}, data, index=7)\nexplorer"
PICTURES = "[...document.querySelectorAll('img.widget-image')]"


def test_choose_drag_and_compare(lab_page):
    lab = lab_page([SETUP, SHOW], size=(1400, 1500))
    page = lab.page
    page.locator("img.widget-image").nth(2).wait_for()
    page.get_by_text("Object 1 (").wait_for()
    lab.screenshot("pyramid-explorer-light")

    page.locator(".rp-object").nth(4).focus()  # the smallest is the last
    lab.changes(lambda: page.keyboard.press("Enter"), place=2)
    page.get_by_text("Object 2 (").wait_for()
    area = page.locator(".region-picker svg").bounding_box()
    corner, far = (area["x"] + 0.05 * area["width"], area["y"] + 0.05 * area["height"]), 0.8

    def drag():
        page.mouse.move(*corner)
        page.mouse.down()
        page.mouse.move(area["x"] + far * area["width"], area["y"] + far * area["height"], steps=4)
        page.mouse.up()

    lab.changes(drag, place=1)
    page.get_by_text("This region: √(wh) is").wait_for()
    lab.changes(lambda: page.get_by_label("Detector").select_option("retinanet"), place=0)
    page.get_by_text("The levels of all detectors").click()
    page.wait_for_function(f"() => {PICTURES}[3]?.naturalWidth > 300")
    assert page.locator(".jp-OutputArea-output i", has_text="pyramid").count() == 0, "a name is text"
    lab.theme("dark")
    page.locator(".region-picker").scroll_into_view_if_needed()
    lab.screenshot("pyramid-explorer-dark")
    assert lab.python("print(explorer.detector, explorer.chosen, repr(explorer.error))") == "retinanet None ''"
