"""Views of another data set, named by an option, that change what it shows or says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.data.dataset import Dataset, ViewOfOne, evenly_spaced
from workbench.errors import DataError


class Altered(ViewOfOne):
    """Images of the data set that `of` names; a subclass changes images or targets, and has the option `of`.

    Args:
        of: the other data set, as arguments of `load_data`: {"name": ..., "split", "root", "options"}.
        split: of the other data set, unless `of` says one.
        images: only so many of its images, evenly spaced; None: all.
        things: what its boxes are of, for messages.

    Raises:
        DataError: data that cannot be read, or without boxes; names the option.
    """

    def __init__(self, of: dict[str, Any], split: str, images: int | None, *, things: str = "objects"):
        from workbench.data import load_section  # late, as that module lists the data sets

        whole = load_section(of, split, place=f"{self.kind}.of")
        self.whole = whole if images is None else whole.subset(evenly_spaced(len(whole), images))
        if whole.task != "detection":
            raise DataError(f"{self.kind}.of: {whole.name} has no boxes of {things}; name data with boxes")
        self.name, self.split, self.classes = self.kind, whole.split, whole.classes
        self.problems, self.voc_year, self.annotated = whole.problems, whole.voc_year, whole.annotated
        self.occlusion_is_estimate = whole.occlusion_is_estimate
        self.mirrors = whole.mirrors  # type: ignore[misc]

    @classmethod
    def described(cls, options: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
        """The other data set."""
        return {"of": options["of"]}

    def __len__(self) -> int:
        return len(self.whole)

    def _place(self, index: int) -> tuple[Dataset, int]:
        return self.whole, self._position(index)
