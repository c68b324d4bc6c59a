"""Docstrings keep one style, and what they say of arguments and errors is true of the code."""

from __future__ import annotations

import ast
import builtins
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(path for room in ("workbench", "widgets") for path in (ROOT / room).rglob("*.py"))
SECTIONS = ("Args", "Returns", "Yields", "Raises", "Example")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
#: A whole word, but neither `code`, "a value" nor a name with underscores.
PLAIN_WORD = r"(?<![`\"'\w.]){}(?:'s)?(?![`\"'\w(=])"


class Documented(NamedTuple):
    """A function or class of the tree."""

    where: str  #: file:line name
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    public: bool
    text: str  #: its docstring
    names: frozenset[str]  #: arguments of the function, or of the class; empty if they are not known here


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def documented(path: Path) -> Iterator[Documented]:
    """All functions, classes and methods of a file but those within functions."""
    yield from _within(path, tree(path), "", public=True)


def _within(path: Path, node: ast.Module | ast.ClassDef, above: str, *, public: bool) -> Iterator[Documented]:
    for child in node.body:
        if isinstance(child, (*FUNCTIONS, ast.ClassDef)):
            name, seen = above + child.name, public and not child.name.startswith("_")
            where = f"{path.relative_to(ROOT)}:{child.lineno} {name}"
            text = ast.get_docstring(child) or ""
            if not text and isinstance(node, ast.ClassDef):
                text = _inherited(node, child.name)
            yield Documented(where, child, seen, text, frozenset(arguments(child)))
            if isinstance(child, ast.ClassDef):
                yield from _within(path, child, f"{name}.", public=seen)


@cache
def classes() -> dict[str, ast.ClassDef]:
    """All classes of the tree by name."""
    found = (node for path in FILES for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef))
    return {node.name: node for node in found}


def bases(node: ast.ClassDef) -> Iterator[ast.ClassDef]:
    """The classes of the tree that a class is made from, the nearest first."""
    for base in node.bases:
        name = base.id if isinstance(base, ast.Name) else getattr(base, "attr", "")
        if name in classes() and name != node.name:  # torch has a Dataset, too
            yield classes()[name]
            yield from bases(classes()[name])


def _inherited(node: ast.ClassDef, method: str) -> str:
    """The docstring that a method has from a base class."""
    for base in bases(node):
        for part in base.body:
            if isinstance(part, FUNCTIONS) and part.name == method:
                return ast.get_docstring(part) or ""
    return ""


def arguments(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> set[str]:
    """What a function takes; of a class what its __init__ takes, or its fields where it has none of its own."""
    if isinstance(node, ast.ClassDef):
        every = [part for one in (node, *bases(node)) for part in one.body]
        made = next((part for part in every if isinstance(part, FUNCTIONS) and part.name == "__init__"), None)
        if made is None:
            return {part.target.id for part in every if isinstance(part, ast.AnnAssign)}
        node = made
    given = node.args
    known = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    return {one.arg for one in known if one is not None} - {"self", "cls"}


def sections(text: str) -> dict[str, str]:
    """A docstring's parts by their headings; what stands before the first one under ""."""
    parts, heading = {"": ""}, ""
    for line in text.splitlines():
        found = re.fullmatch(r"([A-Z]\w+):", line)
        if found:
            heading = found[1]
            parts[heading] = ""
        elif heading and line and not line.startswith(" "):
            heading = ""  # the part has ended
            parts[heading] += line + "\n"
        else:
            parts[heading] += line + "\n"
    return parts


def entries(part: str) -> Iterator[str]:
    """The names that a part explains: "a", or "a" and "b" of "a, b: text"."""
    for line in part.splitlines():
        found = re.match(r" {4}(\*{0,2}\w+(?:, \*{0,2}\w+)*):", line)
        if found:
            yield from (name.lstrip("*") for name in found[1].split(", "))


def all_documented() -> Iterator[Documented]:
    for path in FILES:
        yield from documented(path)


def none_of(faults: list[str]) -> None:
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults)


def test_everything_public_has_a_docstring():
    none_of([one.where for one in all_documented() if one.public and not one.text and not _is_setter(one.node)])


def _is_setter(node: ast.AST) -> bool:
    return any(
        isinstance(part, ast.Attribute) and part.attr == "setter" for part in getattr(node, "decorator_list", [])
    )


def test_docstrings_begin_with_a_sentence_and_have_their_sections_in_order():
    faults = []
    for one in all_documented():
        given = [name for name in sections(one.text) if name]
        if [name for name in SECTIONS if name in given] != given:
            faults.append(f"{one.where}: {', '.join(given)}; expected some of {', '.join(SECTIONS)}, in this order")
        if one.text and not re.match(r"[^\n]+(\n\n|\Z)", one.text) and "Args:" in one.text:
            faults.append(f"{one.where}: its first line is to be one sentence")
    none_of(faults)


def test_arguments_are_explained_under_args_alone():
    faults = []
    for one in all_documented():
        before = sections(one.text)[""]
        for name in one.names:
            if re.search(rf"(^\s*|[.;)] +)`?{name}`?(, `?\w+`?)*: ", before, re.MULTILINE):
                faults.append(f"{one.where}: {name}")
    none_of(faults)


def test_what_args_names_is_in_the_signature():
    faults = []
    for one in all_documented():
        named = entries(sections(one.text).get("Args", ""))
        faults += [f"{one.where}: {name}" for name in named if name not in one.names]
    none_of(faults)


def test_errors_that_docstrings_name_exist_and_stand_under_raises():
    known = {name for name in dir(builtins) if name[0].isupper()} | {"KeyboardInterrupt"}
    for path in FILES:
        known |= {node.name for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef)}
    faults = []
    for one in all_documented():
        parts = sections(one.text)
        faults += [
            f"{one.where}: there is no {name}" for name in entries(parts.get("Raises", "")) if name not in known
        ]
        if one.public and re.search(
            r"\b[Rr]aises (an? )?\w*Error", "".join(parts[name] for name in ("", "Returns") if name in parts)
        ):
            faults.append(f"{one.where}: an error outside Raises")
    none_of(faults)


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Comments, docstrings and messages of a file, with their lines."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING) or token.type == getattr(tokenize, "FSTRING_MIDDLE", -1):
            yield token.start[0], token.string


def test_nothing_tells_and_a_thesis_has_its_name():
    faults = []
    for where, text in all_texts():
        found = re.search(PLAIN_WORD.format("(?:[Tt]old|[Tt]ells?|[Tt]elling)"), text)
        if found:
            faults.append(f"{where}: {found[0]!r}")
        if re.search(PLAIN_WORD.format("[Tt]hesis"), text) and "Lin's thesis" not in text:
            faults.append(f"{where}: whose thesis? It is Lin's thesis")
    none_of(faults)


def all_texts() -> Iterator[tuple[str, str]]:
    """Comments, docstrings and messages of all files, and notes of recipes, with their places."""
    for path in FILES:
        for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
            if token.type in (tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", -1)):
                yield f"{path.relative_to(ROOT)}:{token.start[0]}", re.sub(r"\s+", " ", token.string)
    for path in sorted((ROOT / "workbench" / "recipes").rglob("*.yaml")):
        notes = yaml.safe_load(path.read_text(encoding="utf-8")).get("notes") or ""
        yield str(path.relative_to(ROOT)), re.sub(r"\s+", " ", notes)
