"""What the texts in docs/ link to is there, and the code of docs/widgets.md runs as it is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_links_between_texts(path):
    for name in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8")):
        assert (DOCS / name).exists(), name


def test_code_of_widgets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "widgets.md").read_text(encoding="utf-8"), re.DOTALL)
    for block in blocks:
        exec(compile(block, "docs/widgets.md", "exec"), names)
    assert names["browser"].selection["image"].tolist() == [4]
    assert names["another"].texture == names["lab"].texture == "noise"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lab.html", "lab.json", "lab.pdf"]
    for widget in ("browser", "lab", "another"):
        names[widget].close()
