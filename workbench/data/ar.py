"""AR faces with real occlusion, sunglasses and scarves (Martinez & Benavente 1998), as in Cen et al. 2021, sec. 4.2.

Files are named SEX-SUBJECT-NUMBER, such as `m-001-08.bmp`: 13 images of each of two sessions, of which 1-7 (14-20)
are not occluded, 8-10 (21-23) have sunglasses, 11-13 (24-26) a scarf; 8, 11, 21, 24 are lit evenly ("neutral").

Training: the images without occlusion of the first session. Pairs: in the first session of 5 men and 5 women, each
image without occlusion with each occluded one of the same subject. Test: the occluded images of the first session of
all others, and of the second session of all.
"""

from __future__ import annotations

import re
from collections import defaultdict
from os import PathLike
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from workbench.data.labelled_images import Photographs, whole_image_target
from workbench.data.pairs import PairSet
from workbench.data.reading.images import ENDINGS, is_picture
from workbench.data.reading.paths import DataRoot
from workbench.errors import DataError
from workbench.options import Count, Number
from workbench.registry import DATASETS
from workbench.types import Target

NAME = re.compile(r"([mw])-?(\d{1,3})-(\d{1,2})", re.IGNORECASE)
SPLITS = ("train", "test")
#: `pattern` of the numbers of an image within its session; 0 = not occluded.
PATTERN_NUMBERS = {8: 1, 9: 2, 10: 2, 11: 3, 12: 4, 13: 4}
COLUMNS = {
    "clean": (0,), "sunglasses_neutral": (1,), "sunglasses": (1, 2), "scarf_neutral": (3,), "scarf": (3, 4),
    "occluded": (1, 2, 3, 4),
}  # fmt: skip


class _Face(NamedTuple):
    path: Path
    subject: str
    session: int  #: 1 or 2
    pattern: int  #: see `PATTERN_NUMBERS`


@DATASETS.register("ar")
class ArFaces(Photographs):
    """Faces of AR, one class for each person.

    Args:
        root: a folder that holds the pictures.
        split: "train" or "test".
        size: height and width in pixels.
        training_set: "C" trains on faces that are not occluded, "F" also on the occluded ones of the pairs.
        pair_subjects: how many men and how many women give pairs.
        seed: which ones.
        follow_links: also read files that links out of `root` lead to.
    """

    takes_occlusion_plan = False
    occludes = True
    columns = COLUMNS

    def __init__(
        self,
        root: str | PathLike[str] | None,
        split: str = "train",
        *,
        size: Count = 112,
        training_set: Literal["C", "F"] = "C",
        pair_subjects: Number = 5,
        seed: Number = 0,
        follow_links: bool = False,
    ):
        place = DataRoot(root, "ar", follow_links=follow_links)
        if split not in SPLITS:
            raise DataError(f"split {split!r} does not exist; ar has {', '.join(SPLITS)}")
        faces = _read(place)
        subjects = sorted({face.subject for face in faces})
        paired = _draw(subjects, pair_subjects, seed)
        if split == "train":
            also = paired if training_set == "F" else set()
            chosen = [f for f in faces if f.session == 1 and (not f.pattern or f.subject in also)]
        else:
            chosen = [f for f in faces if f.pattern and (f.session == 2 or f.subject not in paired)]
        self._take(split, subjects, chosen, size)
        if split == "train":
            self.pairs = _pairs([f for f in faces if f.session == 1 and f.subject in paired], subjects, size)

    def _take(self, split: str, subjects: list[str], faces: list[_Face], size: int) -> None:
        labels = [subjects.index(face.subject) + 1 for face in faces]
        super().__init__("ar", split, subjects, [face.path for face in faces], labels, size=size)
        self.pattern_numbers = np.array([face.pattern for face in faces], dtype=np.int64)

    def target(self, index: int) -> Target:
        """Label, pattern of occlusion and box of the whole image; `occlusion` is 0 or unknown (NaN)."""
        index = self._position(index)
        return whole_image_target(
            image_id=index, size=self.size(index), label=int(self.labels[index]),
            pattern=int(self.pattern_numbers[index]), hidden=float("nan") if self.pattern_numbers[index] else 0.0,
        )  # fmt: skip


def _of(split: str, subjects: list[str], faces: list[_Face], size: int) -> ArFaces:
    made = ArFaces.__new__(ArFaces)
    made._take(split, subjects, faces, size)
    return made


def _pairs(faces: list[_Face], subjects: list[str], size: int) -> PairSet:
    clean, hidden = ([f for f in faces if bool(f.pattern) is occluded] for occluded in (False, True))
    index = [(i, j) for i, one in enumerate(clean) for j, two in enumerate(hidden) if one.subject == two.subject]
    plain, occluded = (_of("pairs", subjects, side, size) for side in (clean, hidden))
    return PairSet(plain, occluded, np.array(index, dtype=np.int64).reshape(-1, 2))


def _read(root: DataRoot) -> list[_Face]:
    faces: dict[tuple[str, int], _Face] = {}
    for path in sorted(root.files(root.path)):
        match = NAME.search(path.stem)
        if match and 1 <= int(match[3]) <= 26 and (path.suffix.lower() in ENDINGS or is_picture(path)):
            session, number = divmod(int(match[3]) - 1, 13)
            subject = f"{match[1].lower()}-{int(match[2]):03d}"
            face = _Face(path, subject, session + 1, PATTERN_NUMBERS.get(number + 1, 0))
            first = faces.setdefault((subject, int(match[3])), face)
            if first is not face:
                raise DataError(f"{path}: this face is also {first.path}; keep one of them, as each counts once")
    if not faces:
        raise DataError(
            f"{root.path}: no faces named like m-001-08.bmp or w-001-08.bmp were found; expected AR's files"
        )
    return list(faces.values())


def _draw(subjects: list[str], number: int, seed: int) -> set[str]:
    by_sex: dict[str, list[str]] = defaultdict(list)
    for subject in subjects:
        by_sex[subject[0]].append(subject)
    drawn: set[str] = set()
    for sex, own in sorted(by_sex.items()):
        if number > len(own):
            raise DataError(f"ar: pair_subjects is {number}, but there are {len(own)} subjects with sex {sex}")
        order = np.random.default_rng([seed, ord(sex)]).permutation(len(own))
        drawn |= {own[place] for place in order[:number]}
    return drawn
