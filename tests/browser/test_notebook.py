"""Every widget in Notebook 7: shown, with its pictures, and in step with Python; also on a page loaded anew."""

from pathlib import Path

import pytest
from acts import ACTS, DRAWN, PICTURES, cells, perform, until
from every_widget import make_run

import widgets

pytestmark = pytest.mark.browser

SUPPORT = Path(__file__).parents[1] / "support"
FILES = {"colour_detector.py": (SUPPORT / "colour_detector.py").read_bytes()}
CELLS = [
    """
import torch
from colour_detector import ColourDetector
from widgets import AttentionExplorer

image = torch.full((3, 96, 128), 40, dtype=torch.uint8)
boxes = torch.tensor([[16.0, 16, 48, 48], [80, 32, 112, 64]])
target = {"boxes": boxes, "labels": torch.tensor([1, 2])}
""",
    "explorer = AttentionExplorer(ColourDetector(('red', 'green')), image, target)\nexplorer",
]
OUTPUTS = ".jp-OutputArea-output.lm-Panel"  # those of widgets


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("made") / "run")


def test_every_widget_works(notebook_page, run):
    """On one page for all, as what they need is imported and loaded once."""
    assert list(ACTS) == [name for name in widgets.__all__ if name != "link"]
    lab = notebook_page([f"import shutil; shutil.copytree({str(run)!r}, 'run')", *cells()], size=(1400, 9000))
    problems = {}
    lab.page.set_default_timeout(10_000)
    for place, (name, act) in enumerate(ACTS.items()):
        try:
            perform(act, lab.page.locator(OUTPUTS).nth(place), lab.folder / f"{name}.txt")
        except Exception as error:
            problems[name] = str(error)
    lab.screenshot("notebook")
    assert not problems


def test_it_is_the_same_when_the_page_is_loaded_anew_and_says_when_its_kernel_is_gone(notebook_page):
    lab = notebook_page(CELLS, files=FILES, size=(1400, 1500))
    page = lab.page
    shown = page.locator(OUTPUTS)
    page.get_by_label("Object", exact=True).select_option(index=1)
    lab.wait_idle()
    lab.reload()
    until(lambda: shown.count() == 1 and shown.evaluate(DRAWN), "it is drawn again")
    chosen = page.get_by_label("Object", exact=True)
    assert chosen.evaluate("one => one.selectedIndex") == 1
    before = shown.evaluate(PICTURES)
    chosen.select_option(index=0)
    until(lambda: shown.evaluate(PICTURES) != before, "it still answers")
    lab.restart_kernel()
    page.get_by_role("alert").filter(has_text="Run this cell again").wait_for()
    lab.run_all()
    until(lambda: shown.evaluate(DRAWN), "it is there again")
    assert page.get_by_text("Run this cell again").count() == 0
