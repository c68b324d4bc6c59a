"""The site of notebooks and texts, opened from its folder without a server and without a network."""

from __future__ import annotations

import pytest

from workbench.reporting import write_site

pytestmark = pytest.mark.browser


@pytest.fixture
def site(tmp_path):
    wide = "| a | b |\n|---|---|\n| " + "word" * 60 + " | 2 |"
    (tmp_path / "first.md").write_text(
        f"# First\n\nIt begins.\n\n## A table\n\n{wide}\n\n```python\nx = '{'y' * 300}'\n```"
    )
    (tmp_path / "second.md").write_text(
        "# Second\n\n<img src='https://example.org/a.png' alt='far'><script>x=1</script>"
    )
    return write_site(tmp_path / "site", [tmp_path / "first.md", tmp_path / "second.md"])


@pytest.mark.parametrize(("width", "theme"), [(1200, "light"), (1200, "dark"), (400, "light"), (400, "dark")])
def test_it_can_be_read_and_walked_through(site, chromium, width, theme):
    page = chromium.new_page(viewport={"width": width, "height": 800}, color_scheme=theme)
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(site.as_uri())
    page.locator(".cards").get_by_text("First").click()
    assert page.title() == "First · Report"
    assert page.evaluate("document.documentElement.scrollWidth") == width  # wide things scroll by themselves
    ink, ground = page.evaluate(
        "(({color, backgroundColor}) => [color, backgroundColor])(getComputedStyle(document.body))"
    )
    assert (ink, ground) == {
        "light": ("rgb(31, 35, 40)", "rgb(255, 255, 255)"), "dark": ("rgb(230, 237, 243)", "rgb(13, 17, 23)"),
    }[theme]  # fmt: skip
    if width < 800:
        page.get_by_role("link", name="All pages").click()
    page.get_by_role("navigation").get_by_text("A table").click()
    assert page.url.endswith("first.html#a-table")
    page.get_by_role("link", name="Second →").click()
    assert page.title() == "Second · Report"
    assert all(url.startswith(("file:", "data:")) for url in asked)
    assert not said
    page.close()
