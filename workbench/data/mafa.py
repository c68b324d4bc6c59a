"""MAFA (Ge et al. 2017): 30,811 images with 35,806 masked faces; a test set of AOFD (Chen et al. 2018).

Its annotations go round in two versions, and both are read:

- that of its authors, on which the published numbers are: `LabelTrainAll.mat` and `LabelTestAll.mat`. A face of the
  training images is a row of 21 numbers (box, eyes, box of the occluder, type and degree of the occlusion, sex, race,
  orientation, box of the glasses), all of them masked; one of the test images a row of 18 without the eyes, but with
  the type of the face. The same rows as text, each after the name of its image, are read, too (`.txt`);
- that of Ryumina et al. 2021 (`train_mafa_annotation.csv`, `test_mafa_annotation.csv`): all faces labelled anew, also
  the unmasked ones of the training images, but with a box and a class only, and none to be ignored.

Beside the usual keys, a target has `face_type` [N]: 1 masked, 2 unmasked, 3 ignored (blurred, deformed or below 32
pixels), which is `difficult` as well; `boxes_occluder` [N, 4] xyxy pixels of the image, without area where there is
none; `occluder_type` [N] int64 (1 simple, 2 complex, 3 a part of the body) and `occlusion_degree` [N] int64, how many
parts of the face are hidden; both are -1 where they are unknown.
"""

from __future__ import annotations

from os import PathLike

from workbench.data.listed_images import ListedImages
from workbench.data.reading.mafa_labels import read_mafa
from workbench.data.reading.paths import DataRoot
from workbench.data.reading.picture_folder import PictureFolder, first_place
from workbench.errors import DataError
from workbench.registry import DATASETS

SPLITS = ("train", "test")


@DATASETS.register("mafa")
class Mafa(ListedImages):
    """Faces of MAFA.

    Args:
        root: a folder that holds `train-images/images` or `test-images/images`, and the annotations.
        split: "train" or "test".
        labels: the file of the annotations in `root`; None: that of MAFA's authors, or else the other version.
        strict: raise DataError at the first error; False leaves out what is wrong and keeps the errors in `problems`.
        follow_links: also follow links that lead out of `root`.
    """

    def __init__(
        self,
        root: str | PathLike[str] | None,
        split: str = "train",
        *,
        labels: str | None = None,
        strict: bool = True,
        follow_links: bool = False,
    ):
        place = DataRoot(root, "mafa", follow_links=follow_links)
        if split not in SPLITS:
            raise DataError(f"split {split!r} does not exist; mafa has {', '.join(SPLITS)}")
        title = split.title()
        files = [f"Label{title}All.mat", f"Label{title}All.txt", f"{split}_mafa_annotation.csv"]
        folders = (f"MAFA-Label-{title}/", "", f"{split}/", f"{split}-images/")
        if labels is None:
            file = first_place(place, [folder + name for name in files for folder in folders])
        else:
            file = place.inside(place.path, labels)
        if file is None:
            raise DataError(f"{place.path}: this folder holds no MAFA-Label-{title}/{files[0]}, nor {files[2]}")
        images = first_place(place, [f"{split}-images/images", f"{split}-images", f"{split}/images", "images", "."])
        self.benchmark = "mafa" if split == "test" else None
        self.annotation_version = "of Ryumina et al. 2021" if file.suffix == ".csv" else "of MAFA's authors"
        super().__init__("mafa", split, PictureFolder(place, images or place.path), read_mafa(file), strict=strict)
