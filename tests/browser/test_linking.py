"""Linked widgets as a user meets them: a click in one cell changes what stands in the others."""

import pytest

pytestmark = pytest.mark.browser

SCENES = """
import workbench as wb
import widgets

data = wb.load_data("digit-scenes", split="test", length=24)
detector = wb.load_detector("digit-scenes/faster-rcnn")
result = wb.evaluate(detector, data, progress=False)
browser = widgets.DatasetBrowser(data, page_size=12)
browser
"""
LAB = "lab = widgets.OcclusionLab(detector, *data[0])\nlab"
ERRORS = "errors = widgets.ErrorBrowser(result, data)\nerrors"
LINK = """
linked = widgets.link(browser, lab, errors)
seen = []
browser.observe(lambda change: seen.append(change["new"]["image"].unique().tolist()), "selection")
"""


def test_a_click_on_a_thumbnail_changes_the_other_cells(lab_page):
    lab = lab_page([SCENES, LAB, ERRORS, LINK], size=(1300, 3600))
    page = lab.page
    page.locator(".occlusion-lab canvas").first.wait_for()
    page.locator(".panel-picker .pp-panel[aria-pressed=true][title^='image 0,']").wait_for()  # as the lab shows it

    listed = [int(one) for one in lab.python("print(*errors.table['image'])").split()]
    shown = next(one for one in listed if 0 < one < 12)
    page.locator(".db-thumbnail").nth(shown).click()
    page.locator(f".panel-picker .pp-panel[aria-pressed=true][title^='image {shown},']").wait_for()
    page.wait_for_function("document.querySelector('.occlusion-lab').getAttribute('aria-busy') !== 'true'")
    lab.wait_idle()
    page.locator(".db-table .wb-button").nth(1).click()
    page.locator(".db-chosen").wait_for()
    lab.wait_idle()
    row = lab.python("print(lab.looks_at[1:], lab.chosen, errors.table['image'][errors.chosen], browser.object)")
    assert row.split() == [f"({shown},", "1)", "1", str(shown), "1"]
    assert page.locator(".occlusion-lab select").first.input_value() == "1"

    absent = next(one for one in range(12) if one not in listed)
    page.locator(".db-thumbnail").nth(absent).click()
    page.get_by_text(f"image {absent} has no error among").wait_for()
    lab.screenshot("linked-light")
    other = page.locator(".pp-panel[aria-pressed=false]").first
    picked = int(other.get_attribute("title").removeprefix("image ").partition(",")[0])
    other.click()
    page.locator(".db-detail", has_text=f"Image {picked}").wait_for()
    page.locator(".db-thumbnail").nth(2).click(modifiers=["Control"])
    page.locator(".db-thumbnail").nth(4).click(modifiers=["Shift"])
    page.get_by_text("3 marked").wait_for()
    lab.theme("dark")
    lab.screenshot("linked-dark")
    said = lab.python("print(browser.marked, seen[-1], len(browser.selection))")
    assert said.startswith(f"[2, 3, 4] {sorted({2, 3, 4, picked})}")
    page.get_by_role("button", name="Unmark").click()
    page.get_by_text("3 marked").wait_for(state="hidden")


VECTORS = """
import workbench as wb
import widgets

data = wb.load_data("digits", split="test", **wb.Recipe.load("dfv/digits-c-full").data.options)
explorer = widgets.DFVExplorer(wb.load_detector("dfv/digits-c"), data, patterns=(5, 13))
explorer
"""
IMAGES = """
browser = widgets.DatasetBrowser(explorer.data, page_size=4)
linked = widgets.link(explorer, browser)
browser
"""


def test_a_point_of_a_map_changes_the_browser(lab_page):
    lab = lab_page([VECTORS, IMAGES], size=(1300, 1900))
    page, plot = lab.page, lab.page.locator(".dfv-explorer .js-plotly-plot").first
    plot.locator(".scatterlayer .trace").nth(5).wait_for()
    page.locator(".db-detail", has_text="Image 0").wait_for()
    clean = plot.locator(".scatterlayer .trace").first.locator(".point")
    box = clean.nth(12).bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    lab.changes(lambda: page.mouse.move(*middle, steps=3))
    page.mouse.click(*middle)
    page.locator(".db-detail", has_text="Image 0").wait_for(state="hidden")
    lab.wait_idle()
    index = lab.python("print(explorer._clean_rows[explorer.image], browser.selected)").split()
    assert index[0] == index[1] != "0"
    page.locator(".db-detail", has_text=f"Image {index[0]}").wait_for()


def answers(lab, code: str, wanted: str) -> bool:
    """Whether Python says so in the end: what was done on the page takes its time to come there."""
    return any(lab.python(code) == wanted for _ in range(30))


def test_a_box_selects_points_until_a_double_click(lab_page):
    lab = lab_page([VECTORS], size=(1300, 1500))
    page, plot = lab.page, lab.page.locator(".dfv-explorer .js-plotly-plot").first
    plot.locator(".scatterlayer .trace").nth(5).wait_for()
    plot.hover()
    plot.locator(".modebar-btn[data-title='Box Select']").click()
    edge = plot.locator(".nsewdrag").bounding_box()
    page.mouse.move(edge["x"] + 5, edge["y"] + 5)
    page.mouse.down()
    page.mouse.move(edge["x"] + edge["width"] / 2, edge["y"] + edge["height"] - 5, steps=4)
    page.mouse.up()
    assert answers(lab, "print(len(explorer.selected) > 0)", "True")
    number, whole, left, pale = lab.python(
        "points, chosen = explorer.embedding.points, explorer.selection\n"
        "left = chosen['x'].mean() < points[:, 0].mean()\n"
        "print(len(chosen), len(points), left, len(explorer.maps.vectors._selected))"
    ).split()
    assert 0 < int(number) < int(whole)
    assert left == "True"
    assert int(pale) > 0
    lab.screenshot("dfv-lasso-light", ".dfv-explorer")

    lab.theme("dark")
    for step in range(6):  # pointing at others and drawing anew leave it as it is
        page.mouse.move(edge["x"] + 20 + 60 * step, edge["y"] + 20 + 30 * step, steps=3)
    lab.wait_idle()
    lab.python("explorer.image = 7\nprint('drawn')")
    lab.wait_idle()
    lab.screenshot("dfv-lasso-dark", ".dfv-explorer")
    assert lab.python("print(len(explorer.selected))") == number

    plot.locator(".nsewdrag").dblclick(position={"x": 8, "y": edge["height"] - 8})
    assert answers(lab, "print(explorer.selected, len(explorer.selection))", "[] 1")
