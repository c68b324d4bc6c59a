"""Several data sets as one, each with what it knows: masks here, boxes there.

A detector learns from each image what its target says; a branch that has no labels in some learns nothing from those
(`Branch.needs_every_image`). A stage of a recipe can take the images of some sources: `stages: [{sources: ...}]`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from workbench.data.dataset import Dataset, Subset, View
from workbench.data.reading.contents import ObjectsAtHand, joined
from workbench.errors import DataError, did_you_mean
from workbench.registry import DATASETS
from workbench.types import Target


@runtime_checkable
class HasSources(Protocol):
    """Data with the option `sources`, some of which a stage of the training can learn from."""

    def positions(self, sources: list[str]) -> list[int]:
        """Indices of the images of some sources, ascending."""
        ...


@DATASETS.register("mixed")
class Mixed(View):
    """The images of several data sets with the same classes, one data set after another.

    Image ids are counted from 1 anew, since those of the sources may be the same.

    Args:
        split: of the sources that say none.
        sources: by a name of one's own, the arguments of `load_data`: {"name": ..., "split", "root", "options"}.

    Raises:
        DataError: there are no sources, or their classes or what can be learned from them differ.
    """

    def __init__(self, split: str = "train", *, sources: dict[str, dict[str, Any]]):
        from workbench.data import load_section  # late, as that module lists the data sets

        if not sources:
            raise DataError("mixed.sources is empty; give at least one, as {faces: {name: wider-face, root: ...}}")
        places = {key: f"mixed.sources.{key}" for key in sources}
        self.parts = {key: load_section(sources[key], split, place=place) for key, place in places.items()}
        parts = list(self.parts.values())
        self.name, self.split = " + ".join(dict.fromkeys(part.name for part in parts)), split
        self.classes = parts[0].classes
        for key, part in self.parts.items():
            if part.classes != self.classes or part.task != "detection":
                first = next(iter(self.parts))
                what = f"{part.task} with the classes {list(part.classes)}"
                raise DataError(
                    f"mixed.sources.{key}: {part.name} is {what}; expected detection with those of {first}, "
                    f"{list(self.classes)} (options such as single_class and merge change them)"
                )
        self.problems = tuple(problem for part in parts for problem in part.problems)
        self.occlusion_is_estimate = any(part.occlusion_is_estimate for part in parts)
        self.annotated = all(part.annotated for part in parts)
        self.mirrors = all(part.mirrors for part in parts)  # type: ignore[misc]
        self._ends = np.cumsum([len(part) for part in parts])

    @classmethod
    def described(cls, options: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
        """Its sources."""
        return {f"sources.{key}": section for key, section in options["sources"].items()}

    def __len__(self) -> int:
        return int(self._ends[-1])

    def _place(self, index: int) -> tuple[Dataset, int]:
        position = self._position(index)
        number = int(np.searchsorted(self._ends, position, side="right"))
        part = list(self.parts.values())[number]
        return part, position - int(self._ends[number]) + len(part)

    def target(self, index: int) -> Target:
        """What its source knows of an image, with an `image_id` of the whole."""
        target = super().target(index)
        target["image_id"] = self.image_id(index)
        return target

    def image_id(self, index: int) -> int:
        """Counted from 1 over all sources."""
        return self._position(index) + 1

    def objects_at_hand(self, indices: Sequence[int]) -> ObjectsAtHand | None:
        """Those of its sources, one source after another."""
        chosen = np.asarray(indices, dtype=np.int64)
        owner, starts = np.searchsorted(self._ends, chosen, side="right"), [0, *self._ends.tolist()]
        return joined(
            [
                part.objects_at_hand((chosen[owner == number] - starts[number]).tolist())
                for number, part in enumerate(self.parts.values())
            ]
        )

    def annotation_ids(self, index: int) -> None:
        """None: those of the sources may be the same."""

    def file_name(self, index: int) -> str:
        """With the name of the source as its folder, since those of the sources may be the same."""
        part, place = self._place(index)
        return f"{self._key_of(part)}/{part.file_name(place)}"

    def image_name(self, index: int) -> str:
        """Likewise."""
        part, place = self._place(index)
        return f"{self._key_of(part)}/{part.image_name(place)}"

    def _key_of(self, part: Dataset) -> str:
        return next(key for key, one in self.parts.items() if one is part)

    def positions(self, sources: list[str]) -> list[int]:
        """Indices of the images of some sources, ascending.

        Raises:
            DataError: there is no such source.
        """
        for name in sources:
            if name not in self.parts:
                raise DataError(f"the data have no source {name!r}{did_you_mean(name, list(self.parts))}")
        starts = dict(zip(self.parts, [0, *self._ends.tolist()], strict=False))
        return [start + i for key, start in starts.items() if key in sources for i in range(len(self.parts[key]))]


def parts_of(data: Dataset) -> list[Dataset]:
    """The sources of mixed data, or the data themselves."""
    return list(data.parts.values()) if isinstance(data, Mixed) else [data]


def of_sources(data: Dataset, sources: list[str] | None) -> Dataset:
    """The images of some sources of mixed data, which may have proposals as well; None: all.

    Raises:
        DataError: these are no mixed data, or there is no such source.
    """
    if sources is None:
        return data
    whole = data
    while isinstance(whole, Subset) and len(whole.whole) == len(whole):  # such as data with proposals
        whole = whole.whole
    if not isinstance(whole, HasSources):
        raise DataError(f"{data.name} has no sources: only mixed data have (data: {{name: mixed}})")
    return data.subset(whole.positions(sources))
