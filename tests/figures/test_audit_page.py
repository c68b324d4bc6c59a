"""The page of an audit: one file, no requests, no scripts, every name escaped."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from seeing_detectors import BrightObjects, Seeing, half_seen, left_seen

from workbench.evaluation import AuditReport, audit
from workbench.figures.audit_page import audit_page

EVIL = "<script>alert(1)</script>&\"'"


class Page(HTMLParser):
    """All tags with their attributes, and all text."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data) -> None:
        self.texts.append(data.strip())

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def report() -> AuditReport:
    data = BrightObjects([[(EVIL, 2, 2, 34, 35), ("dog", 40, 4, 70, 24)]], classes=(EVIL, "dog"))
    data.name = EVIL
    few = {"fractions": (0.5,), "kinds": ("grey",), "places": ("random", "top", "bottom"), "search": ()}
    detectors = {EVIL: Seeing(data, half_seen), "left": Seeing(data, left_seen)}
    return audit(detectors, data, **few, corruptions=("jpeg",), severities=(1,), progress=False)


@pytest.fixture(scope="module")
def text(report) -> str:
    return audit_page(report)


@pytest.fixture(scope="module")
def page(text) -> Page:
    return Page(text)


def test_it_asks_nothing_of_any_other_place_and_runs_nothing(page, report) -> None:
    assert {tag for tag, _ in page.tags} == {
        *("html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "div", "picture", "source", "img"),
        *("details", "summary", "table", "thead", "tbody", "tr", "th", "td"),
    }
    keys = {key for _, attributes in page.tags for key in attributes}
    assert keys == {"lang", "charset", "http-equiv", "content", "name", "class", "media", "srcset", "alt", "src"}
    sources = [one["src"] for one in page.of("img")] + [one["srcset"] for one in page.of("source")]
    assert len(sources) == 2 * len(report.figure_names)
    for source in sources:
        kind, _, content = source.partition(",")
        assert kind == "data:image/svg+xml;base64"
        svg = base64.b64decode(content).decode()
        assert "<script" not in svg
        assert set(re.findall(r'(?:href|src)="([^"#][^"]{0,20})', svg)) <= {"data:image/png;base64"}


def test_its_policy_allows_its_own_style_and_pictures_alone(page, text) -> None:
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = page.of("meta")[1]
    assert policy["http-equiv"] == "Content-Security-Policy"
    own = f"img-src data:; style-src 'sha256-{digest}'"
    assert policy["content"] == f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"
    assert "url(" not in style
    assert "@import" not in style


def test_names_are_shown_as_they_are(page) -> None:
    for place in (f"Audit of {EVIL}, left", EVIL):
        assert place in page.texts
    assert any(text.startswith(f"{EVIL} test, 1 images") for text in page.texts)


def test_it_holds_the_numbers_of_every_table(page, report, text, tmp_path) -> None:
    headings = [text for text in page.texts if text]
    assert [len(page.of("h2")), len(page.of("img"))] == [len(report.figure_names)] * 2
    recall = report.recall("place")
    assert sum(one == f"{recall['high'].iloc[0]:.3f}" for one in headings) > 0
    rows = len(page.of("tr"))
    tables = [report.summary, report.recall(), report.average_precision(), report.recall("kind"), report.fates()]
    tables += [report.recall("place"), report.recall("size"), report.recall("class"), report.halves()]
    tables += [report.calibration(), report.corruptions(), report.differences()]
    lost = [report.first_lost(name).head(20) for name in report.detectors]
    named = set(report.figure_names)
    assert named >= {"recall", "places", "classes", "differences"}
    expected = sum(len(table) + 1 for table in tables)
    expected -= 0 if "kinds" in named else len(report.recall("kind")) + 1
    expected += sum(map(len, lost)) + 1 if "first lost" in named else 0
    assert rows == expected
    path = report.save(tmp_path / "folder" / "audit.html")
    assert path.read_text() == text, "drawn twice it is the same, byte for byte"
