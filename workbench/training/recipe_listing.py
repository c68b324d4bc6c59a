"""Recipes as text: a list of the shipped ones, and one of them with marks of where its values come from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import groupby
from typing import Any

import yaml

from workbench.training.recipe_files import (
    Layer,
    find_recipe,
    is_dotted,
    load_layers,
    read_recipe,
    resolve,
    shipped_name,
    shipped_names,
)

WIDTH = 110  #: characters of a line of YAML, without its mark
COLUMN = 72  #: where marks begin, unless the line is longer

Place = tuple[str | int, ...]  #: keys and indices from the top of a recipe to a value


def matching(pattern: str) -> list[str]:
    """Names of the shipped recipes in a folder (`retinanet`) or of a pattern (`*ohem*`)."""
    return [name for name in shipped_names() if fnmatchcase(name, pattern) or name.startswith(f"{pattern}/")]


def listing(names: Sequence[str]) -> str:
    """Names of shipped recipes with the first sentence of their notes, grouped by folder."""
    groups = []
    for folder, group in groupby(names, key=lambda name: name.partition("/")[0]):
        members = list(group)
        width = max(map(len, members))
        lines = [
            f"  {name:<{width}}  {_first_sentence(read_recipe(find_recipe(name)).get('notes'))}" for name in members
        ]
        groups.append("\n".join([f"{folder}: {len(members)}", *lines]))
    return "\n\n".join(groups)


def own_text(name_or_path: str) -> str:
    """The file of a recipe as it is."""
    path = find_recipe(name_or_path)
    read_recipe(path)  # says what is wrong with a file that is no recipe
    return path.read_text(encoding="utf-8").rstrip("\n")


def full_text(name_or_path: str, *, defaults: bool = False) -> str:
    """A recipe as YAML that needs no base; what comes from one is marked with its name.

    Args:
        name_or_path: A shipped recipe or a file.
        defaults: Also show the values that no file states, marked as such.
    """
    layers = load_layers(name_or_path)
    names = [shipped_name(layer.source) for layer in layers]
    marks = {place: f"from {names[number]}" for place, number in origins(layers).items() if number < len(layers) - 1}
    values = resolve(layers)
    if defaults:
        from workbench.training.recipe import Recipe

        stated = set(_places(values))
        values = Recipe.load(name_or_path, trial=False).to_dict()
        marks.update(dict.fromkeys((place for place in _places(values) if place not in stated), "default"))
    head = [f"# {' on '.join(reversed(names))}"] if len(names) > 1 else []
    return "\n".join([*head, *(line for item in values.items() for line in _entry(*item, (), marks, 0))])


def origins(layers: Sequence[Layer]) -> dict[Place, int]:
    """Which layer, by its index, said the value at a place last; values that it dropped may be among them."""
    known: dict[Place, int] = {}
    for number, layer in enumerate(layers):
        for key, value in layer.values.items():
            place = (
                tuple(int(part) if part.isdigit() else part for part in key.split(".")) if is_dotted(key) else (key,)
            )
            known.update(dict.fromkeys(_places(value, place), number))
    return known


def _places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Places of the plain values in a tree, and of its empty dicts and lists."""
    if isinstance(value, dict | list) and value:
        for key, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _places(below, (*place, key))
    else:
        yield place


def _entry(key: Any, value: Any, place: Place, marks: dict[Place, str], depth: int) -> list[str]:
    return _lines(f"{flow(key)}:", value, (*place, key), marks, depth)


def _lines(head: str, value: Any, place: Place, marks: dict[Place, str], depth: int) -> list[str]:
    """`key: value` or `- value` on one line if it is short and all of one origin, else one line for each part."""
    indent = "  " * depth
    found = {marks.get(each) for each in _places(value, place)}
    line = f"{indent}{head} {flow(value)}"
    if isinstance(value, str) and len(line) > WIDTH and found == {None}:
        folded = yaml.safe_dump(value, default_style=">", width=WIDTH).rstrip("\n").split("\n")
        return [f"{indent}{head} {folded[0]}", *(f"{indent}{rest}" if rest else "" for rest in folded[1:])]
    if len(found) == 1 and (len(line) <= WIDTH or not isinstance(value, dict | list)):
        mark = found.pop()
        return [line if mark is None else f"{line:<{COLUMN}}  # {mark}"]
    if isinstance(value, dict):
        below = [line for item in value.items() for line in _entry(*item, place, marks, depth + 1)]
    else:
        items = enumerate(value)
        below = [line for number, item in items for line in _lines("-", item, (*place, number), marks, depth + 1)]
    return [f"{indent}{head} {below[0].lstrip()}", *below[1:]] if head == "-" else [f"{indent}{head}", *below]


def flow(value: Any) -> str:
    """YAML on one line."""
    settings: dict[str, Any] = {"default_flow_style": True, "sort_keys": False, "width": float("inf")}
    text = yaml.safe_dump(value, **settings).removesuffix("...\n").rstrip("\n")
    return text if "\n" not in text else yaml.safe_dump(value, default_style='"', **settings).rstrip("\n")


def _first_sentence(notes: Any) -> str:
    text = " ".join(notes.split()) if isinstance(notes, str) else ""
    return re.split(r"(?<=[.!?])\s+(?=[A-Z])", text, maxsplit=1)[0]
