"""DatasetBrowser as a user meets it."""

import pytest

pytestmark = pytest.mark.browser

CELLS = [
    "from workbench.data import load_data\n"
    "from widgets import DatasetBrowser\n"
    "data = load_data('digit-scenes', 'test', length=300)\n"
    "data.classes = ('<b>0</b>', *data.classes[1:])",
    "browser = DatasetBrowser(data, page_size=12)\nbrowser",
]


def settled(page):
    """Wait until every question is answered."""
    page.wait_for_function("document.querySelector('.dataset-browser').getAttribute('aria-busy') === 'false'")


def test_what_is_opened_comes_into_sight_and_closing_leads_back(lab_page):
    """On a low page the last thumbnail is far below the place of the large picture."""
    lab = lab_page(CELLS, size=(1000, 620))
    page = lab.page
    last = page.locator(".db-thumbnail").nth(11)
    last.click()
    page.locator(".db-large").wait_for()
    settled(page)
    seen = "one => { const { top, bottom } = one.getBoundingClientRect(); return top >= 0 && bottom <= innerHeight; }"
    assert page.locator(".db-large").evaluate(seen)
    lab.screenshot("dataset-browser-opened")
    page.get_by_role("button", name="Close").press("Enter")
    page.locator(".db-large").wait_for(state="hidden")
    settled(page)
    assert last.evaluate(seen)
    assert last.evaluate("one => one === document.activeElement")


def test_leaf_filter_and_look_closer(lab_page):
    lab = lab_page(CELLS, size=(1400, 1500))
    page = lab.page
    page.locator(".db-thumbnail canvas").nth(11).wait_for()
    assert "1 to 12 of 300" in page.locator(".db-place").inner_text()
    page.get_by_role("button", name="Next").click()
    page.get_by_text("13 to 24 of 300").wait_for()
    page.get_by_role("button", name="Count all").click()
    page.get_by_text("objects in 300 images").wait_for()
    page.locator(".db-thumbnail").nth(2).click()
    page.locator(".db-large").wait_for()
    page.get_by_label("show masks").check()
    page.wait_for_timeout(200)
    lab.screenshot("dataset-browser-light")
    page.get_by_label("Class").select_option("<b>0</b>")
    page.get_by_label("Least hidden, percent").fill("40")
    page.get_by_label("Least hidden, percent").press("Enter")
    settled(page)
    assert all("<b>0</b>" in text for text in page.locator(".db-caption").all_inner_texts())
    page.locator(".db-thumbnail").first.click()
    settled(page)
    rows = [row.split("\t") for row in page.locator(".db-table tr").all_inner_texts()[1:]]
    assert any(row[1] == "<b>0</b>" and int(row[4].rstrip(" %")) >= 40 for row in rows)
    assert page.locator(".dataset-browser .db-grid b").count() == 0
    lab.theme("dark")
    lab.screenshot("dataset-browser-dark", ".dataset-browser")
