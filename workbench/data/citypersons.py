"""CityPersons (Zhang et al. 2017): pedestrians in the 5,000 street scenes of Cityscapes, and what is seen of each.

The annotations are read in either of two forms, which hold the same (see `reading/citypersons_files.py`): those of
its authors (`annotations/anno_train.mat`, `anno_val.mat`) or those that Cityscapes hands out (`gtBboxCityPersons`).
Those of the test images are not public. Images are numbered from 1 in the order of the cities and their files, as in
`val_gt.json` of its evaluation, so results of others in COCO's format are of the same images.

`boxes` are the full bodies, hidden parts too, clipped to the image. Beside the usual keys, a target has `boxes_full`
[N, 4], not clipped; `boxes_visible` [N, 4], without area for groups; `person_type` [N] int64: 0 a region to be
ignored (posters, reflections), 1 a pedestrian, 2 a rider, 3 sitting, 4 in another posture, 5 a group; `instance_id`
[N] int64 of Cityscapes' pixels. All but pedestrians are `iscrowd`: neither found nor missed. `occlusion` is 1 - area
of the visible box / area of the full one, both not clipped, for pedestrians and riders; of others the full box is not
known.
"""

from __future__ import annotations

from os import PathLike

from workbench.data.listed_images import ListedImages
from workbench.data.reading.citypersons_files import read_citypersons
from workbench.data.reading.paths import DataRoot
from workbench.data.reading.picture_folder import PictureFolder, first_place
from workbench.errors import DataError
from workbench.registry import DATASETS

SPLITS = ("train", "val")


@DATASETS.register("citypersons")
class CityPersons(ListedImages):
    """Pedestrians of CityPersons.

    Args:
        root: a folder that holds `leftImg8bit` of Cityscapes, and the annotations.
        split: "train" or "val".
        labels: the .mat file, or the folder of the cities, in `root`; None: whichever is there, the .mat file first.
        strict: raise DataError at the first error; False leaves out what is wrong and keeps the errors in `problems`.
        follow_links: also follow links that lead out of `root`.
    """

    benchmark = "citypersons"
    clips = False  # full bodies are meant to reach out of their image

    def __init__(
        self,
        root: str | PathLike[str] | None,
        split: str = "train",
        *,
        labels: str | None = None,
        strict: bool = True,
        follow_links: bool = False,
    ):
        place = DataRoot(root, "citypersons", follow_links=follow_links)
        if split not in SPLITS:
            test = "; the annotations of the test images are not public" if split == "test" else ""
            raise DataError(f"split {split!r} does not exist; citypersons has {', '.join(SPLITS)}{test}")
        name, folder = f"anno_{split}.mat", f"gtBboxCityPersons/{split}"
        if labels is None:
            files = [f"{above}{name}" for above in ("annotations/", "", "CityPersons/annotations/")]
            found = first_place(place, [*files, folder, f"gtBbox_cityPersons_trainval/{folder}"])
        else:
            found = place.inside(place.path, labels)
        if found is None:
            raise DataError(f"{place.path}: this folder holds no annotations/{name}, nor {folder}")
        images = first_place(
            place, [f"{above}leftImg8bit/{split}" for above in ("", "leftImg8bit_trainvaltest/")] + [split]
        )
        if images is None:
            raise DataError(f"{place.path}: this folder holds no leftImg8bit/{split}")
        self.annotation_version = "of Cityscapes" if found.is_dir() else "of CityPersons' authors"
        table = read_citypersons(found, split, place)
        super().__init__("citypersons", split, PictureFolder(place, images), table, strict=strict)
