"""AdversaryExplorer as a user meets it: scrub through a run's checkpoints, point elsewhere, draw other masks."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

SMALL_RUN = (Path(__file__).parents[1] / "support" / "adversary_run.py").read_bytes()
SETUP = """
from pathlib import Path
from adversary_run import adversary_run
from widgets import AdversaryExplorer
from workbench import load_data

run = adversary_run(Path("run"))
data = load_data("digit-scenes", split="test")
"""
SHOW = "explorer = AdversaryExplorer({'<i>run</i>': run, 'saved': run.detector()}, data, index=5)\nexplorer"
PICTURES = "[...document.querySelectorAll('img.widget-image')]"


def drawn(page):
    """Address of every picture that is shown."""
    shown = f"{PICTURES}.filter(one => one.complete && one.naturalWidth && one.offsetParent).map(one => one.src)"
    return page.evaluate(f"() => {shown}")


def changed(page, place, before):
    """Wait until a picture is another one."""
    page.wait_for_function(
        f"([place, was]) => {PICTURES}[place].src !== was && {PICTURES}[place].complete", arg=[place, before[place]]
    )


def test_scrub_point_and_sample(lab_page):
    lab = lab_page([SETUP, SHOW], files={"adversary_run.py": SMALL_RUN}, size=(1400, 1500))
    page = lab.page
    page.locator("img.widget-image").nth(3).wait_for()
    first = drawn(page)
    assert len(first) == 4
    lab.screenshot("adversary-explorer-light")

    slider = page.get_by_role("slider").first  # of the checkpoints
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")  # last, 6, 4, 2
    page.get_by_role("status").get_by_text("learned nothing before this checkpoint").wait_for()
    changed(page, 0, first)
    lab.wait_idle()
    second = drawn(page)
    page.locator(".rp-object").nth(1).focus()
    page.keyboard.press("Enter")
    changed(page, 0, second)
    lab.wait_idle()
    third = drawn(page)
    page.get_by_role("slider").nth(3).focus()  # of the sample
    page.keyboard.press("ArrowRight")
    changed(page, 1, third)
    lab.wait_idle()
    assert drawn(page)[0] == third[0], "the search does not depend on the masks"
    page.get_by_text("This region over training").click()
    page.wait_for_function(f"() => {PICTURES}[4]?.naturalWidth > 300")
    lab.theme("dark")
    page.locator(".region-picker").scroll_into_view_if_needed()
    lab.screenshot("adversary-explorer-dark")

    page.get_by_label("Detector").select_option(index=1)
    page.get_by_role("status").get_by_text("came without an adversary").wait_for()
    page.wait_for_function(f"() => {PICTURES}.filter(one => one.offsetParent).length === 3")
    assert lab.python("print(explorer.detector, explorer.sample, explorer.error)") == "saved 1"
