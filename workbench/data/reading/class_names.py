"""Which names of an annotation file are which labels, and names that may be meant as one."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from workbench.data.reading.problems import Problem
from workbench.errors import DataError, nearest

_ONE_CLASS = "If they are one class, give them one name; coco and voc do so by merge={name: name}."


def class_labels(
    names: Iterable[str],
    classes: Iterable[str] | None,
    merge: Mapping[str, str] | None,
    single_class: str | None,
) -> tuple[tuple[str, ...], dict[str, int]]:
    """The names of the labels 1..K, and the label of each of `names`; 0: its objects are left out.

    Args:
        names: of the file.
        classes: names of the labels 1..K; None: all of `names`, as they are merged, in their order.
        merge: other names for some of `names`.
        single_class: one name for all of them.

    Raises:
        DataError: `classes` is empty or has a name twice.
    """
    called = {name: single_class or (merge or {}).get(name, name) for name in names}
    chosen = tuple(dict.fromkeys(called.values()) if classes is None else classes)
    if classes is None and single_class is not None:
        chosen = (single_class,)
    if classes is not None and (not chosen or len(set(chosen)) < len(chosen)):
        raise DataError(f"classes are {list(chosen)}; expected names, each of them once")
    labels = {name: label for label, name in enumerate(chosen, start=1)}
    return chosen, {name: labels.get(other, 0) for name, other in called.items()}


def choice_problems(
    names: Iterable[str],
    classes: Iterable[str] | None,
    merge: Mapping[str, str] | None,
    where: str,
    masked: Iterable[str] | None = None,
) -> Iterator[Problem]:
    """Warnings about names in `classes`, `merge` and `masked` that the file does not have."""
    known = list(dict.fromkeys(names))
    merged = set((merge or {}).values())
    chosen = [one for one in classes or () if one not in merged]
    for option, wanted in (("merge", merge or {}), ("classes", chosen), ("masked", masked or ())):
        for name in wanted:
            if name not in known:
                what = f"{option} has {name!r}, which no object is called here{nearest(name, known)}"
                yield Problem("warning", where, what, "Fine if another split has it.")


def similar_names(classes: Iterable[str], where: str) -> Iterator[Problem]:
    """A warning for each group of classes whose names differ in case, blanks, - and _ only."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        alike[re.sub(r"[\s_-]+", "", unicodedata.normalize("NFKC", name).casefold())].append(name)
    for group in alike.values():
        if len(group) > 1:
            what = f"the classes {', '.join(map(repr, group))} have names that are nearly the same"
            yield Problem("warning", where, what, _ONE_CLASS)
