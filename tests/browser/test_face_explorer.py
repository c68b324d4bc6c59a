"""FaceExplorer as a user meets it: click a face or choose it by keyboard, scrub through a run, load the page anew."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

SMALL_RUN = (Path(__file__).parents[1] / "support" / "adversary_run.py").read_bytes()
SETUP = """
from pathlib import Path
from adversary_run import adversary_run
from widgets import FaceExplorer
from workbench import load_data

generator, branch = {"kind": "mask-generator", "width": 8}, {"kind": "occlusion", "layers": [8]}
run = adversary_run(Path("run"), **{"hardener": generator, "detector.branches": [branch]})
data = load_data("digit-scenes", split="test")
"""
SHOW = "explorer = FaceExplorer({'<i>with</i>': run, 'without': run}, data, index=5)\nexplorer"


def test_choose_scrub_and_reload(lab_page):
    lab = lab_page([SETUP, SHOW], files={"adversary_run.py": SMALL_RUN}, size=(1400, 1500))
    page = lab.page
    page.locator("img.widget-image").nth(3).wait_for()
    lab.screenshot("face-explorer-light")

    lab.changes(lambda: page.locator(".rp-object").nth(1).click())  # the smaller one
    smaller = page.get_by_label("Object", exact=True).input_value()
    page.locator(".rp-object").first.focus()
    lab.changes(lambda: page.keyboard.press("Enter"))
    assert page.get_by_label("Object", exact=True).input_value() != smaller
    page.get_by_role("slider").first.focus()  # of the checkpoints
    for _ in range(3):
        page.keyboard.press("ArrowLeft")  # last, 6, 4, 2
    page.get_by_role("status").get_by_text("The generator learned nothing before this checkpoint").wait_for()
    lab.wait_idle()
    assert lab.python("print(explorer.chosen, explorer.step, explorer.error)") == "1 2"

    lab.theme("dark")
    lab.reload()
    page.locator("img.widget-image").nth(3).wait_for()
    page.get_by_role("status").get_by_text("The generator learned nothing before this checkpoint").wait_for()
    lab.screenshot("face-explorer-dark")
    page.set_viewport_size({"width": 480, "height": 1500})
    pictures = "[...document.querySelectorAll('img.widget-image')]"
    page.wait_for_function(f"() => {pictures}.every(one => one.getBoundingClientRect().right <= 480)")
    lab.screenshot("face-explorer-narrow")
