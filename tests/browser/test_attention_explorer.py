"""AttentionExplorer as a user meets it: click, drag, slide, by mouse and keyboard."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

FAKE = (Path(__file__).parents[1] / "support" / "colour_detector.py").read_bytes()
SETUP = """
import torch
from colour_detector import ColourDetector
from widgets import AttentionExplorer

image = torch.full((3, 96, 128), 40, dtype=torch.uint8)
image[0, 16:24, 16:24] = 255
image[1, 40:48, 40:48] = 153
image[0, 32:40, 80:88] = 255
boxes = torch.tensor([[16.0, 16, 48, 48], [80, 32, 112, 64]])
target = {"boxes": boxes, "labels": torch.tensor([2, 1]), "occlusion": torch.tensor([0.25, 0])}
classes = ("red", "<b onclick='x'>green</b>")
pair = {"plain": ColourDetector(classes), "<i>hardened</i>": ColourDetector(classes, gain=2)}
"""
SHOWN = "[...document.querySelectorAll('img.widget-image')].filter((one) => one.offsetHeight)"
SHOW = "explorer = AttentionExplorer(pair, image, target)\nexplorer"


@pytest.fixture
def lab(lab_page):
    lab = lab_page([SETUP, SHOW], files={"colour_detector.py": FAKE}, size=(1400, 1300))
    lab.page.locator(".region-picker .rp-object").nth(1).wait_for()
    lab.page.locator("img.widget-image").nth(1).wait_for()
    return lab


def point(page, x, y):
    """Where a pixel of the image is in the page."""
    edge = page.locator(".region-picker svg").bounding_box()
    scale = min(edge["width"] / 128, edge["height"] / 96)
    left, top = (edge["width"] - 128 * scale) / 2, (edge["height"] - 96 * scale) / 2
    return edge["x"] + left + x * scale, edge["y"] + top + y * scale


def pictures(page):
    """Width and address of every picture that is drawn."""
    return page.locator("img.widget-image").evaluate_all(
        "all => all.filter(one => one.complete && one.naturalWidth).map(one => [one.naturalWidth, one.src])"
    )


def changed(page, before):
    """Wait until the first picture is another one."""
    page.wait_for_function(
        "was => document.querySelector('img.widget-image').src !== was && "
        "document.querySelector('img.widget-image').complete",
        arg=before[0][1],
    )


def test_choose_draw_and_slide(lab):
    page = lab.page
    first = pictures(page)
    assert all(width > 600 for width, _ in first[:2])
    assert page.locator(".rp-object[aria-pressed='true']").get_attribute("aria-label").startswith("1: ")
    lab.screenshot("attention-explorer-light")
    page.mouse.click(*point(page, 96, 48))
    changed(page, first)
    page.locator(".rp-object[aria-pressed='true'][aria-label='2: red']").wait_for()
    second = pictures(page)
    page.mouse.move(*point(page, 10, 10))
    page.mouse.down()
    page.mouse.move(*point(page, 60, 50), steps=5)
    page.mouse.up()
    changed(page, second)
    lab.wait_idle()
    third = pictures(page)
    region = page.locator(".rp-region")
    assert [round(float(region.get_attribute(name))) for name in ("x", "y", "width", "height")] == [
        10,
        10,
        50,
        40,
    ]
    slider = page.get_by_role("slider").first
    slider.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    changed(page, third)
    lab.wait_idle()
    printed = lab.python("print(explorer.chosen, explorer.label, round(explorer.drop_cells, 2))")
    assert printed == "None 1 0.37"


def test_keyboard_class_and_names(lab):
    page = lab.page
    before = pictures(page)
    page.locator(".rp-object[aria-label='2: red']").focus()
    page.keyboard.press("Enter")
    changed(page, before)
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "2: red"
    assert page.locator(".jp-CodeCell").count() == 2  # Enter meant nothing to JupyterLab
    before = pictures(page)
    page.get_by_label("Explain class").select_option(index=2)
    changed(page, before)
    page.get_by_label("Detector").select_option(index=1)
    page.get_by_text("All objects of this image").click()
    page.wait_for_function(f"() => {SHOWN}[2]?.naturalWidth > 300")
    assert page.locator(".jp-OutputArea-output [onclick]").count() == 0  # names are shown, not obeyed
    printed = lab.python("print(explorer.detector, explorer.label, explorer.chosen)")
    assert printed == "<i>hardened</i> 2 1"
    lab.theme("dark")
    page.locator(".region-picker").scroll_into_view_if_needed()
    lab.screenshot("attention-explorer-dark")


def test_python_drives_the_view(lab):
    page = lab.page
    before = pictures(page)
    assert lab.python("explorer.show(chosen=1, drop_cells=0.5); print(explorer.error)") == ""
    changed(page, before)
    page.locator(".rp-object[aria-pressed='true'][aria-label='2: red']").wait_for()
    lab.python("pair['plain'].roi_features = lambda *_: 1 / 0; explorer.chosen = 0; print(1)")
    page.locator("[role='alert']", has_text="ZeroDivisionError").wait_for()
