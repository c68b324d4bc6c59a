"""How long a reader waits: from a key on a slider until its picture is painted, in headless Chromium.

`python -m pytest -s tests/browser/measure_feedback.py` prints the table. The peer is what most people write by
themselves: `ipywidgets.interact` with a function that draws two images by matplotlib.
"""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.browser

MOVES = 16
SETUP = """
import ipywidgets, matplotlib.pyplot as plt, torch
import widgets, workbench as wb

torch.set_num_threads(1)
data, detector = wb.load_data("digit-scenes", split="test", length=40), wb.load_detector("digit-scenes/faster-rcnn")
"""
PEER = """
def draw(index):
    image = data.image(index).permute(1, 2, 0).numpy()
    figure, axes = plt.subplots(1, 2, figsize=(9, 4))
    axes[0].imshow(image)
    axes[1].imshow(image.mean(axis=2), cmap="viridis")
    plt.show()

ipywidgets.interact(draw, index=ipywidgets.IntSlider(min=0, max=39, description="Image"))
"""
#: Explorer → descriptions of its sliders.
SLIDERS = {
    "AttentionExplorer": ["Image", "Drop cells"],
    "AdversaryExplorer": ["Image"],
    "PyramidExplorer": ["Image", "Proposals"],
}
#: Keeps when the last key was pressed and when what followed was painted last.
WATCH = """
(root) => {
    const press = () => { window.timed = { pressed: performance.now(), first: 0, painted: 0 }; };
    root.addEventListener("keydown", press, true);
    const note = () => { timed.painted = performance.now(); timed.first ||= timed.painted; };
    const painted = () => requestAnimationFrame(() => requestAnimationFrame(note));
    new MutationObserver((changes) => {
        for (const { target, addedNodes } of changes) {
            for (const one of [target, ...addedNodes]) {
                const picture = one.tagName === "IMG" ? one : one.querySelector?.("img");
                if (!picture) continue;
                if (picture.complete) painted();
                else picture.addEventListener("load", painted, { once: true });
            }
        }
    }).observe(root, { subtree: true, childList: true, attributes: true, attributeFilter: ["src"] });
}
"""


def waits(lab, root, description: str) -> np.ndarray:
    """Milliseconds from each key to the first and to the last picture that came of it [MOVES, 2]."""
    handle = root.locator(".widget-slider", has_text=description).first.locator(".noUi-handle").first
    handle.focus()
    there, back = "ArrowRight", "ArrowLeft"
    if handle.get_attribute("aria-valuenow") == handle.get_attribute("aria-valuemax"):
        there, back = back, there
    found = []
    for move in range(MOVES + 2):  # half of them there, half of them back
        lab.page.keyboard.press(there if move < MOVES // 2 + 1 else back)
        lab.page.wait_for_timeout(150)
        lab.wait_idle()
        lab.page.wait_for_timeout(150)  # pictures that come one after another
        found.append(lab.page.evaluate("[timed.first - timed.pressed, timed.painted - timed.pressed]"))
    times = np.array(found[2:])
    return times[times[:, 1] > 0]  # the others changed nothing that is seen, as another share of the same cells


def test_feedback(lab_page):
    cells = [SETUP, PEER, *(f"widgets.{name}(detector, data, index=3)" for name in SLIDERS)]
    lab = lab_page(cells, size=(1400, 6000))
    cell = lab.page.locator(".jp-CodeCell")
    measured = {}
    for place, (name, sliders) in enumerate([("ipywidgets.interact", ["Image"]), *SLIDERS.items()]):
        root = cell.nth(1 + place)
        root.locator("img").first.wait_for()
        root.evaluate(WATCH)
        for slider in sliders:
            measured[name, slider] = waits(lab, root, slider)
    peer = np.median(measured["ipywidgets.interact", "Image"][:, 1])
    print("\n| slider | first picture, ms | all, ms | all, ratio to ipywidgets.interact |\n|---|---|---|---|")
    for (name, slider), times in measured.items():
        first, last = np.median(times, axis=0)
        print(f"| {name}, {slider} | {first:.0f} | {last:.0f} | {last / peer:.2f} |")
    assert all(len(times) >= MOVES / 3 for times in measured.values())
