"""README's own example in the browser; with WORKBENCH_SCREENSHOTS=notebooks/pictures this makes README's picture."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
CAPTION = r"Here (\d+) % of the (\w) are hidden, and it is\staken for an? (\w)"
CELLS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
BEST_THERE = """
found, (x1, y1, x2, y2) = _.result['detectors']['detector'], _.result['object']['box']
middles = [((a + c) / 2, (b + d) / 2) for a, b, c, d in found['boxes']]
inside = [x1 < x < x2 and y1 < y < y2 for x, y in middles]
print(found['names'][inside.index(True)])
"""


def test_the_picture_shows_what_its_caption_says(lab_page):
    """The lab of the example, in whole."""
    lab = lab_page([CELLS[0], CELLS[2]], size=(1000, 1100))
    page = lab.page
    page.locator(".ol-badge").first.wait_for()
    page.wait_for_function("() => document.querySelector('.ol-score').textContent.includes('→')")
    page.locator(".occlusion-lab").scroll_into_view_if_needed()
    lab.screenshot("occlusion_lab", ".occlusion-lab")
    before, after = re.search(r"takes its score from (\S+) to (\S+?)\]", README).groups()
    hidden, own, other = re.search(CAPTION, README).groups()
    assert f"{before} → {after}" in page.locator(".ol-score").first.inner_text()
    assert f"“{own}”" in page.locator(".ol-what").first.inner_text()
    assert f"Hidden: 0 % by the scene + {hidden} % by you" in page.locator(".ol-hidden").inner_text()
    assert lab.python(BEST_THERE) == other
