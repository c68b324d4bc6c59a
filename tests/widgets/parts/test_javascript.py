"""Modules of JavaScript become one: in order, each in its own scope, and what is wrong is named."""

from __future__ import annotations

import subprocess

import pytest
from javascript import NODE, check_syntax, needs_node

from widgets.annotator import Annotator
from widgets.dataset_browser import DatasetBrowser
from widgets.occlusion_lab import OcclusionLab
from widgets.parts import javascript
from widgets.parts.javascript import FOLDER, read_module, script, style
from widgets.parts.region_picker import RegionPicker
from workbench.errors import WorkbenchError

WIDGETS = (Annotator, DatasetBrowser, OcclusionLab, RegionPicker)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Writes files (name → text) into a folder that stands for `js/`."""
    monkeypatch.setattr(javascript, "FOLDER", tmp_path)

    def write(**texts: str) -> None:
        for name, text in texts.items():
            path = tmp_path / f"{name.replace('__', '/')}.js"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    return write


def run(text: str, folder) -> str:
    path = folder / "run.mjs"
    path.write_text(text)
    return subprocess.run([NODE, path], capture_output=True, text=True, check=True, timeout=60).stdout.strip()


@needs_node
def test_modules_have_scopes_of_their_own_and_stand_once(files, tmp_path):
    files(
        a='import { b } from "./parts/b.js";\nimport { c } from "./parts/c.js";\n'
        'const own = "a";\nconsole.log(own, b(), c);\n',
        parts__b='import { c } from "./c.js";\nconst own = "b";\nexport function b() {\n  return own + c;\n}\n',
        parts__c='console.log("once");\nconst own = "c";\nexport const c = own;\n',
    )
    assert run(script("a.js"), tmp_path).split("\n") == ["once", "a bc c"]


@needs_node
def test_values_of_python_come_as_json(files, tmp_path):
    files(
        a='import { COLOURS, NAME } from "python";\nimport { first } from "./b.js";\n'
        "console.log(COLOURS[1], NAME, first);\n",
        b='import { COLOURS } from "python";\nexport const first = COLOURS[0];\n',
    )
    text = script("a.js", COLOURS=("#000", "#fff"), NAME='"</script>\n')
    assert run(text, tmp_path) == '#fff "</script>\n #000'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('import { c } from "./b.js";\n', r"imports c; b\.js exports b"),
        ('import { b } from "./gone.js";\n', r"gone\.js cannot be read"),
        ('import { b } from "b.js";\n', r"imports from 'b\.js'; expected 'python' or a path"),
        ('import { B } from "python";\n', r"imports B from 'python'; the widget gives A"),
        ('import { b as c } from "./b.js";\n', r"imports 'b as c'; expected names as they are"),
        ('import { b } from "./b.js";\nimport { b } from "./c.js";\n', r"b is imported twice"),
        ('import b from "./b.js";\n', r"import b from .* is not understood; expected import \{ name \}"),
        ("const b = 1;\nexport { b };\n", r"export \{ b \};.* is not understood"),
        ('import { d } from "./d.js";\n', r"modules import each other in a circle \(a\.js → d\.js → a\.js\)"),
        ("const b = 1;\n", r"a\.js: no module imports A from 'python'; leave them out"),
    ],
)
def test_what_is_wrong_is_named(files, text, message):
    files(a=text, b="export const b = 1;\n", c="export const b = 2;\n", d='import { a } from "./a.js";\n')
    with pytest.raises(WorkbenchError, match=message):
        script("a.js", A=1)


def test_exports_of_every_kind_are_found(files, tmp_path):
    files(
        a="export function f() {}\nexport async function g() {}\nexport class H {}\n"
        "export const i = 1;\nconst j = 2;\n"
    )
    module = read_module(tmp_path / "a.js")
    assert module.exports == ("f", "g", "H", "i")
    assert "export" not in module.code


@needs_node
@pytest.mark.parametrize("widget", WIDGETS, ids=lambda widget: widget.__name__)
def test_every_widget_is_one_module(widget, tmp_path):
    text = str(widget._esm)
    assert text.count("export default") == 1
    assert "import {" not in text
    assert check_syntax(text, tmp_path) == ""


@needs_node
@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.js")), ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_every_file_is_a_module(path, tmp_path):
    assert check_syntax(path.read_text(encoding="utf-8"), tmp_path) == ""


def test_every_file_is_part_of_a_widget():
    used: set = set()
    for name in (one.name for one in FOLDER.glob("*.js")):
        modules: dict = {}
        javascript._gather(FOLDER / name, modules, ())
        used |= set(modules)
    assert used == set(FOLDER.rglob("*.js"))


def test_every_import_is_used():
    for path in FOLDER.rglob("*.js"):
        module = read_module(path)
        for name in (each for _, names in module.imports for each in names):
            assert name in module.code, f"{path.name} imports {name} and does not use it"


def test_style_sheets_follow_each_other():
    both = style("shared/panel.css", "occlusion_lab.css")
    assert both.index(".wb-panel {") < both.index(".occlusion-lab .ol-tools")
