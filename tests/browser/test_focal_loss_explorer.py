"""FocalLossExplorer as a user meets it: sliders, pointing at a curve, another detector."""

import pytest

pytestmark = pytest.mark.browser

SETUP = """
import workbench as wb
from widgets import FocalLossExplorer
from workbench.detectors import build_detector

data = wb.load_data("digit-scenes", split="test")
trained = wb.load_detector("digit-scenes/retinanet")
untrained = build_detector(trained.config, data.classes)
"""
SHOW = "explorer = FocalLossExplorer({'<i>trained</i>': trained, 'untrained': untrained}, data, images=40)\nexplorer"


def test_move_point_and_choose(lab_page):
    lab = lab_page([SETUP, SHOW], size=(1400, 1250))
    page, explorer = lab.page, lab.page.locator(".focal-loss-explorer")
    explorer.locator(".scatterlayer .trace").nth(8).wait_for()
    explorer.get_by_text("the hardest ones").wait_for()
    lab.screenshot("focal-loss-explorer-light")
    lab.reload()
    explorer.locator(".scatterlayer .trace").nth(8).wait_for()
    explorer.get_by_text("the hardest ones").wait_for()
    assert page.get_by_text("Error displaying widget").count() == 0, "the bar that was shown meanwhile left something"

    panel = explorer.locator(".subplot.x2y2 .plot, .subplot.x2y2").first.bounding_box()
    middle = panel["y"] + panel["height"] / 2
    page.mouse.move(panel["x"] + 0.5 * panel["width"], middle)
    lab.changes(lambda: page.mouse.move(panel["x"] + 0.6 * panel["width"], middle, steps=3))
    explorer.get_by_text("windows of objects").last.wait_for()
    explorer.get_by_label("magnify the hardest").check()
    explorer.get_by_text("hardest fraction").first.wait_for()
    handle = explorer.locator(".noUi-handle").first
    handle.focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    explorer.get_by_text("γ = 1:").wait_for()
    explorer.get_by_label("Detector").select_option("untrained")
    explorer.get_by_role("progressbar").wait_for(state="hidden")
    lab.wait_idle()
    assert page.locator(".jp-OutputArea-output i", has_text="trained").count() == 0, "a name is text"
    lab.theme("dark")
    explorer.scroll_into_view_if_needed()
    lab.screenshot("focal-loss-explorer-dark")
    said = lab.python("print(explorer.detector, explorer.kind, explorer.place, explorer.gamma, repr(explorer.error))")
    detector, kind, place, gamma, error = said.split()
    assert (detector, kind, error) == ("untrained", "objects", "''")
    assert 0.5 < float(place) < 0.7, "where the mouse was"
    assert float(gamma) == pytest.approx(1)
