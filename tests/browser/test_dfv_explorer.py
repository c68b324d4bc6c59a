"""DFVExplorer as a user meets it: point at the map, click an image, move beta, recolour."""

import pytest

pytestmark = pytest.mark.browser

SETUP = """
import workbench as wb
from widgets import DFVExplorer

recipe = wb.Recipe.load("dfv/digits-c-full")
data = wb.load_data("digits", split="test", **recipe.data.options)
classifiers = {"<i>plain</i>": wb.load_detector("dfv/digits-c"), "other": wb.load_detector("dfv/digits-c-full")}
"""
SHOW = """
decoder = wb.load_detector("dfv/digits-decoder")
explorer = DFVExplorer(classifiers, data, {"<i>plain</i>": decoder}, patterns=(5, 13, 21))
pointed = []
explorer.observe(lambda change: pointed.append(change["new"] - len(explorer.vectors.clean)), "point")
explorer
"""


def test_point_click_and_move_beta(lab_page):
    lab = lab_page([SETUP, SHOW], size=(1400, 1500))
    page, explorer = lab.page, lab.page.locator(".dfv-explorer")
    explorer.locator(".scatterlayer .trace").nth(5).wait_for()  # empty traces are not drawn
    explorer.scroll_into_view_if_needed()
    lab.screenshot("dfv-explorer-light", ".dfv-explorer")
    star = explorer.locator(".scatterlayer .trace").nth(5).locator(".point")
    assert star.count() == 1
    assert star.bounding_box()["width"] > 10

    def middle(trace, point, plot=0):
        traces = explorer.locator(".js-plotly-plot").nth(plot).locator(".scatterlayer .trace")
        box = traces.nth(trace).locator(".point").nth(point).bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    lab.changes(lambda: page.mouse.move(*middle(1, 40), steps=3))
    explorer.get_by_text("occluded", exact=False).first.wait_for()
    lab.changes(lambda: page.mouse.move(*middle(0, 100, plot=1), steps=3))
    lab.changes(lambda: page.mouse.move(*middle(0, 12), steps=3))
    page.mouse.click(*middle(0, 12))
    lab.wait_idle()
    sliders = explorer.locator(".noUi-handle")
    sliders.last.focus()
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    explorer.get_by_text("β = 0.80: of the").wait_for()
    explorer.get_by_role("button", name="by pattern").click()
    explorer.get_by_text("cup 20 % centre").first.wait_for()
    lab.wait_idle()
    assert page.locator(".jp-OutputArea-output i", has_text="plain").count() == 0, "a name is text"
    lab.theme("dark")
    explorer.scroll_into_view_if_needed()
    lab.screenshot("dfv-explorer-dark", ".dfv-explorer")
    said = lab.python(
        "print(explorer.image, round(explorer.beta, 2), explorer.colour, repr(explorer.error), 100 in pointed)"
    )
    assert said.split() == ["12", "0.8", "pattern", "''", "True"], "the DV of pair 100 was pointed at"
