"""Links and pictures of a page: what leads to another source of the site leads to its page, pictures lie in the page.

Links to other files are taken out, and so is all that a page cannot have, as scripts.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag

#: What a page may hold of its own; all else is taken out, as the content policy would not let it do anything.
REMOVED = ("script", "iframe", "object", "embed", "base", "meta", "link", "form")

#: Kinds of pictures that are put into a page.
PICTURES = {
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".svg": "image/svg+xml",
    ".webp": "image/webp",
}  # fmt: skip


def linked(body: str, source: Path, homes: Mapping[Path, str], root: Path) -> str:
    """The body with its links and pictures as the site needs them.

    Args:
        body: HTML of a page.
        source: the file that it was made of; relative links start there.
        homes: file of a source → file of its page.
        root: pictures are taken from below this folder, so that a text of others takes none from elsewhere.
    """
    soup = BeautifulSoup(body, "html.parser")
    for tag in soup.find_all(REMOVED):
        tag.decompose()
    for heading in soup.find_all(re.compile("^h[1-6]$")):
        _name(heading)
    for anchor in soup.find_all("a", href=True):
        _link(anchor, source, homes)
    for image in soup.find_all("img", src=True):
        _embed(image, source, root)
    return str(soup)


def headings(body: str) -> list[tuple[str, str]]:
    """Name and text of the second level's headings, of a body that is linked."""
    found = []
    for heading in BeautifulSoup(body, "html.parser").find_all("h2", id=True):
        for anchor in heading.select("a.anchor-link"):
            anchor.decompose()
        found.append((str(heading["id"]), heading.get_text(" ", strip=True)))
    return found


def slug(text: str) -> str:
    """The name of a heading in links, as code hosts make it: small letters, hyphens for spaces, nothing else."""
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


def _name(heading: Tag) -> None:
    """Give a heading its name, and its own link that."""
    anchor = heading.select_one("a.anchor-link")
    text = heading.get_text()
    name = slug(text[: -len(anchor.get_text())] if anchor is not None else text)
    heading["id"] = name
    if anchor is not None:
        anchor["href"] = f"#{name}"


def _link(anchor: Tag, source: Path, homes: Mapping[Path, str]) -> None:
    """Lead to a page of the site, or to the network; a link to another file becomes its text."""
    address = urlsplit(str(anchor["href"]))
    if address.scheme in ("http", "https", "mailto"):
        anchor["rel"] = "noopener noreferrer"
    elif not address.scheme and not address.netloc:
        fragment = f"#{slug(unquote(address.fragment).replace('-', ' '))}" if address.fragment else ""
        home = homes.get((source.parent / unquote(address.path)).resolve()) if address.path else ""
        if home is None:
            anchor.unwrap()
        else:
            anchor["href"] = home + fragment or "#"
    else:  # javascript:, file: and the like
        anchor.unwrap()


def _embed(image: Tag, source: Path, root: Path) -> None:
    """Put the picture's file into the page; what cannot be had is replaced by its text."""
    address = urlsplit(str(image["src"]))
    if address.scheme == "data":
        return
    path = (source.parent / unquote(address.path)).resolve()
    kind = PICTURES.get(path.suffix.lower())
    if address.scheme or address.netloc or kind is None or not path.is_relative_to(root) or not path.is_file():
        image.replace_with(str(image.get("alt", "")))
    else:
        image["src"] = f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
