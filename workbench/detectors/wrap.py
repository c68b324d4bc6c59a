"""Detectors of others, of whatever framework: what maps images to boxes, labels and scores detects here, too.

A detector that is wrapped is taken by `evaluate`, audits, OcclusionLab, response maps, the error browser and
ensembles as ours are. What it lacks (losses, features of RoIs) is said by name. None of the frameworks is needed:
what belongs to one is recognised by the names of its classes.

What ruins an AP without a word is looked at: labels that count from 0 or 1 or have gaps, background among them, boxes
of another form, masks of another size, scores below which detections are left out (`Detector.notes`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from workbench.detectors.base import Detector, evaluating
from workbench.detectors.layers.inputs import check_batch, is_empty
from workbench.detectors.outside.answers import Answer, read_answer
from workbench.detectors.outside.box_forms import BoxReader
from workbench.detectors.outside.detecting import Detecting
from workbench.detectors.outside.detectron2_models import Detectron2
from workbench.detectors.outside.families import Family
from workbench.detectors.outside.functions import Function, Maite
from workbench.detectors.outside.hugging_face import HuggingFace
from workbench.detectors.outside.onnx_files import Onnx
from workbench.detectors.outside.own_labels import Classes, OwnLabels, own_labels
from workbench.detectors.outside.torchvision_models import Torchvision
from workbench.detectors.outside.ultralytics_models import Ultralytics
from workbench.errors import DataError
from workbench.options import check_options
from workbench.types import CLASS_SCORES, OBJECTNESS, Detections, Proposals

#: The first that recognises a thing has it; those that say of themselves what they are come first.
MODELS: tuple[type[Family], ...] = (Onnx, Torchvision, HuggingFace, Ultralytics, Detectron2, Maite)
FAMILIES: tuple[type[Family], ...] = (*MODELS, Function)


class Wrapped(Detector):
    """A detector of others, made by `wrap`; it can be neither trained nor saved.

    Detections have what the detector gives: masks, and in `extras` the "class_scores" [N, K+1], background first, and
    the "objectness" [N]. `score_boxes` is there where the detector can score boxes that are given.

    Args:
        family: the detector and how it is asked.
        labels: what its labels mean.
    """

    def __init__(self, family: Family, labels: OwnLabels):
        super().__init__()
        self.family, self.labels = family, labels
        self.module = family.module
        self.classes = labels.classes
        self.reader = BoxReader(family.boxes, relative=family.relative, name=family.name)
        if family.scores_boxes:  # so that only those have it that can
            self.score_boxes = self._score_boxes

    @property
    def mask_key(self) -> str | None:
        """Masks are taken to be of the visible pixels."""
        return "masks" if self.family.gives_masks else None

    @property
    def notes(self) -> Sequence[str]:
        """Of its family, and what was seen in its boxes so far."""
        return (*self.family.notes, *self.reader.notes)

    def detect(
        self, images: Sequence[Tensor], proposals: Sequence[Proposals | Tensor] | None = None
    ) -> list[Detections]:
        """Detections of each image in its own pixels, highest score first.

        Raises:
            DataError: an answer cannot be read, or is evidently something else; says how to wrap it.
        """
        if is_empty(images):
            return []
        with evaluating(self):
            answers = self.family.ask(images, self.device)
        if len(answers) != len(images):
            raise DataError(f"{self.family.name}: {len(answers)} answers came for {len(images)} images")
        return [
            self._read(read_answer(given, f"{self.family.name}, image {place} of the batch"), image)
            for place, (given, image) in enumerate(zip(answers, images, strict=True))
        ]

    def _score_boxes(self, images: Sequence[Tensor], boxes: Sequence[Tensor]) -> list[Tensor]:
        """Scores [N, K+1] of given boxes [N, 4] of each image, background first."""
        check_batch(images, boxes=boxes)
        with evaluating(self):
            found = self.family.score_boxes(images, boxes, self.device)
        return [self.labels.spread(one.cpu()).to(self.device) for one in found]

    def _read(self, answer: Answer, image: Tensor) -> Detections:
        """One image's detections of an answer."""
        height, width = image.shape[-2:]
        boxes = self.reader(answer.boxes, (height, width))
        every = answer.class_scores
        every = None if every is None else self.labels.spread(every, answer.labels, answer.scores)
        labels = self._labels(answer, every)
        scores = answer.scores
        if scores is None and every is not None:
            scores = every.gather(1, labels[:, None])[:, 0]
        if answer.masks is not None and answer.masks.shape[1:] != (height, width):
            what = f"masks are {list(answer.masks.shape[1:])} pixels for an image of {[height, width]}"
            raise DataError(f"{self.family.name}: {what}; give them in the size of the image")
        extras = {CLASS_SCORES: every, OBJECTNESS: answer.objectness}
        extras = {name: rows for name, rows in extras.items() if rows is not None}
        found = Detections(boxes, labels, scores, answer.masks, extras)[labels > 0]
        return found[found.scores.argsort(descending=True, stable=True)].to(self.device)

    def _labels(self, answer: Answer, every: Tensor | None) -> Tensor:
        """Labels [N] in 1..K or 0: those of the answer, else the best of all classes."""
        if answer.labels is not None:
            return self.labels(answer.labels)
        return torch.zeros(0, dtype=torch.int64) if every is None else every[:, 1:].argmax(dim=1) + 1

    def __repr__(self) -> str:
        return f"Wrapped({self.family.name}, {self.family.called} of {len(self.classes)} classes)"


def wrap(
    thing: Any,
    classes: Classes | None = None,
    *,
    first_label: int | None = None,
    background: str | None = None,
    **options: Any,
) -> Detector:
    """A detector of others as one of the workbench.

    These are taken, each with its own options:

    - a function of a list of images uint8 [H, W, 3] (or a module, which gets float tensors [3, H, W]) that gives for
      each image a dict, tuple or object with boxes, labels and scores, maybe masks, class_scores (those of all
      classes) and objectness:
      `images`, `bgr`, `one_by_one`, `boxes`, `relative`, `masks`, `score_boxes`, see `Function`;
    - a detection model of torchvision: `score_threshold`;
    - an object detection model of Hugging Face with its `processor`, or its pipeline: `score_threshold`;
    - a model of ultralytics: `score_threshold`, `nms_iou`, `max_detections`;
    - a DefaultPredictor of detectron2: `score_threshold`;
    - an .onnx file, or a session of onnxruntime, with `prepare` and `decode`, see `Onnx`, `Letterbox` and `YOLOX`;
    - a model in MAITE's form, and anything with `detect` and `classes`.

    Args:
        thing: the detector.
        classes: names in the order of its labels; or label → name, where labels have gaps. Where the detector knows
            its classes, they can be left out; a list of some of them leaves the others out, and a dict renames some
            (its name → yours).
        first_label: the label of the first of `classes`; None: 0, or 1 for models of torchvision.
        background: "first" or "last": where the scores of all classes have the one of no class, if that is not seen.
        options: of its family.

    Raises:
        DataError: it is nothing of this, or an option is missing or wrong.
        WeightsError: an .onnx file cannot be read.

    Example:
        >>> def bright(images):  # one box around what is bright
        ...     answers = []
        ...     for image in images:
        ...         y, x = (image.mean(axis=2) > 200).nonzero()
        ...         box = [x.min(), y.min(), x.max() + 1, y.max() + 1]
        ...         answers.append({"boxes": [box], "labels": ["lamp"], "scores": [0.9]})
        ...     return answers
        >>> detector = wb.wrap(bright, classes=["lamp"])
        >>> image = torch.zeros(3, 40, 60, dtype=torch.uint8)
        >>> image[:, 10:20, 30:50] = 255
        >>> detector.detect([image])[0].boxes.tolist()
        [[30.0, 10.0, 50.0, 20.0]]
    """
    thing = _bare(thing)
    if isinstance(thing, Detector):
        raise DataError(f"a {type(thing).__name__} is a detector of the workbench already; it needs no wrap")
    if classes is None and not options and Detecting.recognises(thing):
        return Detecting(thing)
    family = next((one for one in FAMILIES if one.recognises(thing)), None)
    if family is None:
        raise DataError(f"{_what(thing)} cannot be wrapped; expected {', '.join(one.takes for one in FAMILIES)}")
    if background not in (None, "first", "last"):
        raise DataError(f"wrap: background is {background!r}; expected 'first' or 'last'")
    checked = check_options("wrap", family, options, given=("thing",), error=DataError, kind=family.called)
    made = family(thing, **checked)
    return Wrapped(made, own_labels(made, classes, first_label, background))


def is_model(thing: Any) -> bool:
    """Whether a thing can be wrapped as it is, since it says of itself what it is."""
    thing = _bare(thing)
    return Detecting.recognises(thing) or any(one.recognises(thing) for one in MODELS)


def _bare(thing: Any) -> Any:
    """A model without what spreads it over devices or compiles it."""
    while isinstance(thing, nn.DataParallel | nn.parallel.DistributedDataParallel):
        thing = thing.module
    return getattr(thing, "_orig_mod", thing) if isinstance(thing, nn.Module) else thing


def _what(thing: Any) -> str:
    """A thing in messages."""
    return repr(thing) if isinstance(thing, str | type) else f"a {type(thing).__name__}"
