"""Annotation files of real size with made-up content: COCO's training set and VOC's 07+12, without their images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

CATEGORIES = 80
COCO_IMAGES, COCO_OBJECTS = 118_000, 860_000
VOC_IMAGES = 16_551
VOC_NAMES = ("person", "car", "dog", "chair", "bottle")


def make_coco(root: Path, *, images: int = COCO_IMAGES, objects: int = COCO_OBJECTS, seed: int = 0) -> Path:
    """Write `root/annotations/instances_train.json`, 400 MB at full size, and an empty folder of images.

    Objects are polygons of 6 to 40 corners around an ellipse, in the random order of images that COCO has, too;
    1 % are crowds (RLE). Returns the file.
    """
    rng = np.random.default_rng(seed)
    file = root / "annotations" / "instances_train.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    (root / "train").mkdir(exist_ok=True)
    ids = rng.choice(600_000, images, replace=False) + 1
    sizes = rng.choice([[480, 640], [640, 480], [427, 640], [640, 640]], images, p=[0.5, 0.2, 0.2, 0.1])
    order = rng.integers(0, images, objects)
    with file.open("w", encoding="utf-8") as out:
        out.write('{"info": {"description": "made up"}, "licenses": [], "images": ')
        json.dump([_image(*row) for row in zip(ids.tolist(), sizes.tolist(), strict=True)], out)
        out.write(', "annotations": [')
        for number, place in enumerate(order.tolist(), start=1):
            entry = _object(rng, number, int(ids[place]), *sizes[place].tolist())
            out.write(("" if number == 1 else ", ") + json.dumps(entry))
        out.write('], "categories": ')
        json.dump([{"id": number, "name": f"class {number}"} for number in range(1, CATEGORIES + 1)], out)
        out.write("}")
    return file


def _image(identity: int, size: list[int]) -> dict:
    name = f"{identity:012d}.jpg"
    url = f"http://images.example.org/train/{name}"
    return {"license": 1, "file_name": name, "coco_url": url, "height": size[0], "width": size[1], "id": identity}


def _object(rng: np.random.Generator, number: int, image_id: int, height: int, width: int) -> dict:
    x, y = rng.uniform(5, width - 40), rng.uniform(5, height - 40)
    radii = np.minimum(rng.lognormal(3.3, 0.9, 2), [(width - x) / 2 - 1, (height - y) / 2 - 1]).clip(3)
    if number % 100 == 0:
        left, rows = int(x), int(height - y)
        counts = [left * height, rows, height - rows, rows, height * (width - left - 2) + height - rows]
        segmentation, crowd = {"size": [height, width], "counts": counts}, 1
    else:
        corners = int(rng.integers(6, 41))
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
        circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        points = np.round(np.array([x, y]) + radii * (1 + circle * rng.uniform(0.7, 1, (corners, 1))), 2)
        segmentation, crowd = [points.ravel().tolist()], 0
    box = [round(float(value), 2) for value in (x, y, 2 * radii[0], 2 * radii[1])]
    category = int(rng.integers(1, CATEGORIES + 1))
    return {
        "segmentation": segmentation, "area": round(float(np.pi * radii.prod()), 4), "iscrowd": crowd,
        "image_id": image_id, "bbox": box, "category_id": category, "id": 900_000 + number,
    }  # fmt: skip


def make_voc(root: Path, *, images: int = VOC_IMAGES, seed: int = 0) -> Path:
    """Write `root/Annotations/*.xml` and the list `trainval`, 3 objects an image, and an empty folder of images."""
    rng = np.random.default_rng(seed)
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    names = [f"2008_{number:06d}" for number in range(images)]
    (root / "ImageSets" / "Main" / "trainval.txt").write_text("".join(f"{name}\n" for name in names))
    for name in names:
        (root / "Annotations" / f"{name}.xml").write_text(_xml(rng, name))
    return root


def _xml(rng: np.random.Generator, name: str) -> str:
    objects = ""
    for x, y, width, height, label in rng.integers(1, [300, 200, 190, 160, len(VOC_NAMES)], (3, 5)).tolist():
        objects += (
            f"\t<object>\n\t\t<name>{VOC_NAMES[label]}</name>\n\t\t<pose>Unspecified</pose>\n"
            "\t\t<truncated>0</truncated>\n\t\t<occluded>0</occluded>\n\t\t<difficult>0</difficult>\n"
            f"\t\t<bndbox>\n\t\t\t<xmin>{x}</xmin>\n\t\t\t<ymin>{y}</ymin>\n\t\t\t<xmax>{x + width}</xmax>\n"
            f"\t\t\t<ymax>{y + height}</ymax>\n\t\t</bndbox>\n\t</object>\n"
        )
    return (
        f"<annotation>\n\t<folder>VOC2012</folder>\n\t<filename>{name}.jpg</filename>\n\t<source>\n"
        "\t\t<database>The VOC2008 Database</database>\n\t\t<annotation>PASCAL VOC2008</annotation>\n"
        "\t\t<image>flickr</image>\n\t</source>\n\t<size>\n\t\t<width>500</width>\n\t\t<height>375</height>\n"
        f"\t\t<depth>3</depth>\n\t</size>\n\t<segmented>0</segmented>\n{objects}</annotation>\n"
    )
