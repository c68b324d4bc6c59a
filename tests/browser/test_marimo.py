"""Every widget in marimo: shown, with its pictures, and in step with Python; also dark, and on narrow pages."""

import pytest
from acts import ACTS, PICTURES, cells, perform, until
from every_widget import make_run

import widgets

pytestmark = pytest.mark.browser

#: The brightness of the ink and of the ground of an element, 0 to 1, whatever the notation of the colours.
INK_AND_GROUND = """(one) => [getComputedStyle(one).color, getComputedStyle(one).backgroundColor].map((colour) => {
  const context = new OffscreenCanvas(1, 1).getContext('2d');
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return context.getImageData(0, 0, 1, 1).data[1] / 255;
})"""
TOO_WIDE = "(one) => one.scrollWidth - one.clientWidth"


def test_every_widget_works(marimo_page, tmp_path):
    """On one page for all, as what they need is imported and loaded once."""
    assert list(ACTS) == [name for name in widgets.__all__ if name != "link"]
    folder = tmp_path / "notebook"
    make_run(folder / "run")
    marimo = marimo_page(cells(), folder, size=(1400, 3000))
    page, problems = marimo.page, {}
    page.set_default_timeout(10_000)
    roots = page.locator(".wb-panel")
    roots.nth(len(ACTS) - 1).wait_for(timeout=120_000)
    for place, (name, act) in enumerate(ACTS.items()):
        try:
            perform(act, roots.nth(place), folder / f"{name}.txt")
        except Exception as error:
            problems[name] = str(error)
    assert not problems
    marimo.screenshot("marimo-light")

    picture = roots.nth(list(ACTS).index("FaceExplorer"))
    light = picture.evaluate(PICTURES)
    page.emulate_media(color_scheme="dark")
    until(lambda: picture.evaluate(PICTURES) != light, "pictures are drawn for the dark page")
    page.set_viewport_size({"width": 620, "height": 3000})
    for place, name in enumerate(ACTS):
        root = roots.nth(place)
        until(lambda root=root: root.evaluate(TOO_WIDE) <= 1, f"{name} fits a narrow page")
        ink, ground = root.evaluate(INK_AND_GROUND)
        assert ink > 0.8, name
        assert ground < 0.2, name
    marimo.screenshot("marimo-dark-narrow")
