"""The harness itself: a notebook runs, its output is seen, and strangers and errors are noticed."""

import pytest

pytestmark = pytest.mark.browser


def test_runs_cells_and_stays_at_home(lab_page):
    lab = lab_page(["import ipywidgets", "ipywidgets.IntSlider(description='how many')"])
    lab.page.locator(".widget-label", has_text="how many").wait_for()
    assert lab.requests
    assert lab.strangers() == []
    assert lab.screenshot("harness").stat().st_size > 10_000


def test_notices_a_request_to_another_host(lab_page):
    lab = lab_page(["1 + 1"])
    lab.page.evaluate("fetch('http://localhost.invalid/x').catch(() => null)")
    assert lab.strangers() == ["http://localhost.invalid/x"]
    lab.requests.clear()


def test_a_raising_cell_fails(lab_page):
    with pytest.raises(pytest.fail.Exception, match="ZeroDivisionError"):
        lab_page(["1 / 0"])
