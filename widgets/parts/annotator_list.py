"""The list of the pictures: which it has, how far they are, and the way from one to the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from widgets.parts.annotator_objects import name_of
from workbench.annotation.pictures import Pictures
from workbench.annotation.progress import BEGUN, DONE, LEFT_OUT, OPEN, Progress

SHOWN = ("all", OPEN, BEGUN, DONE, LEFT_OUT, "with problems")  #: which pictures the list has
LISTED = 40  #: pictures that are sent at a time


class PictureList:
    """The pictures as a worker sees them in a stage.

    Args:
        progress: how far they are.
        pictures: all there are.
        problems: by file name, see `annotator_problems.problems_of`.
    """

    def __init__(self, progress: Progress, pictures: Pictures, problems: Mapping[str, Any]):
        self.progress, self.pictures, self.problems = progress, pictures, problems

    def status(self, place: int, stage: str, worker: str) -> str:
        """How far a picture is."""
        return self.progress.of(self.pictures.names[place]).status(stage, worker)

    def places(self, show: str, having: str | None, stage: str, worker: str) -> list[int]:
        """The places of the pictures that the list has.

        Args:
            show: one of `SHOWN`.
            having: only pictures of which somebody has said that they have this category; None: any.
            stage: by which they are open, begun, done or left out,
            worker: and for whom.
        """
        places = range(len(self.pictures))
        if having is not None:
            names = self._with(having)
            places = [place for place in places if self.pictures.names[place] in names]
        if show == "all":
            return [*places]
        if show == "with problems":
            return [place for place in places if self.pictures.names[place] in self.problems]
        return [place for place in places if self.status(place, stage, worker) == show]

    def _with(self, category: str) -> set[str]:
        """The pictures with an annotation, an icon or a cross of a category."""
        coco = self.progress.store.coco
        entries = coco.annotations.values()
        images = {
            one.get("image_id") for one in entries if name_of(coco.categories, one.get("category_id")) == category
        }
        found = {str(coco.images[one].get("file_name")) for one in images if one in coco.images}
        for name in self.progress.touched():
            state = self.progress.of(name)
            if category in state.categories() or any(one.category == category for one in state.crosses):
                found.add(name)
        return found

    def seen(self, listed: list[int], picture: int, stage: str, worker: str) -> dict[str, Any]:
        """What the browser shows: the rows around a picture, the ways from it, and how far all pictures are."""
        at = listed.index(picture) if picture in listed else 0
        first = at // LISTED * LISTED
        counts = dict.fromkeys((OPEN, BEGUN, DONE, LEFT_OUT), 0)
        for name in self.progress.touched():
            if name in self.pictures.positions:
                counts[self.status(self.pictures.positions[name], stage, worker)] += 1
        counts[OPEN] += len(self.pictures) - sum(counts.values())
        rows = [self._row(place, stage, worker) for place in listed[first : first + LISTED]]
        return {
            "rows": rows, "first": first, "listed": len(listed), "at": at, "counts": counts,
            "total": len(self.pictures), "status": self.status(picture, stage, worker),
            "before": listed[at - 1] if at > 0 else None, "after": listed[at + 1] if at + 1 < len(listed) else None,
        }  # fmt: skip

    def _row(self, place: int, stage: str, worker: str) -> dict[str, Any]:
        name = self.pictures.names[place]
        status = self.status(place, stage, worker)
        return {"place": place, "name": name, "status": status, "problem": name in self.problems}
