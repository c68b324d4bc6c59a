"""What a worker can do in the Annotator, one method each: checked, and then an action of the store."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from workbench.annotation.outlines import code_for, hidden_share
from workbench.annotation.pictures import Pictures
from workbench.annotation.progress import CLAIMS, MOST_CROSSES, STAGES, Progress
from workbench.annotation.store import AnnotationStore, Edit
from workbench.data.annotations import Id
from workbench.errors import DataError

MOST_POINTS = 10_000  #: of an outline
Rings = list[list[float]]  #: [[x1, y1, x2, y2, ...], ...] in pixels


class Acts:
    """The actions of one Annotator.

    Args:
        store: which they go to.
        progress: what they come to.
        pictures: which they are about.
        groups: category → super-category of the categories that may be used.
    """

    def __init__(self, store: AnnotationStore, progress: Progress, pictures: Pictures, groups: dict[str, str]):
        self.store, self.progress, self.pictures, self.groups = store, progress, pictures, groups
        self._by_name: dict[str, Callable[..., dict[str, Any]]] = {
            "verdict": self.verdict, "verdicts": self.verdicts, "label": self.label, "unlabel": self.unlabel,
            "group": self.group, "cross": self.cross, "uncross": self.uncross, "spotted": self.spotted,
            "segment": self.segment, "change": self.change, "delete": self.delete, "claim": self.claim,
            "paint": self.paint, "finish": self.finish, "reopen": self.reopen, "category": self.category,
        }  # fmt: skip

    def do(self, name: object, worker: str, stage: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a message asks for; what is known of it then.

        Raises:
            DataError: there is no such action, or it makes no sense.
        """
        if name not in self._by_name:
            raise DataError(f"there is no action {name!r:.40}; there are {', '.join(self._by_name)}")
        try:
            return self._by_name[str(name)](worker, stage, **values)
        except TypeError as error:  # other values than it takes
            raise DataError(f"{name}: {error}") from error

    # ---- any stage -------------------------------------------------------------------------------------------

    def finish(self, worker: str, stage: str, *, image: str) -> dict[str, Any]:
        """This worker has done the stage of a picture; one that has no object then comes into the file as such."""
        with self._about("finish", worker, stage, image) as edit:
            if stage == "segmentation":
                self._listed(edit, image)
        return {}

    def reopen(self, worker: str, stage: str, *, image: str) -> dict[str, Any]:
        """There is more to do in it: what this worker has said to be complete is not."""
        with self._about("reopen", worker, stage, image):
            return {}

    def category(self, worker: str, stage: str, *, name: str, supercategory: str = "") -> dict[str, Any]:
        """A new category."""
        if not isinstance(supercategory, str) or not isinstance(name, str) or not name.strip():
            raise DataError("a category has a name and a super-category, both texts")
        name, supercategory = name.strip(), supercategory.strip()
        with self.store.action("category", worker=worker, stage=stage, category=name) as edit:
            more = {"supercategory": supercategory} if supercategory else {}
            edit.add("category", name=name, **more)
        return {"category": name}

    # ---- collecting ------------------------------------------------------------------------------------------

    def verdict(self, worker: str, stage: str, *, image: str, iconic: bool) -> dict[str, Any]:
        """A picture is iconic, or is not."""
        with self._about("verdict", worker, "collecting", image, iconic=bool(iconic)):
            return {}

    def verdicts(self, worker: str, stage: str, *, images: Sequence[str]) -> dict[str, Any]:
        """The pictures of a page that nobody clicked away stay."""
        names = [self._known(name) for name in _list(images)]
        kept = [name for name in names if worker not in self.progress.of(name).verdicts]
        with self.store.action("verdicts", worker=worker, stage="collecting", images=kept):
            return {}

    # ---- labelling -------------------------------------------------------------------------------------------

    def label(self, worker: str, stage: str, *, image: str, category: str, point: Sequence[float]) -> dict[str, Any]:
        """A category is there, with its icon on one instance."""
        facts = {"category": self._category(category), "point": self._point(image, point)}
        with self._about("label", worker, "labelling", image, **facts):
            return {}

    def unlabel(self, worker: str, stage: str, *, image: str, category: str) -> dict[str, Any]:
        """This worker's icon of a category is taken away."""
        with self._about("unlabel", worker, "labelling", image, category=self._category(category)):
            return {}

    def group(self, worker: str, stage: str, *, image: str, supercategory: str) -> dict[str, Any]:
        """A super-category was looked through."""
        if supercategory not in self.groups.values():
            raise DataError(f"there is no super-category {supercategory!r:.60}")
        with self._about("group", worker, "labelling", image, supercategory=supercategory):
            return {}

    # ---- spotting --------------------------------------------------------------------------------------------

    def cross(self, worker: str, stage: str, *, image: str, category: str, point: Sequence[float]) -> dict[str, Any]:
        """A cross on an instance."""
        category, place = self._category(category), self._point(image, point)
        mine = [one for one in self.progress.of(image).crosses if (one.worker, one.category) == (worker, category)]
        if len([one for one in mine if not one.returned]) >= MOST_CROSSES:
            more = f"{MOST_CROSSES} {category} are marked; what is beyond is painted in the stage crowd"
            raise DataError(more)
        with self._about("cross", worker, "spotting", image, category=category, point=place):
            return {}

    def uncross(self, worker: str, stage: str, *, image: str, cross: str) -> dict[str, Any]:
        """A cross is taken away."""
        known = {one.id: one for one in self.progress.of(self._known(image)).crosses}
        if cross not in known:
            raise DataError("this cross is gone")
        with self._about("uncross", worker, "spotting", image, cross=cross, category=known[cross].category):
            return {}

    def spotted(self, worker: str, stage: str, *, image: str, category: str) -> dict[str, Any]:
        """All instances of a category have their cross."""
        with self._about("spotted", worker, "spotting", image, category=self._category(category)):
            return {}

    # ---- segmentation ----------------------------------------------------------------------------------------

    def segment(
        self, worker: str, stage: str, *, image: str, category: str, rings: Rings, amodal: Rings | None = None,
        seconds: float = 0.0, suggested: str = "",
    ) -> dict[str, Any]:  # fmt: skip
        """A new segment."""
        category, shape = self._category(category), self._shape(image, rings, amodal)
        facts = {"category": category, "seconds": _seconds(seconds), "suggested": str(suggested)[:80]}
        with self._about("segment", worker, "segmentation", image, **facts) as edit:
            listed = self._listed(edit, image)
            identity = edit.add(
                "annotation", image_id=listed, category_id=self._category_id(edit, category), iscrowd=False, **shape
            )
            edit.facts["annotation"] = identity
        return {"annotation": identity}

    def change(
        self, worker: str, stage: str, *, image: str, annotation: Id, seen: str, category: str, rings: Rings,
        amodal: Rings | None = None, seconds: float = 0.0,
    ) -> dict[str, Any]:  # fmt: skip
        """Another outline or category of a segment."""
        category, shape = self._category(category), self._shape(image, rings, amodal)
        gone = {key: None for key in ("segmentation_amodal", "bbox_amodal", "occlusion") if key not in shape}
        facts = {
            "category": category,
            "annotation": self._annotation(image, annotation),
            "seconds": _seconds(seconds),
        }
        with self._about("change", worker, "segmentation", image, **facts) as edit:
            self._listed(edit, image)
            values = {"category_id": self._category_id(edit, category), "iscrowd": 0, **shape, **gone}
            edit.change("annotation", annotation, seen=str(seen), **values)
        return {"annotation": annotation}

    def delete(self, worker: str, stage: str, *, image: str, annotation: Id, seen: str) -> dict[str, Any]:
        """A segment, or a crowd, is taken away."""
        facts = {"annotation": self._annotation(image, annotation)}
        with self._about("delete", worker, stage, image, **facts) as edit:
            edit.remove("annotation", annotation, seen=str(seen))
        return {}

    def claim(self, worker: str, stage: str, *, image: str, category: str, claim: str) -> dict[str, Any]:
        """There is none left to segment, or no such object at all."""
        if claim not in CLAIMS:
            raise DataError(f"there is no claim {claim!r:.40}; there are {', '.join(CLAIMS)}")
        with self._about("claim", worker, "segmentation", image, category=self._category(category), claim=claim):
            return {}

    # ---- crowd -----------------------------------------------------------------------------------------------

    def paint(
        self, worker: str, stage: str, *, image: str, category: str, counts: Sequence[int],
        annotation: Id | None = None, seen: str = "",
    ) -> dict[str, Any]:  # fmt: skip
        """The crowd of a category in a picture, as the lengths of runs down the columns; without a pixel it goes."""
        category, (height, width) = self._category(category), self.pictures.size(self._known(image))
        lengths = _list(counts)
        if len(lengths) > height * width + 1:
            raise DataError("the runs of a crowd are more than the pixels of the picture")
        segmentation = {"size": [height, width], "counts": lengths}
        code_for(segmentation, (height, width))  # a wrong one is refused before it is looked at more closely
        empty = not sum(lengths[1::2])
        if annotation is not None:
            self._annotation(image, annotation)
        elif empty:
            raise DataError("nothing was painted")
        with self._about("paint", worker, "crowd", image, category=category) as edit:
            listed = self._listed(edit, image)
            if annotation is None:
                about = {"image_id": listed, "category_id": self._category_id(edit, category)}
                annotation = edit.add("annotation", iscrowd=True, segmentation=segmentation, **about)
            elif empty:
                edit.remove("annotation", annotation, seen=str(seen))
            else:
                edit.change("annotation", annotation, seen=str(seen), segmentation=segmentation)
            edit.facts["annotation"] = annotation
        return {"annotation": annotation}

    # ---- parts -----------------------------------------------------------------------------------------------

    def _about(self, do: str, worker: str, stage: str, image: str, **facts: Any) -> Any:
        if stage not in STAGES:
            raise DataError(f"there is no stage {stage!r:.40}")
        return self.store.action(do, worker=worker, stage=stage, image=self._known(image), **facts)

    def _known(self, image: object) -> str:
        if not isinstance(image, str) or image not in self.pictures.positions:
            raise DataError(f"there is no picture {image!r:.80}")
        return image

    def _category(self, category: object) -> str:
        if not isinstance(category, str) or category not in self.groups:
            raise DataError(f"there is no category {category!r:.80}")
        return category

    def _category_id(self, edit: Edit, name: str) -> Id:
        found = next((one for one, entry in edit.coco.categories.items() if entry.get("name") == name), None)
        if found is not None:
            return found
        group = self.groups[name]
        return edit.add("category", name=name, **({"supercategory": group} if group else {}))

    def _listed(self, edit: Edit, image: str) -> Id:
        """The id of a picture in the file; it, and its size, come into it if they are not there."""
        height, width = self.pictures.size(image)
        for identity, entry in edit.coco.images.items():
            if entry.get("file_name") == image:
                stated = entry.get("height"), entry.get("width")
                if stated != (height, width):
                    if all(type(side) is int for side in stated) and edit.coco.annotations_of(identity):
                        raise DataError(
                            f"{image!r:.60} has {width} × {height} pixels, in the file {stated[1]} × {stated[0]}, "
                            "with annotations: they are of another picture; give that one, or remove them first"
                        )
                    edit.change("image", identity, height=height, width=width)
                return identity
        return edit.add("image", file_name=image, height=height, width=width)

    def _annotation(self, image: str, annotation: object) -> Id:
        entry = self.store.coco.annotations.get(annotation) if isinstance(annotation, int | str) else None
        if entry is None:
            raise DataError(f"annotation {annotation!r:.40} is gone; another worker has removed it")
        if self.store.coco.images[entry["image_id"]].get("file_name") != self._known(image):
            raise DataError(f"annotation {annotation!r:.40} is of another picture")
        return entry["id"]

    def _point(self, image: str, point: object) -> list[float]:
        height, width = self.pictures.size(self._known(image))
        values = _numbers(point)
        if len(values) != 2 or not (0 <= values[0] <= width and 0 <= values[1] <= height):
            raise DataError(f"{point!r:.60} is no point of a picture of {width} × {height} pixels")
        return [round(value, 1) for value in values]

    def _shape(self, image: str, rings: object, amodal: object) -> dict[str, Any]:
        """The keys of an annotation that its outlines make."""
        size = self.pictures.size(self._known(image))
        shape: dict[str, Any] = {"segmentation": checked_rings(rings, size)}
        if amodal is not None:
            whole = checked_rings(amodal, size)
            x, y = [value for ring in whole for value in ring[::2]], [value for ring in whole for value in ring[1::2]]
            shape["segmentation_amodal"] = whole
            shape["bbox_amodal"] = [min(x), min(y), round(max(x) - min(x), 2), round(max(y) - min(y), 2)]
            shape["occlusion"] = round(hidden_share(shape["segmentation"], whole, size), 4)
        return shape


def checked_rings(rings: object, size: tuple[int, int]) -> Rings:
    """Outlines as COCO's polygons within a picture of `size` (height, width), to a hundredth of a pixel.

    Raises:
        DataError: they are none, or cover nothing.
    """
    height, width = size
    good = []
    for ring in _list(rings):
        values = _numbers(ring)
        if len(values) < 6 or len(values) % 2 or len(values) > 2 * MOST_POINTS:
            raise DataError(f"an outline has {len(values) / 2:g} points; expected 3 to {MOST_POINTS:,}")
        limits = (width, height) * (len(values) // 2)
        good.append([round(min(max(value, 0.0), limit), 2) for value, limit in zip(values, limits, strict=True)])
    if not good:
        raise DataError("there is no outline; set three points or more")
    code_for(good, size)
    return good


def _list(value: object) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise DataError(f"expected a list, not {value!r:.60}")
    return list(value)


def _numbers(value: object) -> list[float]:
    numbers = _list(value)
    if not all(type(one) in (int, float) and math.isfinite(one) for one in numbers):
        raise DataError(f"expected numbers, not {value!r:.60}")
    return [float(one) for one in numbers]


def _seconds(value: object) -> float:
    number = value if type(value) in (int, float) and math.isfinite(value) else 0.0
    return round(min(max(float(number), 0.0), 86_400.0), 1)
