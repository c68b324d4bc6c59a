"""Run a detector over a data set and score what it finds.

Masks are kept as COCO's run-length codes from the first batch on, so the memory they take is bounded.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

import torch
from torch import Tensor

from workbench.data import Dataset
from workbench.detectors.base import Detects, asked
from workbench.detectors.load import DetectorLike, as_detector
from workbench.errors import DataError
from workbench.evaluation.classification import ImageResult, evaluate_images
from workbench.evaluation.coco import coco_figures
from workbench.evaluation.counting import bootstrap
from workbench.evaluation.counting.batches import LossMeans, batches
from workbench.evaluation.counting.checks import check_detections, suspicions
from workbench.evaluation.counting.classes import check_classes, class_notes, in_classes_of
from workbench.evaluation.counting.matching import MASKS, IoUType, match_all
from workbench.evaluation.counting.results_file import ResultsFile
from workbench.evaluation.counting.tables import Found, Objects, gather_found, gather_objects, joined, unknown_masks
from workbench.evaluation.proposal_recall import ProposalRecall, evaluate_proposals
from workbench.evaluation.result import Result, figures
from workbench.evaluation.voc import match_voc, voc_ap
from workbench.evaluation.voc_files import VocResults, is_voc_results
from workbench.files import user_path
from workbench.progress import Bar
from workbench.registry import BENCHMARKS
from workbench.types import Detections, Target

if TYPE_CHECKING:
    from workbench.detectors import Detector

NAMED = 4  #: classes that a warning names
COVERED = 0.8  #: share of the images for which a file of results has some; with less, it may be about a part


def evaluate(
    detector: DetectorLike,
    data: Dataset,
    *,
    classes: Mapping[str, str] | None = None,
    batch_size: int = 16,
    device: torch.device | str | None = None,
    losses: bool = False,
    progress: bool = True,
    iou_type: IoUType = "bbox",
    generator: torch.Generator | None = None,
) -> Result | ImageResult | ProposalRecall:
    """Detect on every image of `data` and score the detections.

    Classifiers and decoders give an `ImageResult`, and detectors that propose and no more a `ProposalRecall`.

    Args:
        detector: a detector, also one of others (`wb.wrap`), a `Run`, or what `load_detector` takes: a shipped name,
            a file or the folder of a run. Or detections that were written, also by other programs: a .json file in
            COCO's results format, in the ids of `data` (`save_coco`), or a folder of VOC's files (`save_voc`).
        data: images with targets. Classes are compared by name, whatever their order: detections of classes that the
            data do not have are left out, and objects of classes that the detector lacks are missed; the result's
            `warnings` say both. For proposals classes do not matter; those of whole images must be the same.
        classes: which classes of the detector have another name in the data: its name → theirs.
        batch_size: images at a time.
        device: where to run; None leaves the detector where it is. It is moved back afterwards.
        losses: also give the detector's losses on this data, as means over images, in `result.losses`.
        progress: show a bar.
        iou_type: "bbox" compares boxes; "segm" compares masks with the visible pixels of objects, as COCO does, and
            "segm-amodal" with all of their pixels. Data and detector must then have such masks. Small, medium and
            large go by the visible area. With "bbox" the summary also has `mask_AP`, `mask_AP50` and `mask_AP75`
            where the detector gives masks and the data have what it learned (of proposals `mask_AR100` and so on),
            VOC's `mAP` on data of VOC, and the figures of a benchmark on its data.
        generator: drawn from for the losses (which RoIs are sampled); None takes a fresh one of seed 0, so that two
            evaluations of one detector agree.

    Returns:
        All figures: `.summary`, `.by_class`, `.by_occlusion`, `.table()` with 95 % intervals.

    Raises:
        WorkbenchError: it gives neither detections nor proposals.
        DataError: detector and data have no class in common, `classes` names one that is not there, masks are asked
            for where there are none, or an entry of a file is wrong or about other data.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test").subset(range(60))
        >>> result = wb.evaluate("digit-scenes/faster-rcnn", data, progress=False)
        >>> result.summary["AP50"] > 0.4
        True
        >>> bool(result.by_occlusion["AP"]["< 5 %"] > result.by_occlusion["AP"]["40–60 %"])
        True
    """
    _check_request(data, iou_type)
    if is_results_file(detector):
        if losses or classes:
            raise DataError(f"{detector}: a file of results has no losses or classes of its own; leave them out")
        path = user_path(detector, DataError)
        if path.is_dir():
            return _evaluate_folder(path, data, iou_type=iou_type)
        return _evaluate_file(path, data, iou_type=iou_type, progress=progress)
    detector = as_detector(detector)
    whole_images = detector.task != "detection"
    proposes = not isinstance(detector, Detects) and detector.proposes
    if not whole_images and not proposes:
        asked(detector, Detects)  # before anything else
    if whole_images and (detector.task != "reconstruction" or classes):
        check_classes(detector, data, classes)
    if not whole_images and not proposes:
        detector = in_classes_of(data, detector, classes, losses=losses)
    home = detector.device
    if device is not None:
        detector.to(device)
    if generator is None:
        generator = torch.Generator().manual_seed(0)
    of_masks = _mask_type(detector, data) if iou_type == "bbox" and not whole_images else None
    how = {"batch_size": batch_size, "losses": losses, "progress": progress, "generator": generator}
    try:
        if whole_images:
            return evaluate_images(detector, data, **how)
        if proposes:
            return evaluate_proposals(detector, data, iou_type=iou_type, of_masks=of_masks, **how)
        tables = _Tables(data, iou_type)
        shapes = None if of_masks is None else _Tables(data, of_masks)
        learning = LossMeans(detector, generator) if losses else None
        for batch in batches(data, batch_size, progress=progress):
            images, targets = [image for image, _ in batch], [target for _, target in batch]
            found = [one.to("cpu") for one in detect_batch(detector, batch)]
            for each in (tables, shapes):
                if each is not None:
                    each.add(found, targets)
            if learning is not None:
                learning.add(images, targets)
    finally:
        detector.to(home)
    result = tables.score(None if learning is None else learning.means, shapes)
    result.warnings[:0] = [*class_notes(detector, data, joined(tables.objects)), *detector.notes]
    return result


def is_results_file(detector: object) -> TypeGuard[str | Path]:
    """Whether it names a file of detections in place of a detector, or a folder of VOC's."""
    if not isinstance(detector, str | Path):
        return False
    if Path(detector).suffix.lower() == ".json":
        return True
    with suppress(DataError):  # which is said of a detector
        return is_voc_results(user_path(detector, DataError))
    return False


def _evaluate_folder(path: Path, data: Dataset, *, iou_type: IoUType) -> Result:
    """Score the detections that a folder of VOC's files holds."""
    if iou_type in MASKS:
        raise DataError(f'{path}: files of VOC have boxes and no masks. Use iou_type="bbox" for boxes.')
    files = VocResults(path, data)
    result = evaluate_detections(files.detections, data)
    if files.lacking:
        lacking = ", ".join(files.lacking[:NAMED]) + (", ..." if len(files.lacking) > NAMED else "")
        result.warnings.append(f"The folder has no file of {lacking}: all objects of these classes count as missed.")
    result.warnings.extend(_coverage(files.images, data))
    return result


def _coverage(images: Collection[int], data: Dataset) -> list[str]:
    """A note on images without results, where there are many."""
    if len(images) >= COVERED * len(data):
        return []
    what = f"results for {len(images)} of {len(data)} images; in all others every object counts as missed."
    return [f"The file has {what}"]


def _evaluate_file(path: Path, data: Dataset, *, iou_type: IoUType, progress: bool) -> Result:
    """Score the detections that a file holds."""
    file = ResultsFile(path, data)
    if iou_type in MASKS and not file.has_masks:
        raise DataError(f'{path}: not every result has a segmentation. Use iou_type="bbox" for boxes.')
    tables = _Tables(data, iou_type)
    both = iou_type == "bbox" and file.has_masks and MASKS["segm"] in data.target(0)
    shapes = _Tables(data, "segm") if both else None
    for index in Bar(range(len(data)), desc=path.name, disable=not progress):
        found, target = [file.detections(index)], [data.target(index)]
        for each in (tables, shapes):
            if each is not None:
                each.add(found, target)
    result = tables.score(None, shapes)
    result.warnings.extend(_coverage(file.images, data))
    return result


def _mask_type(detector: Detector, data: Dataset) -> IoUType | None:
    """How to compare the masks that a detector has learned; None if it has none, or the data."""
    return next((name for name, key in MASKS.items() if key == detector.mask_key and key in data.target(0)), None)


def detect_batch(detector: Detector, batch: Sequence[tuple[Tensor, Target]]) -> list[Detections]:
    """Detections of images, with the proposals of their targets where the detector needs them.

    Raises:
        WorkbenchError: the detector gives no detections.
        DataError: it needs proposals, and an image has none.
    """
    finder, images = asked(detector, Detects), [image for image, _ in batch]
    if not detector.needs_proposals:
        return finder.detect(images)
    for image, target in batch:
        if "proposals" not in target:
            raise DataError(
                f"image {target.get('image_id')} ({tuple(image.shape[-2:])} px) has no proposals, and the detector "
                "needs them: give the data some by with_proposals(data, ...)"
            )
    return finder.detect(images, [target["proposals"] for _, target in batch])


def evaluate_detections(detections: Sequence[Detections], data: Dataset, *, iou_type: IoUType = "bbox") -> Result:
    """Score detections that were made earlier, one entry per image of `data`, in its order.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=2)
        >>> found = wb.load_detector("digit-scenes/faster-rcnn").detect([image for image, _ in data])
        >>> evaluate_detections(found, data).summary["AP50"] > 0.5
        True
    """
    _check_request(data, iou_type)
    if len(detections) != len(data):
        check_detections(detections, data, [data.size(i) for i in range(len(data))], masks=False)
    tables = _Tables(data, iou_type)
    for index, found in enumerate(detections):
        tables.add([found], [data.target(index)])
    return tables.score(None)


class _Tables:
    """Objects and detections of a data set, gathered image after image."""

    def __init__(self, data: Dataset, iou_type: IoUType):
        self.data, self.iou_type, self.key = data, iou_type, MASKS.get(iou_type)
        self.objects: list[Objects] = []
        self.found: list[Found] = []
        self.image_ids: list[int] = []
        self.image_names: list[str] = []
        self.count = 0
        self.unknown = 0  # objects without the mask that is compared

    def add(self, detections: Sequence[Detections], targets: Sequence[Target]) -> None:
        """Take those of the next images."""
        first, masks = self.count, self.key is not None
        sizes = [self.data.size(first + i) for i in range(len(targets))]
        _check_masks(targets, self.data, self.key)
        check_detections(detections, self.data, sizes, masks=masks, first=first)
        self.objects.append(gather_objects(targets, sizes, masks=self.key, first=first))
        self.found.append(gather_found(detections, masks=masks, first=first))
        self.image_ids += [int(target.get("image_id", first + i + 1)) for i, target in enumerate(targets)]
        self.image_names += [self.data.image_name(first + i) for i in range(len(targets))]
        self.count += len(targets)
        if self.key is not None:
            self.unknown += int(sum(unknown_masks(target[self.key]).sum() for target in targets))

    def notes(self) -> list[str]:
        """What to know about the objects."""
        return [f"{self.unknown} objects have no mask: there, masks are not compared."] if self.unknown else []

    def of_masks(self) -> dict[str, float]:
        """`mask_AP`, `mask_AP50` and `mask_AP75`."""
        found = coco_figures(joined(self.objects), joined(self.found), len(self.data.classes))
        return {f"mask_{name}": found[name] for name in ("AP", "AP50", "AP75")}

    def score(self, losses: dict[str, float] | None, shapes: _Tables | None = None) -> Result:
        """All figures, and in the summary those of masks as well where `shapes` has gathered them."""
        data, objects, found = self.data, joined(self.objects), joined(self.found)
        matches = match_all(objects, found, len(data.classes))
        ours = {name: float(value[0]) for name, value in figures(bootstrap.average_precision(matches)).items()}
        summary = coco_figures(objects, found, len(data.classes))
        summary |= {name: ours[name] for name in ("AP_unoccluded", "AP_occluded")}
        if data.voc_year is not None:
            by_voc = voc_ap(match_voc(objects, found, len(data.classes)), data.voc_year)
            summary["mAP"] = float(bootstrap.mean_over_classes(by_voc)[0])
        if data.benchmark is not None:
            seen = self if shapes is None or shapes.key != MASKS["segm"] else shapes
            answers = replace(found, masks=joined(seen.found).masks)
            summary |= BENCHMARKS[data.benchmark](answers, data).summary
        if shapes is not None:
            summary |= shapes.of_masks()
        return Result(
            data=data.name,
            split=data.split,
            classes=tuple(data.classes),
            iou_type=self.iou_type,
            fingerprint=objects.fingerprint(),
            summary=summary,
            matches=matches,
            warnings=[*suspicions(objects, found, len(data.classes)), *(shapes or self).notes()],
            losses=losses,
            occlusion_is_estimate=data.occlusion_is_estimate,
            objects=replace(objects, masks=None),
            found=replace(found, masks=None),
            image_ids=self.image_ids,
            category_ids=list(data.category_ids),
            image_names=self.image_names,
            masks=found.masks if shapes is None else joined(shapes.found).masks,
        )


def _check_request(data: Dataset, iou_type: str) -> None:
    if not isinstance(data, Dataset):
        raise DataError(f"data is a {type(data).__name__}; expected a data set, as load_data gives one")
    if iou_type not in ("bbox", *MASKS):
        raise DataError(f'iou_type is {iou_type!r}, expected "bbox" or "segm" (visible pixels) or "segm-amodal".')
    if len(data) == 0:
        raise DataError(f"{data.name} {data.split} has no images to evaluate on.")
    if not data.annotated:
        what = f"{data.name} {data.split} has no annotations, so that nothing can be scored here"
        raise DataError(
            f"{what}; detect_all(detector, data).save_coco(FILE), or .save_voc, writes what its server takes"
        )
    if data.benchmark is not None:
        BENCHMARKS.find(data.benchmark, f"{data.name} {data.split}: its benchmark")
    if iou_type in MASKS:
        _check_masks([data.target(0)], data, MASKS[iou_type])  # better now than after some images


def _check_masks(targets: Sequence[Target], data: Dataset, key: str | None) -> None:
    if key is not None and not all(key in target for target in targets):
        what = "masks" if key == "masks" else "amodal masks"
        raise DataError(f'{data.name} {data.split} has no {what}. Use iou_type="bbox" for boxes.')
