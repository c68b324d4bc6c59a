"""A view is saved on the page by mouse and by keyboard, and without a kernel its picture is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

SUPPORT = Path(__file__).parents[1] / "support"
FILES = {name: (SUPPORT / name).read_bytes() for name in ("bright_detector.py", "colour_detector.py")}
SETUP = """
import torch
from bright_detector import BrightDetector
from colour_detector import ColourDetector
from widgets import Annotator, AttentionExplorer, DatasetBrowser, OcclusionLab
import workbench as wb

image = torch.full((3, 96, 128), 40, dtype=torch.uint8)
boxes = torch.tensor([[16.0, 16, 48, 48], [80, 32, 112, 64]])
target = {"boxes": boxes, "labels": torch.tensor([1, 2])}
data = wb.load_data("digit-scenes", split="test", length=12)
"""
EXPLORER = "explorer = AttentionExplorer(ColourDetector(('red', 'green')), image, target)\nexplorer"
LAB = "lab = OcclusionLab(BrightDetector(('red', 'green'), boxes.tolist(), [1, 2]), image, target)\nlab"
BROWSER = "browser = DatasetBrowser(data, page_size=6)\nbrowser"
ANNOTATOR = "annotator = Annotator(data, 'my.json')\nannotator"
PAGES = {".wb-frame": EXPLORER, ".occlusion-lab": LAB, ".dataset-browser": BROWSER, ".annotator": ANNOTATOR}
BEGINS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


def test_a_view_is_saved_by_mouse_from_every_kind_of_widget(lab_page, tmp_path):
    lab = lab_page([SETUP, *PAGES.values()], files=FILES, size=(1400, 2600))
    for place, selector in enumerate(PAGES):
        menu = lab.page.locator(f"{selector} .wb-save").first
        suffix = [*BEGINS][place % 3]
        menu.get_by_text("Save this view").click()
        with lab.page.expect_download() as download:
            menu.get_by_role("button", name=suffix.upper()).click()
        file = tmp_path / download.value.suggested_filename
        download.value.save_as(file)
        content = file.read_bytes()
        assert (file.suffix, content.startswith(BEGINS[suffix])) == (f".{suffix}", True)
        menu.get_by_text(f"saved as {file.name}").wait_for()
        (lab.folder / file.name).write_bytes(content)
    lab.screenshot("save-view-menus")
    read = (
        f"lab.texture = 'noise'; lab.load_view('occlusion-lab-image-0-object-0.{[*BEGINS][1]}'); print(lab.texture)"
    )
    assert lab.python(read) == "brick"


def test_a_view_is_saved_by_keyboard_and_escape_shuts_the_menu(lab_page):
    lab = lab_page([SETUP, EXPLORER], files=FILES)
    page = lab.page
    summary = page.get_by_text("Save this view")
    choices = page.get_by_role("group", name="Save this view as")
    summary.focus()
    page.keyboard.press("Enter")
    choices.wait_for()
    page.keyboard.press("Escape")
    choices.wait_for(state="hidden")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    lab.screenshot("save-view-keyboard")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "attention-explorer-image-0-object-0.svg"
    assert page.evaluate("document.activeElement.textContent") == "Save this view"
    assert page.locator(".jp-CodeCell").count() == 2, "keys mean nothing to the notebook"


def test_what_cannot_be_drawn_is_said_on_the_page(lab_page):
    lab = lab_page([SETUP, BROWSER, "browser.still = lambda: 1 / 0"], files=FILES)
    lab.page.get_by_text("Save this view").click()
    lab.page.get_by_role("button", name="PDF").click()
    lab.page.get_by_text("ZeroDivisionError").wait_for()


def test_the_live_widget_is_shown_and_the_picture_in_a_notebook_from_elsewhere(lab_page):
    """JupyterLab shows no live widget of a notebook that it does not trust; in one that it does, it has no choice."""
    lab = lab_page([SETUP, BROWSER], files=FILES)
    lab.page.locator(".dataset-browser canvas").first.wait_for()
    assert lab.page.locator(".jp-RenderedImage").count() == 0
    lab.command("docmanager:save")
    path = lab.folder / "test.ipynb"
    notebook = json.loads(path.read_text())
    bundle = notebook["cells"][1]["outputs"][0]["data"]
    assert set(bundle) == {"text/plain", "image/png", "application/vnd.jupyter.widget-view+json"}
    path.write_text(json.dumps({**notebook, "metadata": {**notebook["metadata"], "from": "elsewhere"}}))
    lab.page.evaluate("() => window.jupyterapp.serviceManager.sessions.shutdownAll()")
    lab.page.reload()
    lab.page.locator(".jp-RenderedImage img").wait_for()
    lab.screenshot("still-from-elsewhere")
    wide, seen = lab.page.locator(".jp-RenderedImage img").evaluate("one => [one.naturalWidth, one.width]")
    assert wide > 1.2 * seen > 600, "sharp, and no larger than the page has room for"


def test_the_menu_is_read_in_the_dark_and_on_a_narrow_page(lab_page):
    lab = lab_page([SETUP, EXPLORER], files=FILES, theme="dark", size=(560, 1000))
    lab.page.get_by_text("Save this view").click()
    menu = lab.page.locator(".wb-save")
    menu.scroll_into_view_if_needed()
    lab.screenshot("save-view-narrow-dark")
    box, room = (lab.page.locator(one).bounding_box() for one in (".wb-save", ".jp-OutputArea-output"))
    assert room["x"] <= box["x"]
    assert box["x"] + box["width"] <= room["x"] + room["width"] + 1
