"""A site is complete or not there, its links lead somewhere, and it asks nothing of any other place."""

from __future__ import annotations

import base64
import io
import shutil
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from workbench.__main__ import main
from workbench.errors import DataError
from workbench.reporting import write_site

ROOT = Path(__file__).parents[2]


def picture(width: int = 8, height: int = 4, colour: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(out, "PNG")
    return out.getvalue()


def notebook(path: Path, *cells) -> Path:
    nbformat.write(new_notebook(cells=list(cells)), path)
    return path


def shown(**data: str):
    kinds = {kind.replace("_", "/", 1): value for kind, value in data.items()}
    return new_code_cell("show()", outputs=[new_output("display_data", kinds)])


def soup(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@pytest.fixture
def two(tmp_path):
    """A notebook and a text that lead to each other."""
    lines = "# Second\n\nSee [the first](first.ipynb#the-1-end) and [a file](data.csv), [code](https://example.org)."
    (tmp_path / "second.md").write_text(lines + "\n\n## Here & there\n\n[back](#here--there)")
    first = notebook(
        tmp_path / "first.ipynb",
        new_markdown_cell("# First <b>one</b>\n\n*Of a book.*\n\nIt begins. [Next](second.md#here--there)"),
        new_markdown_cell("## The 1. end"),
        shown(image_png=base64.b64encode(picture()).decode(), text_plain="a picture"),
    )
    return [first, tmp_path / "second.md"]


def test_pages_lead_to_each_other(two, tmp_path):
    index = write_site(tmp_path / "site", two, title="Both")
    assert sorted(path.name for path in index.parent.iterdir()) == [
        "first.html", "index.html", "second.html", "style.css",
    ]  # fmt: skip
    first, second = soup(index.parent / "first.html"), soup(index.parent / "second.html")
    assert first.main.find("a", string="Next")["href"] == "second.html#here--there"
    assert second.main.find("a", string="the first")["href"] == "first.html#the-1-end"
    assert first.find(id="the-1-end").name == "h2"
    assert second.main.find("a", string="back")["href"] == "#here--there"
    assert second.main.find("a", string="code")["href"] == "https://example.org"
    assert second.main.find("a", string="a file") is None  # it is not in the site
    assert "a file" in second.main.get_text()
    assert second.footer.a["href"] == "first.html"
    assert [a.get_text() for a in second.nav.find_all("a")] == ["Both", "First one", "Second", "Here & there"]


def test_the_index_shows_how_each_page_begins(two, tmp_path):
    cards = soup(write_site(tmp_path / "site", two)).select(".cards a")
    assert [(card["href"], card.strong.get_text(), card.span.get_text()) for card in cards] == [
        ("first.html", "First one", "It begins. Next"),
        ("second.html", "Second", "See the first and a file , code ."),
    ]
    content = base64.b64decode(cards[0].img["src"].removeprefix("data:image/jpeg;base64,"))
    assert Image.open(io.BytesIO(content)).size == (8, 4)


def test_every_link_of_the_projects_own_site_leads_somewhere(tmp_path):
    sources = [
        *sorted((ROOT / "notebooks").glob("*.ipynb")),
        *sorted((ROOT / "docs").glob("*.md")),
        ROOT / "README.md",
    ]
    index = write_site(tmp_path / "site", sources)
    pages = {path.name: soup(path) for path in index.parent.glob("*.html")}
    assert len(pages) == len(sources) + 1
    names = {file: {tag["id"] for tag in page.find_all(id=True)} for file, page in pages.items()}
    for file, page in pages.items():
        for anchor in page.find_all("a", href=True):
            there, _, name = anchor["href"].partition("#")
            if "://" not in there:
                assert there in ("", *pages), f"{file}: {anchor['href']}"
                assert not name or name in names[there or file], f"{file}: {anchor['href']}"
        assert all(image["src"].startswith("data:image/") for image in page.find_all("img")), file
        assert page.script is None


def test_widgets_are_shown_by_their_pictures(tmp_path):
    view = {"model_id": "1", "version_major": 2, "version_minor": 0}
    cell = shown(image_png=base64.b64encode(picture()).decode(), text_plain="Browser()")
    cell.outputs[0].data["application/vnd.jupyter.widget-view+json"] = view
    page = soup(write_site(tmp_path / "site", [notebook(tmp_path / "a.ipynb", cell)]).parent / "a.html")
    assert page.main.img["src"].startswith("data:image/png")
    assert page.script is None


def test_what_only_a_script_draws_is_named(tmp_path):
    cell = shown(text_html="<div id=1></div><script>draw()</script>", text_plain="Figure")
    cell.outputs[0].data["application/vnd.plotly.v1+json"] = {"data": [], "layout": {}}
    page = soup(write_site(tmp_path / "site", [notebook(tmp_path / "a.ipynb", cell)]).parent / "a.html")
    assert "An interactive figure: run the notebook to see it." in page.main.get_text()


def test_a_page_of_others_can_do_no_harm(tmp_path):
    (tmp_path / "secret.png").write_bytes(picture())
    (tmp_path / "secret.txt").write_text("key")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "mine.png").write_bytes(picture())
    text = (
        "# <img src=x onerror=alert(1)>T\n\n<script>steal()</script>\n\n[a](javascript:steal()) [b](file:///etc/passwd)\n\n"
        "![own](mine.png) ![other](../secret.png) ![far](https://example.org/x.png) ![key](../secret.txt)\n\n"
        "<iframe src='https://example.org'></iframe><meta http-equiv='refresh' content='0; url=https://example.org'>"
    )
    (inside / "page.md").write_text(text)
    page = soup(write_site(tmp_path / "site", [inside / "page.md"]).parent / "page.html")
    assert page.script is None
    assert page.iframe is None
    assert len(page.find_all("meta")) == 4  # the site's own
    assert [image["alt"] for image in page.find_all("img")] == ["own"]
    assert all(
        anchor["href"].startswith(("#", "page.html", "index.html")) for anchor in page.find_all("a", href=True)
    )
    assert page.title.get_text() == "T · Report"
    policy = page.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


def test_notebooks_are_run_anew_in_their_own_folder(tmp_path):
    (tmp_path / "here.txt").write_text("found me")
    path = notebook(tmp_path / "a.ipynb", new_code_cell("open('here.txt').read()"))
    before = path.read_bytes()
    page = soup(write_site(tmp_path / "site", [path], execute=True).parent / "a.html")
    assert "found me" in page.main.get_text()
    assert path.read_bytes() == before


def test_a_cell_that_fails_is_named_and_nothing_is_written(tmp_path):
    path = notebook(tmp_path / "a.ipynb", new_markdown_cell("# A"), new_code_cell("1"), new_code_cell("1 / 0"))
    with pytest.raises(DataError, match=r"a\.ipynb: cell 3 fails with ZeroDivisionError: division by zero"):
        write_site(tmp_path / "site", [path], execute=True)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.ipynb"]


def test_a_site_is_replaced_and_other_folders_are_left_alone(two, tmp_path):
    index = write_site(tmp_path / "site", two)
    write_site(tmp_path / "site", two[:1])
    assert not (index.parent / "second.html").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="holds something else than a site"):
        write_site(tmp_path / "mine", two)
    (tmp_path / "mine" / "index.html").write_text("<h1>My own page</h1>")
    with pytest.raises(DataError, match="holds something else than a site"):
        write_site(tmp_path / "mine", two)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    assert write_site(tmp_path / "empty", two).exists()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([], "no source for the site"),
        (["a.txt"], r"a\.txt is no source for the site; expected a notebook \(\.ipynb\) or a text \(\.md\)"),
        (["none.md"], r"none\.md does not exist"),
        (["index.md"], "take the place of the site's index"),
        (["a.md", "b/A.md"], "would both become a.html"),
        (["broken.ipynb"], r"broken\.ipynb cannot be read as a notebook"),
        (["empty.ipynb"], r"empty\.ipynb cannot be read as a notebook"),
        (["latin.md"], r"latin\.md cannot be read as a text in UTF-8"),
    ],
)
def test_sources_that_make_no_site(sources, message, tmp_path):
    (tmp_path / "b").mkdir()
    for name, content in {
        "a.txt": b"", "a.md": b"a", "b/A.md": b"a", "index.md": b"a", "broken.ipynb": b"{}", "empty.ipynb": b"",
        "latin.md": "ä".encode("latin-1"),
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        write_site(tmp_path / "site", [tmp_path / source for source in sources])
    assert not (tmp_path / "site").exists()


def test_a_folder_that_cannot_be_written(two, tmp_path):
    with pytest.raises(DataError, match="is no folder; make it"):
        write_site(tmp_path / "none" / "site", two)
    with pytest.raises(DataError, match=r"second\.md is no folder"):
        write_site(two[1], two)
    if shutil.os.geteuid():
        (tmp_path / "closed").mkdir(mode=0o500)
        with pytest.raises(DataError, match="cannot be written"):
            write_site(tmp_path / "closed" / "site", two)


def test_from_the_terminal(two, tmp_path, capsys):
    assert main(["report", *map(str, two), "--folder", str(tmp_path / "site"), "--title", "Ours"]) == 0
    printed = capsys.readouterr()
    assert printed.out.strip() == str(tmp_path / "site" / "index.html")
    assert printed.err.splitlines() == ["first.ipynb ...", "second.md ..."]
    assert main(["report", str(tmp_path / "none.md"), "--folder", str(tmp_path / "other")]) == 2
    assert "none.md does not exist" in capsys.readouterr().err
