"""What a detection rests on, as a user meets it: in AttentionExplorer by levels and as it grows, and in the lab."""

import pytest

pytestmark = pytest.mark.browser

SETUP = """
import torch
import workbench as wb
import widgets

torch.set_num_threads(1)
scene = wb.load_data("digit-scenes", split="test")[7]
dense = wb.load_detector("digit-scenes/retinanet")
heads = wb.load_detector("digit-scenes/faster-rcnn")
"""
SHOWN = "[...document.querySelectorAll('img.widget-image')].filter((one) => one.offsetHeight)"
PICTURES = """() => [...document.querySelectorAll('img.widget-image')]
    .filter(one => one.complete && one.naturalWidth > 50).length"""


def test_a_dense_detector_by_level_as_it_grows_and_judged(lab_page):
    show = "explorer = widgets.AttentionExplorer({'dense': dense, 'heads': heads}, *scene)\nexplorer"
    lab = lab_page([SETUP, show], size=(1400, 1250))
    page = lab.page
    page.wait_for_function(f"({PICTURES})() >= 2")
    assert page.get_by_label("Method").locator("option").all_inner_texts() == ["layer-cam", "hires-cam", "d-rise"]
    assert page.get_by_label("Drop cells").count() == 0 or not page.get_by_label("Drop cells").first.is_visible()
    page.get_by_text("of what speaks for").wait_for()
    lab.screenshot("saliency-explorer-light")
    lab.changes(lambda: page.get_by_label("Maps of").select_option("body"))
    page.get_by_text("Deletion and insertion").click()
    page.wait_for_function(f"() => {SHOWN}[2]?.naturalWidth > 300")
    lab.wait_idle()
    lab.theme("dark")
    lab.screenshot("saliency-explorer-dark")
    assert float(lab.python("print(explorer.view.found.insertion_area)")) > 0.5
    page.get_by_label("Masks").evaluate("one => one.value")
    page.get_by_label("Method").select_option("d-rise")
    page.get_by_label("Masks").select_option("5,000")
    page.get_by_role("button", name="Stop").wait_for()
    lab.changes(lambda: None)  # it grows by itself
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Stop").wait_for(state="hidden")
    lab.wait_idle()
    done, masks = lab.python("print(explorer.saliency.done, explorer.saliency.settings['masks'])").split()
    assert 0 < float(done) < 1
    assert int(masks) < 5000
    page.set_viewport_size({"width": 620, "height": 1250})
    lab.screenshot("saliency-explorer-narrow")


def test_the_map_follows_the_occluder_in_the_lab(lab_page):
    show = "lab = widgets.OcclusionLab({'dense': dense, 'heads': heads}, *scene)\nlab"
    lab = lab_page([SETUP, show], size=(1400, 1000))
    page = lab.page
    page.locator(".ol-badge").nth(1).wait_for()
    assert page.get_by_label("Method of saliency").locator("option").all_inner_texts() == [
        "layer-cam",
        "hires-cam",
        "attention",
        "d-rise",
    ]
    page.get_by_role("button", name="Show saliency").click()
    line = page.locator(".ol-saliency-text")
    line.nth(1).get_by_text("of what speaks for it").wait_for()
    first = line.nth(1).inner_text()
    lab.screenshot("saliency-lab-light")
    page.locator(".ol-canvas").first.focus()
    for _ in range(6):
        page.keyboard.press("ArrowUp")
    page.wait_for_function("was => document.querySelectorAll('.ol-saliency-text')[1].textContent !== was", arg=first)
    lab.wait_idle()  # an answer to one of the keys that comes later takes the judgement away
    page.get_by_role("button", name="Judge it").click()
    line.nth(1).get_by_text("deletion").wait_for(timeout=60_000)
    assert "middle of the box" in line.first.inner_text()
    page.get_by_label("Method of saliency").select_option("attention")  # which the dense one has not
    page.wait_for_function("() => document.querySelectorAll('.ol-saliency-text')[0].textContent === ''")
    page.get_by_label("Method of saliency").select_option("d-rise")
    page.locator(".ol-saliency-text", has_text="d-rise").first.wait_for()
    lab.theme("dark")
    lab.screenshot("saliency-lab-dark")
    page.locator(".ol-canvas").first.focus()
    page.keyboard.press("ArrowLeft")  # another picture: the map does not belong to it
    page.get_by_role("button", name="Show saliency").wait_for()
    assert line.first.inner_text() == ""
    page.set_viewport_size({"width": 620, "height": 1000})
    page.get_by_label("Method of saliency").select_option("layer-cam")
    page.get_by_role("button", name="Show saliency").click()
    line.nth(1).get_by_text("of what speaks for it").wait_for()
    lab.screenshot("saliency-lab-narrow")
