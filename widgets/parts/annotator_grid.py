"""The grid of the verification: which segments a worker judges, the known bad ones among them, and what follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from widgets.parts.annotator_objects import name_of, tile
from workbench.annotation.outlines import mask_for
from workbench.annotation.pictures import Pictures
from workbench.annotation.progress import Progress
from workbench.annotation.stages import GRID, KNOWN_BAD, verdict
from workbench.annotation.store import AnnotationStore
from workbench.annotation.verification import passes, planted, spoil, to_judge
from workbench.data.annotations import Id
from workbench.errors import DataError, WorkbenchError


@dataclass(frozen=True)
class Tile:
    """A segment in the grid."""

    annotation: Id
    seen: str  #: the action that had last changed it
    bad: bool  #: a known bad one: spoilt for the grid
    picture: bytes  #: JPEG
    category: str


class Grid:
    """The segments that a worker is to judge now; a new one is made after each job.

    Args:
        store: whose segments they are.
        progress: who has judged what.
        pictures: which they are in.
        worker: who judges.
        seed: of which segments are spoilt, and where they lie.
    """

    def __init__(self, store: AnnotationStore, progress: Progress, pictures: Pictures, worker: str, seed: int):
        self.store, self.progress, self.pictures, self.worker = store, progress, pictures, worker
        generator = np.random.default_rng(seed)
        self.segments = {one: progress.drawer(one) for one, entry in store.coco.annotations.items() if _judged(entry)}
        chosen = to_judge(self.segments, progress.votes(), worker, GRID - KNOWN_BAD)
        good = [made for one in chosen if (made := self._tile(one, None)) is not None]
        others = [one for one in self.segments if one not in chosen] or chosen
        bad: list[Tile] = []
        for one in generator.permutation(len(others)).tolist() if good else []:
            made = self._tile(others[one], generator) if len(bad) < planted(len(good)) else None
            bad += [] if made is None else [made]
        tiles = [*good, *bad]
        self.tiles = [tiles[place] for place in generator.permutation(len(tiles)).tolist()]

    def _tile(self, annotation: Id, generator: np.random.Generator | None) -> Tile | None:
        """A segment as it is, or spoilt; None where its picture cannot be read."""
        entry = self.store.coco.annotations[annotation]
        listed = self.store.coco.images[entry["image_id"]]
        try:
            image = self.pictures.image(listed["file_name"])
            mask = mask_for(entry["segmentation"], tuple(image.shape[-2:]))
        except (WorkbenchError, OSError, KeyError):
            return None
        if not mask.any():
            return None
        shown = mask if generator is None else spoil(mask, generator)
        name = name_of(self.store.coco.categories, entry["category_id"])
        seen = self.store.changed_by.get(annotation, "")
        return Tile(annotation, seen, generator is not None, tile(image, shown, mask), name)

    def judge(self, chosen: list[int]) -> dict[str, Any]:
        """Take the tiles that the worker found bad, by place; whether the job counts, and what became of segments.

        Raises:
            DataError: there is nothing to judge, or a tile that is not there.
        """
        if not self.tiles or not all(type(one) is int and 0 <= one < len(self.tiles) for one in chosen):
            raise DataError("there is no such segment in the grid")
        known = [place for place, one in enumerate(self.tiles) if one.bad]
        found = len(set(chosen) & set(known))
        passed = passes(len(known), found)
        real = {place: one for place, one in enumerate(self.tiles) if not one.bad}
        lists = {"good": [one.annotation for place, one in real.items() if place not in chosen]}
        lists["bad"] = [one.annotation for place, one in real.items() if place in chosen]
        seen = {str(one.annotation): one.seen for one in real.values()}
        facts = {"planted": len(known), "found": found, "passed": passed, "seen": seen}
        kept: list[Id] = []
        returned: list[dict[str, Any]] = []
        with self.store.action("judge", worker=self.worker, stage="verification", **lists, **facts) as edit:
            self.progress.follow()  # what others did since the grid was made
            votes = self.progress.votes() if passed else {}
            for place, one in real.items() if passed else ():
                if self.store.changed_by.get(one.annotation, "") != one.seen:
                    continue
                if one.annotation not in self.store.coco.annotations:
                    continue
                all_votes = [*({**votes.get(one.annotation, {}), self.worker: place not in chosen}).values()]
                result = verdict([not good for good in all_votes]).state
                kept += [one.annotation] if result == "kept" else []
                if result == "back":
                    returned.append(self._back(one))
                    edit.remove("annotation", one.annotation)
            edit.facts |= {"returned": returned, "images": sorted({one["image"] for one in returned})}
        return {**facts, "kept": len(kept), "rejected": len(returned), "judged": len(real)}

    def _back(self, one: Tile) -> dict[str, Any]:
        """The instance of a segment that is discarded: back in the pool, with a point on it."""
        entry = self.store.coco.annotations[one.annotation]
        name = self.store.coco.images[entry["image_id"]]["file_name"]
        mask = mask_for(entry["segmentation"], self.pictures.size(name))
        depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        return {"image": name, "category": one.category, "point": [float(x), float(y)]}


def _judged(entry: dict[str, Any]) -> bool:
    return bool(entry.get("segmentation")) and not entry.get("iscrowd")
