"""ErrorBrowser as a user meets it: leaf with the keyboard, filter, and see what only one detector gets wrong."""

import pytest

pytestmark = pytest.mark.browser

SETUP = """
import workbench as wb
from widgets import ErrorBrowser

data = wb.load_data("digit-scenes", split="test").subset(range(12))
names = {"<i>plain</i>": "digit-scenes/faster-rcnn", "hardened": "digit-scenes/faster-rcnn+ia"}
results = {name: wb.evaluate(wb.load_detector(file), data, progress=False) for name, file in names.items()}
"""
SHOW = "browser = ErrorBrowser(results, data, similar=[('3', '8'), ('1', '7')])\nbrowser"


def test_leaf_and_filter(lab_page):
    lab = lab_page([SETUP, SHOW], size=(1200, 1000))
    page = lab.page
    page.locator(".error-browser img.widget-image").wait_for()
    lab.screenshot("error-browser-light")

    page.get_by_text("1 to 8 of").wait_for()
    forward = page.get_by_role("button", name="Next")
    forward.focus()
    lab.changes(lambda: page.keyboard.press("Enter"))
    page.get_by_text("9 to 16 of").wait_for()
    lab.changes(lambda: page.get_by_label("Not shared by").select_option("hardened"))
    assert page.get_by_text("hardened has no box of that class there").count() == 1
    lab.changes(lambda: page.get_by_label("Show", exact=True).select_option("missed objects"))
    assert page.get_by_text("objects are not found").count() == 1
    assert page.locator(".error-browser i", has_text="plain").count() == 0, "a name is text"
    lab.theme("dark")
    lab.screenshot("error-browser-dark")
