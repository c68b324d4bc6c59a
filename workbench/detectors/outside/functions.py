"""Functions and plain modules that map images to boxes, labels and scores; MAITE's models are functions, too.

MAITE's protocols say so: a model is called with a batch of images [3, H, W] and gives an `ObjectDetectionTarget` for
each: boxes [N, 4] as xyxy, labels [N], and scores [N] or those of all classes [N, C]. Its `metadata` may have
`index2label`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from workbench.detectors.layers.inputs import as_bytes, as_float
from workbench.detectors.outside.box_forms import BoxForm
from workbench.detectors.outside.families import Family, arrays_of
from workbench.errors import DataError, WorkbenchError

Images = Literal["arrays", "tensors"]


class Function(Family):
    """A function of a list of images, or a module that is called with one.

    Args:
        thing: gives an answer for each image; see `read_answer` for its forms.
        images: "arrays" are uint8 [H, W, 3], which functions get unless it is said otherwise; "tensors" are float32
            [3, H, W] in 0..1 on the device of the module, which modules get.
        bgr: blue comes first, as in OpenCV.
        one_by_one: it is called with one image at a time, not with a list.
        boxes: their form: "xyxy", "xywh" (corner and size), "cxcywh" (centre and size) or "yxyx".
        relative: boxes are fractions of the image's width and height.
        masks: it gives masks, so that `evaluate` compares those, too.
        score_boxes: a function of a list of images and a list of boxes [N, 4] (xyxy pixels, float32), which gives the
            scores [N, C] of all classes for each image: what the detector thinks of boxes that are given.
    """

    called = "a function"
    takes = "a function of a list of images"

    def __init__(
        self,
        thing: Any,
        *,
        images: Images | None = None,
        bgr: bool = False,
        one_by_one: bool = False,
        boxes: BoxForm = "xyxy",
        relative: bool = False,
        masks: bool = False,
        score_boxes: Any = None,
    ):
        super().__init__(thing)
        self.module = thing if isinstance(thing, nn.Module) else None
        self.images = images or ("arrays" if self.module is None else "tensors")
        self.bgr, self.one_by_one, self.boxes, self.relative = bgr, one_by_one, boxes, relative
        self.gives_masks, self.scores_boxes, self._score = masks, score_boxes is not None, score_boxes

    @classmethod
    def recognises(cls, thing: Any) -> bool:
        """Anything that can be called, but for classes."""
        return callable(thing) and not isinstance(thing, type)

    def ask(self, images: Sequence[Tensor], device: torch.device) -> Sequence[Any]:
        """What the function gives."""
        batch = self._batch(images, device)
        if self.one_by_one:
            return [self._called(self.thing, image) for image in batch]
        return self._one_each(self._called(self.thing, batch), len(batch))

    def score_boxes(self, images: Sequence[Tensor], boxes: Sequence[Tensor], device: torch.device) -> list[Tensor]:
        """What the function of that name gives."""
        if self._score is None:
            return super().score_boxes(images, boxes, device)
        batch = self._batch(images, device)
        plain = [box.detach().as_subclass(Tensor).float().cpu() for box in boxes]
        if self.one_by_one:
            found: Sequence[Any] = [self._called(self._score, *both) for both in zip(batch, plain, strict=True)]
        else:
            found = self._one_each(self._called(self._score, batch, plain), len(batch))
        return [torch.as_tensor(one).detach().float().cpu() for one in found]

    def _batch(self, images: Sequence[Tensor], device: torch.device) -> list[Any]:
        """The images as the function takes them."""
        if self.images == "arrays":
            return [*arrays_of(images, bgr=self.bgr)]
        tensors = as_float(images, device)
        return [image.flip(0) for image in tensors] if self.bgr else tensors

    def _called(self, function: Callable[..., Any], *given: Any) -> Any:
        try:
            return function(*given)
        except WorkbenchError:
            raise
        except Exception as error:
            what = (
                f"an image {self._form()}" if self.one_by_one else f"a list of {len(given[0])} images {self._form()}"
            )
            fix = "" if self.one_by_one else "; one_by_one=True is for a function of a single image"
            more = "images='arrays' or 'tensors' says what it is given"
            said = f"{type(error).__name__}: {error}"
            raise DataError(f"{self.name} failed for {what} ({said}). In wb.wrap, {more}{fix}") from error

    def _form(self) -> str:
        return "uint8 [H, W, 3]" if self.images == "arrays" else "float32 [3, H, W]"

    def _one_each(self, answers: Any, number: int) -> Sequence[Any]:
        """The answers, if there is one for each image."""
        if isinstance(answers, Mapping | str) or not isinstance(answers, Sequence | Tensor):
            what = f"it gave a {type(answers).__name__} for a list of {number} images"
        elif len(answers) != number:
            what = f"it gave {len(answers)} answers for {number} images"
        else:
            return list(answers)
        fix = "return a list with an answer for each image, or say one_by_one=True"
        raise DataError(f"{self.name}: {what}; {fix}")


class Maite(Family):
    """A model in the form of MAITE's protocols: called with a batch of uint8 arrays [3, H, W]."""

    called = "a model in MAITE's form"
    takes = "a model in MAITE's form"

    def __init__(self, thing: Any):
        super().__init__(thing)
        self.module = thing if isinstance(thing, nn.Module) else None
        said = thing.metadata.get("index2label")
        self.names = {int(key): str(one) for key, one in said.items()} if isinstance(said, Mapping) else None

    @property
    def name(self) -> str:
        """What its metadata call it."""
        return str(self.thing.metadata["id"])

    @classmethod
    def recognises(cls, thing: Any) -> bool:
        """What can be called and has metadata with an id, but for classes."""
        about = getattr(thing, "metadata", None)
        return callable(thing) and not isinstance(thing, type) and isinstance(about, Mapping) and "id" in about

    def ask(self, images: Sequence[Tensor], device: torch.device) -> Sequence[Any]:
        """Its targets."""
        return list(self.thing([image.numpy().copy() for image in as_bytes(images)]))
