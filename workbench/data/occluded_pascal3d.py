"""OccludedPASCAL3D+ (Wang et al. 2020): one object of 12 classes in each image, hidden by objects cut out of COCO.

A. Wang, Y. Sun, A. Kortylewski and A. Yuille, "Robust Object Detection under Occlusion with Context-Aware
CompositionalNets", CVPR 2020. The test images of PASCAL3D+ that come from ImageNet, with occluders that hide 20-40,
40-60 or 60-80 % of the object (FGL1 to FGL3) and 0-20, 20-40 or 40-60 % of all else (BGL1 to BGL3): nine levels of
about 10,000 images, of which any may be there. For each class and level there are a list (`lists/carFGL1_BGL1.txt`),
images and annotations (folders of that name in `images` and `annotations`, the latter as .npz). FGL0_BGL0, the same
images without occluders as `CreateL0.py` of its authors writes them, is read as well.

`boxes` are of the whole object, hidden parts too. Targets have `masks` (what is seen), `masks_amodal`,
`mask_occluder`, `boxes_visible` and `occlusion`, counted in pixels; `foreground_level` and `background_level` (0 to
3) are those of the list. Some images were sorted by the share of the box and not of the mask that is hidden, so
`occlusion` may lie outside the range of its level. The masks were kept as JPEG: they are where its grey is above 10.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torchvision import tv_tensors

from workbench.data.dataset import Dataset, make_target
from workbench.data.reading.boxes import too_thin
from workbench.data.reading.contents import ObjectsAtHand
from workbench.data.reading.images import read_image, stored_size
from workbench.data.reading.npz_files import read_npz
from workbench.data.reading.paths import DataRoot, read_text
from workbench.data.reading.picture_folder import PictureFolder, first_place
from workbench.data.reading.problems import Problem, raise_first
from workbench.errors import DataError, did_you_mean
from workbench.registry import DATASETS
from workbench.types import Target

CLASSES = ("aeroplane", "bicycle", "boat", "bottle", "bus", "car", "chair", "diningtable", "motorbike", "sofa",
           "train", "tvmonitor")  # fmt: skip
LEVELS = ("FGL0_BGL0", *(f"FGL{front}_BGL{back}" for front in (1, 2, 3) for back in (1, 2, 3)))
SOLID = 10  #: grey above which a pixel of an object's mask is the object's
_FIX = "Restore the file, or take the image off the list."


class _Image(NamedTuple):
    """An image of a list."""

    label: int
    level: int  #: place in `LEVELS`
    file: str  #: in `images`
    annotation: str  #: in `annotations`


@DATASETS.register("occluded-pascal3d")
class OccludedPascal3d(Dataset):
    """Objects of OccludedPASCAL3D+; see the module.

    Args:
        root: a folder that holds `images`, `annotations` and `lists`.
        split: "test"; there is no other.
        levels: which, such as ["FGL1_BGL1", "FGL2_BGL2"], in this order; None: all that are there.
        strict: raise DataError at the first error of the lists; False leaves out what is wrong and keeps the errors
            in `problems`.
        follow_links: also follow links that lead out of `root`.
    """

    benchmark = "occluded-pascal3d"

    def __init__(
        self,
        root: str | PathLike[str] | None,
        split: str = "test",
        *,
        levels: Iterable[str] | None = None,
        strict: bool = True,
        follow_links: bool = False,
    ):
        self.name, self.split, self.classes = "occluded-pascal3d", split, CLASSES
        self.root = DataRoot(root, self.name, follow_links=follow_links)
        if split != "test":
            raise DataError(f"split {split!r} does not exist; {self.name} has test (and levels=[…] for a part of it)")
        lists = first_place(self.root, ["lists", "OccludedPASCAL3D/lists"])
        if lists is None:
            raise DataError(f"{self.root.path}: this folder holds no lists")
        self._pictures = PictureFolder(self.root, lists.parent / "images")
        self._notes = PictureFolder(self.root, lists.parent / "annotations")
        problems: list[Problem] = []
        self._images = [
            image
            for level in _levels(lists, levels)
            for label, name in enumerate(CLASSES, start=1)
            for image in self._listed(lists, name, label, level, problems)
        ]
        if not self._images and not problems:
            raise DataError(f"{lists}: there is no list of these levels, such as {CLASSES[0]}FGL1_BGL1.txt")
        self.problems = tuple(problems)
        if strict:
            raise_first(self.problems, hint="load_data(…, strict=False) and the doctor list them all")

    def __len__(self) -> int:
        return len(self._images)

    def path(self, index: int) -> Path:
        return self._pictures.file(self.file_name(index))

    def file_name(self, index: int) -> str:
        return self._images[self._position(index)].file

    def image_id(self, index: int) -> int:
        return self._position(index) + 1

    def size(self, index: int) -> tuple[int, int]:
        return stored_size(self.path(index))

    def image(self, index: int) -> tv_tensors.Image:
        return read_image(self.path(index), upright=False)

    def objects_at_hand(self, indices: Sequence[int]) -> ObjectsAtHand:
        return ObjectsAtHand(np.array([self._images[index].label for index in indices], dtype=np.int64))

    def target(self, index: int) -> Target:
        """The target alone; the annotation is read, and no image decoded.

        Raises:
            DataError: the annotation cannot be read, or does not fit the image.
        """
        index = self._position(index)
        image, size = self._images[index], self.size(index)
        file = self._notes.file(image.annotation)
        found = read_npz(file, ("box", "mask", "occluder_mask"))
        whole, occluder = (_mask(found, key, size, file) for key in ("mask", "occluder_mask"))
        visible = whole & ~occluder
        area, seen = int(whole.sum()), int(visible.sum())
        front, back = (int(LEVELS[image.level][place]) for place in (3, 8))
        return make_target(
            image_id=index + 1,
            size=size,
            boxes=torch.from_numpy(_box(found, size, file)),
            labels=torch.tensor([image.label]),
            area=torch.tensor([seen]),
            occlusion=torch.tensor([1 - seen / area if area else torch.nan]),
            masks=torch.from_numpy(visible)[None],
            masks_amodal=torch.from_numpy(whole)[None],
            mask_occluder=torch.from_numpy(occluder),
            boxes_visible=torch.from_numpy(_around(visible)),
            more={"foreground_level": front, "background_level": back},
        )

    def _listed(self, lists: Path, name: str, label: int, level: str, problems: list[Problem]) -> Iterator[_Image]:
        """The images of a class and level that have their files."""
        folder = f"{name}{level}"
        file = self.root.followed(lists / f"{folder}.txt")
        seen = set()
        for number, line in enumerate(read_text(file).split("\n"), start=1) if file.exists() else ():
            entry, where = line.strip(), f"{file}: line {number}"
            if not entry:
                continue
            try:
                picture = self._pictures.find(f"{folder}/{entry}")
                note = self._notes.find(f"{folder}/{Path(entry).stem}.npz")
            except DataError as error:
                problems.append(Problem("error", where, str(error), _FIX))
                continue
            if picture is None or note is None:
                missing = f"{self._pictures.path}/{folder}/{entry}" if picture is None else f"annotation of {entry}"
                problems.append(Problem("error", where, f"there is no {missing}", _FIX))
            elif picture in seen:
                problems.append(Problem("warning", where, f"{entry} is listed twice", "It counts once."))
            else:
                seen.add(picture)
                yield _Image(label, LEVELS.index(level), picture, note)


def _levels(lists: Path, levels: Iterable[str] | None) -> list[str]:
    """The levels to read, which are those that are there where none are asked for.

    Raises:
        DataError: one does not exist, or is asked for twice.
    """
    asked = list(LEVELS) if levels is None else list(levels)
    for level in asked:
        if level not in LEVELS:
            raise DataError(f"level {level!r} does not exist{did_you_mean(level, LEVELS)}")
    if not asked or len(set(asked)) < len(asked):
        raise DataError(f"levels are {asked}; expected at least one of {', '.join(LEVELS)}, each of them once")
    if levels is not None:
        for level in asked:
            if not any((lists / f"{name}{level}.txt").exists() for name in CLASSES):
                raise DataError(f"{lists}: there is no list of level {level}, such as {CLASSES[0]}{level}.txt")
    return asked


def _mask(found: dict[str, np.ndarray], key: str, size: tuple[int, int], file: Path) -> np.ndarray:
    """A mask [H, W] bool of the image's size: of the object's grey above `SOLID`, of the occluder not 0."""
    values = found.get(key)
    if values is None or values.shape != size or values.dtype.kind not in "biuf":
        said = "is not there" if values is None else f"is {values.dtype} of shape {list(values.shape)}"
        raise DataError(f"{file}: its array {key} {said}; expected a mask of {list(size)}, as its image has")
    return values > (SOLID if key == "mask" and values.dtype != bool else 0)


def _box(found: dict[str, np.ndarray], size: tuple[int, int], file: Path) -> np.ndarray:
    """The box [1, 4] xyxy within the image, from y0, y1, x0, x1 (and the size of the image)."""
    values: Any = found.get("box")
    good = values is not None and values.size in (4, 6) and values.dtype.kind in "biuf"
    if not good or not np.isfinite(values := values.ravel().astype(np.float64)).all():
        said = "is not there" if values is None else f"is {values.tolist()}"
        raise DataError(f"{file}: its array box {said}; expected y0, y1, x0, x1 in pixels, and height and width")
    y0, y1, x0, x1 = values[:4]
    box = np.array([[x0, y0, x1, y1]]).clip(0, [size[1], size[0], size[1], size[0]])
    if too_thin(box)[0]:
        raise DataError(f"{file}: its box y {y0:g} to {y1:g}, x {x0:g} to {x1:g} is empty within its image")
    return box


def _around(mask: np.ndarray) -> np.ndarray:
    """The box [1, 4] xyxy around a mask [H, W]; zeros around none."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if len(rows) == 0:
        return np.zeros((1, 4))
    return np.array([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]], np.float64)
