"""The frame of a site's pages: head, list of pages, headings of the page, the page itself and its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib import resources

from workbench.reporting.pages.linking import headings
from workbench.reporting.pages.reading import Page

GENERATOR = '<meta name="generator" content="workbench report">'
_POLICY = (
    "default-src 'none'; img-src data:; style-src 'self' 'unsafe-inline' file:; base-uri 'none'; form-action 'none'"
)
KINDS = {"Notebooks": True, "Texts": False}  #: heading → whether these pages are notebooks


def style() -> str:
    """The site's one style sheet, with colours of code for a light and a dark page."""
    from pygments.formatters import HtmlFormatter

    own = resources.files(__package__).joinpath("site.css").read_text(encoding="utf-8")
    light = HtmlFormatter(style="default").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n{own}"


def framed(body: str, page: Page | None, pages: Sequence[Page], site: str) -> str:
    """A whole HTML file; `page` is None for the index."""
    title = site if page is None else f"{page.title} · {site}"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{GENERATOR}
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<link rel="stylesheet" href="style.css">
</head>
<body>
<a class="to-pages" href="#pages">All pages</a>
<nav id="pages" aria-label="Pages">
{_navigation(body, page, pages, site)}
</nav>
<main>
{body}
{_neighbours(page, pages)}
</main>
</body>
</html>
"""


def index_body(pages: Sequence[Page], title: str) -> str:
    """Notebooks as cards with their pictures, then the texts."""
    parts = [f"<h1>{escape(title)}</h1>"]
    for kind, some in _by_kind(pages).items():
        parts += [f"<h2>{kind}</h2>", '<ul class="cards">', *map(_card, some), "</ul>"]
    return "\n".join(parts)


def _by_kind(pages: Sequence[Page]) -> dict[str, list[Page]]:
    """Notebooks and texts, those that there are."""
    kinds = {kind: [page for page in pages if page.is_notebook is wanted] for kind, wanted in KINDS.items()}
    return {kind: some for kind, some in kinds.items() if some}


def _card(page: Page) -> str:
    picture = "" if page.picture is None else f'<img src="{escape(page.picture)}" alt="">'
    text = f"<strong>{escape(page.title)}</strong><span>{escape(page.begins)}</span>"
    return f'<li><a href="{escape(page.file)}">{picture}{text}</a></li>'


def _navigation(body: str, page: Page | None, pages: Sequence[Page], site: str) -> str:
    """The index, and the pages of each kind; below the present one its headings."""
    rows = ["<ul>", _entry("index.html", site, page is None), "</ul>"]
    for kind, some in _by_kind(pages).items():
        entries = (_entry(one.file, one.title, one is page, headings(body) if one is page else ()) for one in some)
        rows += [f"<h2>{kind}</h2>", "<ul>", *entries, "</ul>"]
    return "\n".join(rows)


def _entry(file: str, title: str, is_here: bool, below: Sequence[tuple[str, str]] = ()) -> str:
    here = ' aria-current="page"' if is_here else ""
    inside = "".join(f'<li><a href="#{escape(name)}">{escape(text)}</a></li>' for name, text in below)
    return f'<li><a href="{escape(file)}"{here}>{escape(title)}</a>{f"<ul>{inside}</ul>" if inside else ""}</li>'


def _neighbours(page: Page | None, pages: Sequence[Page]) -> str:
    """Links to the page before and the page after."""
    if page is None:
        return ""
    place = pages.index(page)
    before = pages[place - 1] if place else None
    after = pages[place + 1] if place + 1 < len(pages) else None
    links = [
        f'<a rel="{rel}" href="{escape(one.file)}">{arrow.format(escape(one.title))}</a>'
        for one, rel, arrow in ((before, "prev", "← {}"), (after, "next", "{} →"))
        if one is not None
    ]
    return f"<footer>{''.join(links)}</footer>" if links else ""
