"""Stand-ins for detectors of packages that are not installed here: their names, what they are called with and give.

`YOLO` has what ultralytics documents of its models and results, `DefaultPredictor` what detectron2 does of its own;
both note the images that they get. `identity_onnx` is an ONNX file of one operation, written out byte by byte.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

BOX = (8.0, 4.0, 24.0, 20.0)


def of(module: str):
    """Decorator: a class that calls another module its home."""

    def move(kind: type) -> type:
        kind.__module__ = module
        return kind

    return move


@of("ultralytics.engine.model")
class Model(nn.Module):
    """ultralytics' base class; `train` starts a training, as there, and `eval` of a module around would call it."""

    def train(self, *given, **options):
        raise AssertionError("a training was started")


@of("ultralytics.models.yolo.model")
class YOLO(Model):
    """Finds one box of class 1 that is surer of blue pictures, and a faint one of class 0."""

    names = {0: "person", 1: "lamp"}  # noqa: RUF012

    def __init__(self, task="detect"):
        super().__init__()
        self.task, self.seen, self.asked = task, [], {}

    def predict(self, source, stream=False, **options):
        self.seen, self.asked = source, options
        return [self._results(array) for array in source]

    def _results(self, array):
        rows = torch.tensor([[*BOX, array[..., 0].mean() / 255, 1], [*BOX, 0.01, 0]])
        kept = rows[rows[:, 4] > self.asked["conf"]]
        boxes = SimpleNamespace(xyxy=kept[:, :4], conf=kept[:, 4], cls=kept[:, 5], data=kept)
        masks = None
        if self.task == "segment":
            masks = torch.zeros(len(kept), *array.shape[:2])
            masks[:, 4:20, 8:24] = 1
            masks = SimpleNamespace(data=masks if self.asked.get("retina_masks") else masks[:, ::2, ::2])
        return SimpleNamespace(boxes=boxes, masks=masks, names=self.names, orig_shape=array.shape[:2], probs=None)


class Instances:
    """detectron2's: fields are attributes, and others raise."""

    def __init__(self, size, **fields):
        self.image_size, self._fields = size, fields

    def __getattr__(self, name):
        if name.startswith("_") or name not in self._fields:
            raise AttributeError(f"Cannot find field '{name}' in the given Instances!")
        return self._fields[name]


@of("detectron2.engine.defaults")
class DefaultPredictor:
    """Finds a box of class 1, surer of red pictures, and a faint one of class 0; called with an array, blue first."""

    def __init__(self, threshold=0.5, masks=True):
        self.cfg = SimpleNamespace(MODEL=SimpleNamespace(MASK_ON=masks), INPUT=SimpleNamespace(FORMAT="RGB"))
        self.metadata = SimpleNamespace(thing_classes=["person", "lamp"])
        self.model = nn.Linear(1, 1)
        self.model.roi_heads = nn.Module()
        self.model.roi_heads.box_predictor = nn.Module()
        self.model.roi_heads.box_predictor.test_score_thresh = threshold

    def __call__(self, original_image):
        height, width = original_image.shape[:2]
        scores = torch.tensor([original_image[..., 2].mean() / 255, 0.1])
        kept = scores > self.model.roi_heads.box_predictor.test_score_thresh
        masks = torch.zeros(2, height, width, dtype=torch.bool)
        masks[:, 4:20, 8:24] = True
        fields = {"pred_boxes": SimpleNamespace(tensor=torch.tensor([BOX, BOX])[kept]), "scores": scores[kept]}
        fields |= {"pred_classes": torch.tensor([1, 0])[kept], "pred_masks": masks[kept]}
        return {"instances": Instances((height, width), **fields)}


class Maite:
    """A model in MAITE's form: arrays [3, H, W] in, targets out, with a score for each class."""

    metadata = {"id": "lamps", "index2label": {0: "person", 1: "lamp"}}  # noqa: RUF012

    def __call__(self, batch):
        self.seen = batch
        one = SimpleNamespace(boxes=np.array([BOX]), labels=np.array([1]), scores=np.array([[0.2, 0.7]]))
        return [one for _ in batch]


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _field(place: int, value: int | bytes | str) -> bytes:
    """One field of a protocol buffer."""
    if isinstance(value, int):
        return _varint(place << 3) + _varint(value)
    value = value.encode() if isinstance(value, str) else value
    return _varint(place << 3 | 2) + _varint(len(value)) + value


def identity_onnx(shape: tuple[int, ...]) -> bytes:
    """An ONNX file that gives its input "images" (float32) back as "output"."""

    def about(name: str) -> bytes:
        sides = b"".join(_field(1, _field(1, side)) for side in shape)
        return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, sides)))

    node = _field(1, "images") + _field(2, "output") + _field(4, "Identity")
    graph = _field(1, node) + _field(2, "graph") + _field(11, about("images")) + _field(12, about("output"))
    return _field(1, 8) + _field(7, graph) + _field(8, _field(2, 13))
