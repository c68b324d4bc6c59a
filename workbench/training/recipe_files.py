"""Recipe files: where they are, and what a recipe is that names another as its `base` and says only what differs.

    base: digit-scenes/faster-rcnn       # a shipped recipe, or a YAML file, relative to the file that names it
    name: mine
    hardener: {kind: random-dropout}     # what differs
    stages.0.steps: 500

How a file changes its base:

- A mapping changes its base's key by key, at every depth. Lists and plain values replace; so does `null`.
- A mapping of another kind replaces its base's wholly: options of one kind mean little to another. The kind is what
  `kind` says, or `name` where the file has no `kind` there.
- A dotted key sets that one place, as `Recipe.replace` and `--set` do: in a list (`stages.0.steps: 500`), for another
  kind with the options kept (`detector.kind: mask-rcnn`), or wholly (`data.options: {}`).
- `name`, `notes` and `published` are a file's own and are not inherited.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from workbench.errors import RecipeError, did_you_mean
from workbench.files import user_path

RECIPES = Path(__file__).resolve().parent.parent / "recipes"

OWN = ("name", "notes", "published")  #: keys that are not inherited
MOST_BASES = 8  #: of one recipe; more are hard to follow
MOST_VALUES = 100_000  #: in one file, each alias counted as what it stands for
SUFFIXES = (".yaml", ".yml")

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same values, eight times as fast


class _Loader(_Base):
    """YAML with each key once, and without what YAML 1.1 sees in plain words and YAML 1.2 no longer does.

    `no` and `on` are words and no truth values, 1:30 is not 90, 017 is not 15, 2020-01-01 is no date.
    """

    def get_single_data(self) -> Any:
        root = self.get_single_node()
        _refuse_repeated_keys(root)
        return None if root is None else self.construct_document(root)


#: What plain words are read as, and the characters that they begin with; all others are text.
_WORDS = (
    ("null", r"~|null|Null|NULL|", [*"~nN", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)", [*"-+0123456789"]),
    ("float", r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+][0-9]+)?", [*"-+.0123456789"]),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", [*"-+."]),
    ("merge", r"<<", ["<"]),
)
_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in _WORDS:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


class Layer(NamedTuple):
    """What one file says."""

    source: str  #: path of the file, or what else messages call it
    values: dict[str, Any]


def shipped_names() -> list[str]:
    """Names of the recipes that come with the workbench."""
    return sorted(path.relative_to(RECIPES).with_suffix("").as_posix() for path in RECIPES.rglob("*.yaml"))


def shipped_name(path: str) -> str:
    """The name of a shipped recipe's file; other paths stay as they are."""
    inside = Path(path).is_relative_to(RECIPES)
    return Path(path).relative_to(RECIPES).with_suffix("").as_posix() if inside else path


def find_recipe(name_or_path: str | Path) -> Path:
    """The file of a shipped recipe (`digit-scenes/faster-rcnn`), or of a path.

    Raises:
        RecipeError: There is none; names the nearest.
    """
    path = user_path(name_or_path, RecipeError)
    return _existing(path) if path.suffix in SUFFIXES or path.is_file() else _shipped(str(name_or_path))


def read_recipe(path: Path) -> dict[str, Any]:
    """What a recipe file says itself, without its base.

    Raises:
        RecipeError: The file cannot be read, is no YAML of reasonable size, or has no keys and values.
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror}") from None
    except RecursionError:
        raise RecipeError(f"{path} is not readable YAML: values are nested too deep") from None
    except Exception as error:  # of many kinds: a date that is none, a number of thousands of digits, `!!bool x`
        raise RecipeError(f"{path} is not readable YAML: {error}") from None
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: expected keys and values, got {type(values).__name__}")
    _refuse_bombs(values, path)
    return values


def read_value(text: str) -> Any:
    """A value as recipe files have it: a number, a list, null or a word.

    Raises:
        ValueError: it is none.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except Exception as error:  # see `read_recipe`
        raise ValueError(str(error)) from error


def recipe_layers(values: dict[str, Any], source: str, folder: Path = Path()) -> list[Layer]:
    """A recipe's bases, the furthest first, and last the recipe itself; each without its `base` key.

    Args:
        values: What the recipe says, maybe with a `base`.
        source: What messages call it.
        folder: Where a base that is a relative path is looked for.

    Raises:
        RecipeError: A base does not exist, is no recipe, or leads back to itself; or there are too many.
    """
    layers: list[Layer] = []
    files: list[Path] = []
    while True:
        base = values.get("base")
        layers.insert(0, Layer(source, {key: value for key, value in values.items() if key != "base"}))
        if "base" not in values:
            return layers
        try:
            path = _find_base(base, folder)
            if path.resolve() in files:
                raise RecipeError(f"it leads back to itself, through {' and '.join(file.stem for file in files)}")
            if len(layers) > MOST_BASES:
                raise RecipeError(f"more than {MOST_BASES} bases, each of them the base of the next")
            values = read_recipe(path)
        except RecipeError as error:
            raise RecipeError(f"{source}: base: {error}") from None
        files.append(path.resolve())
        source, folder = str(path), path.parent


def load_layers(name_or_path: str | Path) -> list[Layer]:
    """`recipe_layers` of a shipped recipe or a file."""
    path = find_recipe(name_or_path)
    return recipe_layers(read_recipe(path), str(path), path.parent)


def resolve(layers: list[Layer]) -> dict[str, Any]:
    """What the layers say together.

    Raises:
        RecipeError: A dotted key leads nowhere.
    """
    values = deepcopy(layers[0].values)
    for source, changes in layers[1:]:
        inherited = {key: changes[key] for key in OWN if key in changes}  # first, as one reads them
        inherited.update((key, value) for key, value in values.items() if key not in OWN)
        values = deepcopy(merge(inherited, {key: value for key, value in changes.items() if not is_dotted(key)}))
        try:
            for key, value in changes.items():
                if is_dotted(key):
                    assign(values, key, deepcopy(value))
        except RecipeError as error:
            raise RecipeError(f"{source}: {error}") from None
    return values


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A mapping with the changes of another, as the head of this file says; neither is altered."""
    merged = dict(base)
    for key, value in changes.items():
        before = base.get(key)
        merged[key] = value
        if isinstance(before, dict) and isinstance(value, dict) and not of_another_kind(before, value):
            merged[key] = merge(before, value)
    return merged


def is_dotted(key: Any) -> bool:
    """Whether a key of a recipe file names a place further in."""
    return isinstance(key, str) and "." in key


def assign(tree: dict[str, Any], dotted: str, value: Any) -> None:
    """Set `a.b.0.c` in nested dicts and lists; a missing dict on the way is made, a missing index refused."""
    parts, node = dotted.split("."), tree
    for depth, (part, following) in enumerate(zip(parts, [*parts[1:], None], strict=True)):
        place = ".".join(parts[:depth])
        if isinstance(node, list):
            if not part.isdigit() or int(part) >= len(node):
                raise RecipeError(f"{dotted!r} leads nowhere: {place} has entries 0 to {len(node) - 1}, not {part!r}")
            part = int(part)
        elif not isinstance(node, dict):
            raise RecipeError(f"{dotted!r} leads nowhere: {place} is {node!r}, which has no parts")
        if following is None:
            node[part] = value
            return
        if isinstance(node, dict) and node.get(part) is None:
            node[part] = [] if following.isdigit() else {}
        node = node[part]


def of_another_kind(before: dict[str, Any], changes: dict[str, Any]) -> bool:
    """Whether a mapping says another `kind`, or `name` where there is no kind, than the one that it changes."""
    key = "kind" if "kind" in before or "kind" in changes else "name"
    return key in changes and changes[key] != before.get(key)


def _find_base(base: Any, folder: Path) -> Path:
    if not isinstance(base, str) or not base:
        raise RecipeError(f"expected the name of a recipe or a YAML file, got {base!r}")
    path = Path(base).expanduser()
    return _existing(folder / path) if path.suffix in SUFFIXES else _shipped(base)


def _existing(path: Path) -> Path:
    if not path.is_file():
        beside = sorted(each.name for suffix in SUFFIXES for each in path.parent.glob(f"*{suffix}"))
        raise RecipeError(f"there is no recipe file {path}{did_you_mean(path.name, beside)}")
    return path


def _shipped(name: str) -> Path:
    path = RECIPES / f"{name}.yaml"
    if not path.resolve().is_relative_to(RECIPES) or not path.is_file():
        nearest = did_you_mean(name, shipped_names()).partition(" (known:")[0]
        raise RecipeError(f"there is no recipe {name!r}{nearest} (workbench recipes lists all)")
    return path


def _refuse_repeated_keys(root: yaml.Node | None) -> None:
    """Refuse a key that a mapping has twice: PyYAML would keep the last value, without a word."""
    rest, seen = [root], set()
    while rest:
        node = rest.pop()
        if node is None or id(node) in seen:  # an alias is the node that it names
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            rest += node.value
        elif isinstance(node, yaml.MappingNode):
            lines: dict[tuple[str, str], int] = {}
            for key, value in node.value:
                rest += [key, value]
                if isinstance(key, yaml.ScalarNode) and not key.tag.endswith(":merge"):
                    line = key.start_mark.line + 1
                    if (key.tag, key.value) in lines:
                        first = lines[key.tag, key.value]
                        raise ValueError(f"the key {key.value!r} stands twice, in lines {first} and {line}; keep one")
                    lines[key.tag, key.value] = line


def _refuse_bombs(values: Any, path: Path) -> None:
    """Refuse a file whose aliases, each a few bytes, stand for more than any memory holds, or for themselves."""
    rest: list[Iterator[Any]] = [iter([values])]
    for _ in range(MOST_VALUES):
        while rest and (value := next(rest[-1], rest)) is rest:
            rest.pop()
        if not rest:
            return
        if isinstance(value, dict | list):
            rest.append(iter(value.values() if isinstance(value, dict) else value))
    raise RecipeError(f"{path} has more than {MOST_VALUES:,} values: its aliases (*name) repeat too much")
