"""CrowdHuman (Shao et al. 2018): 19,370 images of crowds with 23 people each, and which part of each can be seen.

The annotations are `annotation_train.odgt` and `annotation_val.odgt` (see `reading/crowdhuman_lines.py`), of which
there is one version; those of the test images are not public. Pictures lie in `Images`, or in the folders that the
five archives unpack to.

`boxes` are the full bodies, hidden parts too, clipped to the image; people whose whole box lies outside of it are
left out. Beside the usual keys, a target has `boxes_full` [N, 4], not clipped; `boxes_visible` and `boxes_head`
[N, 4], without area where there is none. `occlusion` is 1 - area of the visible box / area of the full one, so that
what the edge of the image cuts off counts as hidden. `iscrowd` are regions with the tag "mask" (crowds, reflections,
statues) and people with `ignore` in `extra`: neither found nor missed, whatever of them a detection covers.
"""

from __future__ import annotations

from os import PathLike

from workbench.data.listed_images import ListedImages
from workbench.data.reading.crowdhuman_lines import Part, read_crowdhuman
from workbench.data.reading.paths import DataRoot
from workbench.data.reading.picture_folder import PictureFolder, first_place
from workbench.errors import DataError
from workbench.registry import DATASETS

SPLITS = ("train", "val")
VERSIONS: dict[Part, str] = {"full": "of full bodies", "visible": "of visible parts", "head": "of heads"}
ARCHIVES = {"train": ("CrowdHuman_train01", "CrowdHuman_train02", "CrowdHuman_train03"), "val": ("CrowdHuman_val",)}


@DATASETS.register("crowdhuman")
class CrowdHuman(ListedImages):
    """People of CrowdHuman.

    Args:
        root: a folder that holds `annotation_train.odgt` or `annotation_val.odgt`, and `Images`.
        split: "train" or "val".
        part: what is to be found of a person: the "full" body, its "visible" part or the "head"; with "head", heads
            with `ignore` in `head_attr` are `iscrowd`, too.
        strict: raise DataError at the first error; False leaves out what is wrong and keeps the errors in `problems`.
        follow_links: also follow links that lead out of `root`.
    """

    benchmark = "crowdhuman"
    clips = False  # full bodies are meant to reach out of their image

    def __init__(
        self,
        root: str | PathLike[str] | None,
        split: str = "train",
        *,
        part: Part = "full",
        strict: bool = True,
        follow_links: bool = False,
    ):
        place = DataRoot(root, "crowdhuman", follow_links=follow_links)
        if split not in SPLITS:
            test = "; the annotations of the test images are not public" if split == "test" else ""
            raise DataError(f"split {split!r} does not exist; crowdhuman has {', '.join(SPLITS)}{test}")
        name = f"annotation_{split}.odgt"
        file = first_place(place, [f"{folder}{name}" for folder in ("", "annotations/", "Annotations/", f"{split}/")])
        if file is None:
            raise DataError(f"{place.path}: this folder holds no {name}")
        self.annotation_version = VERSIONS[part]
        pictures = PictureFolder(place, place.path, _folders(place, split))
        super().__init__("crowdhuman", split, pictures, read_crowdhuman(file, part), strict=strict)


def _folders(root: DataRoot, split: str) -> list[str]:
    """Where in the root the pictures may lie, which people keep in several folders."""
    within = [f"{archive}/Images" for archive in ARCHIVES[split]] + list(ARCHIVES[split])
    usual = ["Images", f"Images/{split}", f"{split}/Images", f"images/{split}", f"{split}/images", "images", split]
    found = [name for name in (*usual, *within) if first_place(root, [name]) is not None]
    if not found:
        raise DataError(f"{root.path}: this folder holds no Images, nor {within[0]}")
    return found
