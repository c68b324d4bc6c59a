"""What all widgets have of the page: keys stay in them, they say when their kernel is gone, and they close whole."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

SUPPORT = Path(__file__).parents[1] / "support"
FILES = {name: (SUPPORT / name).read_bytes() for name in ("bright_detector.py", "colour_detector.py")}
SETUP = """
import torch
from bright_detector import BrightDetector
from colour_detector import ColourDetector
from widgets import AttentionExplorer, OcclusionLab

image = torch.full((3, 96, 128), 40, dtype=torch.uint8)
boxes = torch.tensor([[16.0, 16, 48, 48], [80, 32, 112, 64]])
target = {"boxes": boxes, "labels": torch.tensor([1, 2])}
"""
EXPLORER = "explorer = AttentionExplorer(ColourDetector(('red', 'green')), image, target)\nexplorer"
LAB = "lab = OcclusionLab(BrightDetector(('red', 'green'), boxes.tolist(), [1, 2]), image, target)\nlab"
CELL = "() => window.jupyterapp.shell.currentWidget.content.activeCellIndex"


def test_keys_mean_nothing_to_the_notebook(lab_page):
    """Arrow keys choose another cell, and "b" makes one, in JupyterLab's command mode."""
    lab = lab_page([SETUP, EXPLORER, LAB], files=FILES, size=(1400, 1500))
    page = lab.page
    page.locator(".ol-badge").first.wait_for()
    slider = page.get_by_role("slider").first
    for control in (
        page.get_by_label("Explain class"),
        slider,
        page.locator(".ol-tools select").nth(1),
        page.locator("canvas").first,
    ):
        control.focus()
        active = page.evaluate(CELL)
        for key in ("ArrowUp", "ArrowLeft", "b", "ArrowDown"):
            page.keyboard.press(key)
        lab.wait_idle()
        assert (page.evaluate(CELL), page.locator(".jp-CodeCell").count()) == (active, 3), control
    slider.focus()
    page.keyboard.press("Control+s")  # still JupyterLab's
    page.locator(".jp-mod-dirty").wait_for(state="detached")


def test_they_say_when_their_kernel_is_gone(lab_page):
    lab = lab_page([SETUP, EXPLORER, LAB], files=FILES)
    notices = lab.page.get_by_role("alert").filter(has_text="Run this cell again")
    lab.page.locator(".ol-badge").first.wait_for()
    assert notices.count() == 0
    lab.restart_kernel()
    notices.nth(1).wait_for()
    lab.screenshot("panel-kernel-gone")
    lab.run_all()
    notices.first.wait_for(state="detached")


def test_closing_leaves_no_widget_of_theirs(lab_page):
    lab = lab_page([SETUP, EXPLORER, LAB], files=FILES)
    lab.page.locator(".ol-badge").first.wait_for()
    count = "import ipywidgets; print(len(ipywidgets.widgets.widget._instances))"
    assert int(lab.python(count)) > 20
    assert lab.python(f"explorer.close(); lab.close(); {count}") == "0"
