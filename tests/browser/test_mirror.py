"""A panel as an anywidget: every kind of control in step with Python, beside the same panel by ipywidgets."""

import json

import pytest

pytestmark = pytest.mark.browser

SETUP = """
import io, json
import ipywidgets
from PIL import Image
from widgets.parts.panel import Panel

clicks = []
controls = {
    "dropdown": ipywidgets.Dropdown(options=["a", "<b>b</b>"], description="Choice"),
    "selection": ipywidgets.SelectionSlider(options=["few", "many"], description="Number"),
    "toggles": ipywidgets.ToggleButtons(options=["left", "right"], description="Side", tooltips=["to the left", ""]),
    "whole": ipywidgets.IntSlider(value=2, min=0, max=10, step=2, description="Whole"),
    "fraction": ipywidgets.FloatSlider(value=0.5, max=1, step=0.25, description="Fraction", readout_format=".0%"),
    "late": ipywidgets.IntSlider(value=3, max=5, description="Late", continuous_update=False),
    "log": ipywidgets.FloatLogSlider(value=10, min=0, max=4, step=1, description="Log", readout_format=".1e"),
    "check": ipywidgets.Checkbox(description="check <i>", indent=False),
    "count": ipywidgets.BoundedIntText(value=1, min=0, max=9, description="Count"),
    "free": ipywidgets.FloatText(value=1.5, description="Free"),
}
press = ipywidgets.Button(description="Press", tooltip="counts")
press.on_click(clicks.append)
progress = ipywidgets.FloatProgress(value=0.25, max=1, description="Done")
text, image = ipywidgets.HTML("<b>bold</b>"), ipywidgets.Image(format="png")
fold = ipywidgets.Accordion([ipywidgets.HTML("inside")], titles=("Fold",), selected_index=None)
row = ipywidgets.HBox([press, progress], layout={"flex_flow": "row wrap"})
panel = Panel([*controls.values(), row, text, image, fold])


def said():
    values = {name: one.value for name, one in controls.items()}
    print(json.dumps({**values, "clicks": len(clicks), "fold": fold.selected_index}))


def redden():
    out = io.BytesIO()
    Image.new("RGB", (8, 4), "red").save(out, "PNG")
    image.value = out.getvalue()
"""
AFTER = {
    "dropdown": "<b>b</b>",
    "selection": "many",
    "toggles": "right",
    "whole": 4,
    "fraction": 0.25,
    "late": 4,
    "log": 100.0,
    "check": True,
    "count": 9,
    "free": 2.25,
    "clicks": 2,
    "fold": 0,
}
CHANGE = """
controls["dropdown"].options = ["x", "y", "z"]
controls["selection"].options, controls["selection"].value = ["none", "some", "all"], "all"
controls["toggles"].disabled = True
controls["whole"].max = 40
controls["whole"].value = 36
controls["log"].base = 2
controls["check"].description = "another"
controls["check"].value = False
controls["count"].layout.display = "none"
press.disabled, press.description = True, "Pressed"
progress.value = 0.75
text.value = "<i>plain</i> &lt;script&gt;"
row.children = [progress]
fold.set_title(0, "Folded")
redden()
said()
"""


def test_controls_are_in_step_both_ways(lab_page):
    lab = lab_page([SETUP, "panel.as_anywidget()", "panel"], size=(1400, 2200))
    page, mirror = lab.page, lab.page.locator(".wb-mirror")
    mirror.get_by_text("bold").wait_for()
    assert mirror.locator("b").all_inner_texts() == ["bold"], "labels and choices are text"
    assert mirror.get_by_role("button", name="left").get_attribute("title") == "to the left"
    assert mirror.get_by_role("button", name="left").get_attribute("aria-pressed") == "true"
    assert mirror.get_by_label("Fraction").get_attribute("aria-valuetext") == "50%"
    assert mirror.locator("img").is_hidden()

    mirror.get_by_label("Choice").select_option("<b>b</b>")
    mirror.get_by_label("Number").press("ArrowRight")
    mirror.get_by_role("button", name="right").click()
    mirror.get_by_label("Whole").press("ArrowRight")
    mirror.get_by_label("Fraction").press("ArrowLeft")
    mirror.get_by_label("Late").press("ArrowRight")
    mirror.get_by_label("Log").press("ArrowRight")
    mirror.get_by_label("check <i>").check()
    fill(mirror.get_by_label("Count"), "12")
    fill(mirror.get_by_label("Free"), "2.25")
    for _ in range(2):
        mirror.get_by_role("button", name="Press").click()
    mirror.get_by_role("button", name="Fold").click()
    mirror.get_by_text("inside").wait_for()
    assert json.loads(lab.python("said()")) == AFTER
    assert page.locator(".widget-dropdown select").evaluate("one => one.selectedIndex") == 1, "by ipywidgets, too"
    assert mirror.get_by_label("Log").get_attribute("aria-valuetext") == "1.0e+2"
    lab.screenshot("mirror", ".wb-mirror")

    after = json.loads(lab.python(CHANGE))
    mirror.get_by_text("Folded").wait_for()
    assert (after["dropdown"], after["selection"], after["whole"]) == ("x", "all", 36)
    assert mirror.get_by_label("Choice").locator("option").all_inner_texts() == ["x", "y", "z"]
    assert mirror.get_by_label("Choice").evaluate("one => one.selectedIndex") == 0
    number = mirror.get_by_label("Number")
    assert (number.get_attribute("aria-valuetext"), number.get_attribute("max"), number.input_value()) == (
        "all",
        "2",
        "2",
    )
    assert mirror.get_by_label("Whole").input_value() == "36"
    assert abs(float(mirror.get_by_label("Log").input_value()) - 4) < 1, (
        "100 by powers of 2, as far as the slider goes"
    )
    assert mirror.get_by_role("button", name="left").is_disabled()
    assert not mirror.get_by_label("another").is_checked()
    assert mirror.get_by_label("Count").is_hidden()
    assert mirror.get_by_role("button", name="Pressed").count() == 0
    assert mirror.locator("progress").evaluate("one => one.value") == 0.75
    assert mirror.locator("i").all_inner_texts() == ["plain"]
    assert mirror.get_by_text("plain <script>").is_visible()
    page.wait_for_function("document.querySelector('.wb-mirror img').naturalWidth === 8")


def fill(field, text):
    field.fill(text)
    field.press("Enter")
