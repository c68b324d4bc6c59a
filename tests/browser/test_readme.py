"""README's own example in the browser; with WORKBENCH_SCREENSHOTS=notebooks/pictures this makes README's pictures."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
CAPTION = r"Here (\d+) % of the (\w) are hidden, and it is\staken for an? (\w)"
CELLS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SEGMENTS = {  # outlines in skimage.data.coffee(), x,y of each point
    "cup": "174,95 185,62 210,38 245,22 290,18 335,26 370,44 395,70 406,100 405,130 396,170 380,205 360,230 "
    "330,252 320,270 295,284 270,284 258,280 240,298 215,308 198,298 196,270 212,244 219,236 200,215 "
    "180,175 173,130",
    "spoon": "398,72 405,67 418,67 424,76 414,115 404,150 390,195 384,222 392,245 404,262 405,290 395,310 "
    "372,324 350,325 332,312 326,288 330,262 350,245 368,235 376,212 394,178 404,140 407,105",
    "saucer": "182,70 150,82 120,105 97,140 82,175 77,210 80,245 92,280 115,315 150,345 195,370 245,385 295,389 "
    "345,382 395,365 435,335 462,300 477,265 479,235 472,195 455,155 435,125 415,105 404,150 390,195 "
    "384,222 392,245 404,262 405,290 395,310 372,324 350,325 332,312 326,288 320,270 295,284 270,284 "
    "258,280 240,298 215,308 198,298 196,270 212,244 219,236 200,215 180,175 173,130 174,95",
}
ANNOTATOR = f"""
import pathlib, skimage
from PIL import Image
pathlib.Path("photos").mkdir()
Image.fromarray(skimage.data.coffee()).save("photos/coffee.png")
annotator = widgets.Annotator("photos", "my.json", categories=["cup", "spoon", "saucer"])
for category, points in {SEGMENTS}.items():
    ring = [int(value) for value in points.replace(",", " ").split()]
    annotator.act("segment", image="coffee.png", category=category, rings=[ring])
annotator
"""
BEST_THERE = """
found, (x1, y1, x2, y2) = _.result['detectors']['detector'], _.result['object']['box']
middles = [((a + c) / 2, (b + d) / 2) for a, b, c, d in found['boxes']]
inside = [x1 < x < x2 and y1 < y < y2 for x, y in middles]
print(found['names'][inside.index(True)])
"""


def test_the_picture_shows_what_its_caption_says(lab_page):
    """The lab of the example, and an Annotator, in whole."""
    lab = lab_page([CELLS[0], ANNOTATOR, CELLS[2]], size=(1000, 1100))
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
    page.locator(".annotator").scroll_into_view_if_needed()
    page.get_by_role("button", name="1: cup", exact=True).click()
    page.locator(".annotator[aria-busy='false'] .an-task", has_text="Drag points").wait_for()
    page.locator(".annotator").screenshot(path=lab.pictures / "annotator.jpg", type="jpeg", quality=80)
    assert page.locator(".an-object").count() == 3
