"""Tiny data sets on disk for the tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def picture(path: Path, height: int, width: int) -> None:
    """Write an image with some structure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(height * 1000 + width)
    Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)


def coco_content() -> dict[str, Any]:
    """Two images: the first (40 × 60) with a person, a hidden dog and a crowd, the second (30 × 20) empty."""
    person = [[10, 10, 30, 10, 30, 30, 10, 30]]
    dog = [[30, 12, 40, 12, 40, 28, 30, 28]]
    crowd = {"size": [40, 60], "counts": [40 * 50, 40 * 10]}  # the last ten columns
    return {
        "images": [
            {"id": 7, "file_name": "b.png", "height": 40, "width": 60},
            {"id": 3, "file_name": "a.png", "height": 30, "width": 20},
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 1, "bbox": [10, 10, 20, 20], "area": 400.0,
             "iscrowd": 0, "segmentation": person},
            {"id": 2, "image_id": 7, "category_id": 18, "bbox": [30, 12, 10, 16], "area": 160.0,
             "iscrowd": 0, "segmentation": dog},
            {"id": 3, "image_id": 7, "category_id": 1, "bbox": [50, 0, 10, 40], "area": 400.0,
             "iscrowd": 1, "segmentation": crowd},
        ],
    }  # fmt: skip


def write_coco(root: Path, content: Any, split: str = "train") -> Path:
    """A COCO folder; `content` may be a string that is written as it stands. Returns the root."""
    file = root / "annotations" / f"instances_{split}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    picture(root / split / "b.png", 40, 60)
    picture(root / split / "a.png", 30, 20)
    return root


OBJECT = """<object><name>{name}</name><difficult>{difficult}</difficult>{extra}
<bndbox><xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox></object>"""
PART = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"


def voc_object(name: str, *box: float | str, difficult: int = 0, part: bool = False) -> str:
    """The XML of one object; a part comes before its own box."""
    return OBJECT.format(*box, name=name, difficult=difficult, extra=PART if part else "")


def voc_xml(*objects: str, height: int = 40, width: int = 60, size: bool = True) -> str:
    """The XML of one image, with an owner who has a name."""
    sides = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>" if size else ""
    owner = "<owner><flickrid>x</flickrid><name>Jo &lt;b&gt;</name></owner>"
    return f"<annotation><filename>ignored.jpg</filename>{owner}{sides}{''.join(objects)}</annotation>"


def write_voc(folder: Path, files: dict[str, str], split: str = "train", height: int = 40, width: int = 60) -> Path:
    """A VOC folder with one image per XML file, all of one size. Returns the folder."""
    (folder / "Annotations").mkdir(parents=True, exist_ok=True)
    lists = folder / "ImageSets" / "Main"
    lists.mkdir(parents=True, exist_ok=True)
    (lists / f"{split}.txt").write_text("".join(f"{identity}\n" for identity in files))
    for identity, xml in files.items():
        (folder / "Annotations" / f"{identity}.xml").write_text(xml)
        picture(folder / "JPEGImages" / f"{identity}.jpg", height, width)
    return folder


def mat_cell(*values: Any) -> np.ndarray:
    """A cell [n, 1] for `scipy.io.savemat`."""
    made = np.empty((len(values), 1), dtype=object)
    for row, value in enumerate(values):
        made[row, 0] = value
    return made
