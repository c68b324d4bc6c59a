"""Where the files of a VOC folder lie: lists of ids, and the XML file and image of each id."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from workbench.data.reading.images import ENDINGS
from workbench.data.reading.paths import DataRoot, read_text
from workbench.data.reading.problems import Problem
from workbench.errors import DataError, did_you_mean

# fmt: off
CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)
# fmt: on
FLAGS = ("-1", "0", "1")  #: what VOC's lists of one class say of each id
_FIRST = (".jpg", ".jpeg", ".png")
IMAGE_ENDINGS = (*_FIRST, *(one.upper() for one in _FIRST), *ENDINGS, *(one.upper() for one in ENDINGS), "")


@dataclass(frozen=True)
class VocFolder:
    """A folder with Annotations, JPEGImages and ImageSets/Main."""

    root: DataRoot  #: of the data; links stay within it
    path: Path

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> VocFolder:
        """A folder that is a root itself."""
        root = DataRoot(path, "voc")
        return cls(root, root.path)

    def xml(self, identity: str) -> Path:
        """The annotation of an id.

        Raises:
            DataError: the id leads out.
        """
        return self.root.inside(self.path / "Annotations", identity + ".xml")

    def image(self, identity: str) -> Path:
        """The image of an id; with the ending .jpg if there is none.

        Raises:
            DataError: the id leads out.
        """
        folder = self.path / "JPEGImages"
        for ending in IMAGE_ENDINGS:
            if os.path.isfile(f"{folder}/{identity}{ending}"):
                return self.root.inside(folder, identity + ending)
        known = (self.root.inside(folder, identity + ending) for ending in IMAGE_ENDINGS)
        return next((path for path in known if os.path.isfile(path)), folder / f"{identity}.jpg")

    def ids(self, split: str) -> tuple[list[str], list[Problem]]:
        """The ids in ImageSets/Main/split.txt, in its order and each once, and what is wrong with the list.

        A line is an id; in VOC's lists of one class a flag follows. Endings of images and of XML are taken off.

        Raises:
            DataError: there is no such file, or it cannot be read.
        """
        file = self.root.inside(self.path / "ImageSets" / "Main", f"{split}.txt")
        if not file.exists():
            lists = sorted(path.stem for path in file.parent.glob("*.txt"))
            there = [name for name in lists if name.rpartition("_")[0] not in CLASSES]  # VOC has lists by class, too
            raise DataError(f"{file} does not exist, so there is no split {split!r}{did_you_mean(split, there)}")
        listed, problems = [], []
        for number, line in enumerate(read_text(file).split("\n"), start=1):
            if not line.strip():
                continue
            try:
                listed.append(self._id(line.strip()))
            except DataError as error:
                fix = "List names of XML files in Annotations, without their ending."
                problems.append(Problem("error", f"{file}: line {number}", str(error), fix))
        unique = list(dict.fromkeys(listed))
        if len(unique) < len(listed):
            what = f"{len(listed) - len(unique)} ids are listed twice"
            problems.append(Problem("error", str(file), what, "List each image once."))
        return unique, problems

    def _id(self, line: str) -> str:
        """The id that a line means: the line itself, unless only a part of it has an XML file."""
        head, _, flag = line.replace("\t", " ").rpartition(" ")
        shorter = [line[: len(head)].rstrip()] if flag in FLAGS and head.strip() else []
        shorter += [os.path.splitext(line)[0]] if line.lower().endswith((*ENDINGS, ".xml")) else []
        if not shorter and not set(line) & {"/", "\\", "\0"}:
            return line  # most, and at once
        if os.path.isfile(self.xml(line)):
            return line
        return next((one for one in shorter if os.path.isfile(self.xml(one))), line)
