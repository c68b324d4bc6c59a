"""A recipe at a glance: what it is made of, and where it differs from its base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.cards import card, clip, table
from workbench.training.recipe_files import OWN, Layer, of_another_kind, resolve, shipped_name
from workbench.training.recipe_listing import flow

if TYPE_CHECKING:
    from workbench.training.recipe import Recipe
    from workbench.training.recipe_sections import DataSpec, Stage

ABSENT = "–"
MOST_CHANGES = 30  #: rows of a table of differences


class Origin(NamedTuple):
    """Where a recipe comes from; the values of all are spelled out as far as files state them."""

    files: tuple[Layer, ...] = ()  #: what its file and the bases of that say, the furthest first
    loaded: dict[str, Any] | None = None  #: all values before they were changed by `replace`; None: they were not


def recipe_text(recipe: Recipe) -> str:
    """One line: the players, what they learn from, and for how long."""
    hardener = " + ".join(_kind(each) for each in _hardeners(recipe))
    with_it = f" with {hardener}" if hardener else ""
    what = f"{_kind(recipe.detector)}{with_it} on {clip(recipe.data.name, 40)} {clip(recipe.data.split, 40)}"
    return f"Recipe({clip(recipe.name, 60)!r}: {what}, {recipe.steps:,} steps, seed {recipe.seed})"


def recipe_html(recipe: Recipe) -> str:
    """A card, and tables of what differs from the base and from the recipe before `replace`."""
    names = [_name(layer.source) for layer in reversed(recipe.origin.files)]
    facts: dict[str, object] = {"base": " on ".join(names[1:])} if len(names) > 1 else {}
    facts["detector"] = _options(recipe.detector)
    if recipe.start is not None:
        facts["starts from"] = recipe.start
    facts["hardener"] = [_options(each) for each in _hardeners(recipe)] or "none"
    for key in ("data", "validation", "test"):
        if (spec := getattr(recipe, key)) is not None:
            facts[key] = _data(spec)
    facts["stages"] = [_stage(recipe, number) for number in range(len(recipe.stages))]
    processes = f" in {recipe.processes} processes" if recipe.processes > 1 else ""
    facts["steps"] = f"{recipe.steps:,} of {recipe.batch_size} images{processes}, seed {recipe.seed}"
    augment = {name: value for name, value in recipe.augment.model_dump(mode="json").items() if value}
    if augment:
        facts["augment"] = flow(augment)
    return card(f"Recipe {recipe.name}", facts) + "".join(_changes(recipe, names))


def _changes(recipe: Recipe, names: list[str]) -> Iterator[str]:
    files, loaded = recipe.origin
    if len(files) > 1:
        found = differences(_inherited(resolve(list(files[:-1]))), _inherited(resolve(list(files))))
        yield _table(f"differs from {names[1]}", "there", "here", found)
    if loaded is not None:
        yield _table("changed by replace", "before", "now", differences(loaded, recipe.to_dict()))


def differences(before: Any, after: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Key, value before and value after, of what differs in two trees; `...` where there is none.

    A mapping of another kind differs wholly, as options of one kind mean little to another.

    Example:
        >>> list(differences({"a": {"b": 1, "c": [2, 3]}}, {"a": {"b": 1, "c": [2, 4]}, "d": 5}))
        [('a.c.1', 3, 4), ('d', Ellipsis, 5)]
    """
    if isinstance(before, dict) and isinstance(after, dict) and not of_another_kind(before, after):
        parts = [(str(key), before.get(key, ...), after.get(key, ...)) for key in {**before, **after}]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        parts = [(str(number), *pair) for number, pair in enumerate(zip(before, after, strict=True))]
    else:
        if before != after:
            yield place, before, after
        return
    for key, there, here in parts:
        yield from differences(there, here, f"{place}.{key}" if place else key)


def _table(title: str, there: str, here: str, found: Iterator[tuple[str, Any, Any]]) -> str:
    rows = [(key, *(ABSENT if value is ... else flow(value) for value in pair)) for key, *pair in found]
    if len(rows) > MOST_CHANGES:
        rows = [*rows[:MOST_CHANGES], (f"{len(rows) - MOST_CHANGES} more", "", "")]
    return table(title, ("key", there, here), rows) if rows else ""


def _inherited(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in OWN}


def _name(source: str) -> str:
    """A shipped recipe as it is called, another by its file; folders are of no use to a reader."""
    name = shipped_name(source)
    return Path(name).name if name == source else name


def _hardeners(recipe: Recipe) -> list[dict[str, Any]]:
    given = recipe.hardener or []
    return given if isinstance(given, list) else [given]


def _kind(config: Mapping[str, Any]) -> str:
    return clip(config.get("kind", "?"), 40)


def _options(config: Mapping[str, Any]) -> str:
    """The kind of a player, and its options."""
    options = {key: value for key, value in config.items() if key != "kind"}
    return f"{_kind(config)} {flow(options)}" if options else _kind(config)


def _data(spec: DataSpec) -> str:
    options = f" {flow(spec.options)}" if spec.options else ""
    proposals = f", with proposals {flow(spec.proposals)}" if spec.proposals is not None else ""
    limit = f", the first {spec.limit:,} images" if spec.limit is not None else ""
    return f"{spec.name} {spec.split}{options}{proposals}{limit}"


def _stage(recipe: Recipe, number: int) -> str:
    stage: Stage = recipe.stages[number]
    who = "detector and hardener" if stage.train == "both" else stage.train
    rates = f"{recipe.scaled_lr(stage):.3g}"
    plain = "" if stage.harden or not _hardeners(recipe) else ", without the hardener"
    sources = f", from {', '.join(stage.sources)}" if stage.sources else ""
    return f"{number + 1}. {who}: {stage.steps:,} steps at {rates}{sources}{plain}"
