"""ONNX files, run by onnxruntime, with a function that prepares an image and one that reads the outputs.

An ONNX file says what goes in and what comes out, but not what either means, so both must be said: `prepare` is
given an array uint8 [H, W, 3], red first, and gives the input (or a dict of inputs); `decode` is given the outputs as
a list of arrays and the same image, and gives boxes in pixels of the image, labels and scores. `Letterbox` and
`YOLOX` have what most exports need. One image is run at a time, as most files hold a batch of one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.detectors.outside.box_forms import BoxForm
from workbench.detectors.outside.families import Family, arrays_of, made_by
from workbench.errors import DataError, WeightsError, WorkbenchError
from workbench.files import user_path

ENDING = ".onnx"
MEANING = {"prepare": "image uint8 [H, W, 3] → input", "decode": "outputs, image → boxes, labels, scores"}


class Onnx(Family):
    """An ONNX file or a session of onnxruntime.

    Args:
        thing: path of the file, or an InferenceSession.
        decode: outputs and image → an answer; see `read_answer` for its forms.
        prepare: image → input, or name → input.
        boxes, relative, masks: as for a function.
    """

    called = "an ONNX model"
    takes = "an .onnx file with decode=... and prepare=..."

    def __init__(
        self,
        thing: Any,
        *,
        decode: Any = None,
        prepare: Any = None,
        boxes: BoxForm = "xyxy",
        relative: bool = False,
        masks: bool = False,
    ):
        super().__init__(thing)
        self._called = Path(thing).stem if isinstance(thing, str | Path) else type(thing).__name__
        self.session = open_session(thing) if isinstance(thing, str | Path) else thing
        self.inputs = {one.name: one.shape for one in self.session.get_inputs()}
        for name, function in {"prepare": prepare, "decode": decode}.items():
            if not callable(function):
                takes = ", ".join(f"{key} {shape}" for key, shape in self.inputs.items())
                gives = ", ".join(f"{one.name} {one.shape}" for one in self.session.get_outputs())
                what = (
                    "image uint8 [H, W, 3] → input"
                    if name == "prepare"
                    else "outputs and image → boxes, labels, scores"
                )
                fix = f"wrap(..., prepare=..., decode=...), where {name} is a function: {what}"
                raise DataError(f"{self.name} takes {takes} and gives {gives}; say what these mean: {fix}")
        self.prepare, self.decode = prepare, decode
        self.boxes, self.relative, self.gives_masks = boxes, relative, masks

    @property
    def name(self) -> str:
        """Of the file."""
        return self._called

    @classmethod
    def recognises(cls, thing: Any) -> bool:
        """A path that ends in .onnx, or a session."""
        if isinstance(thing, str | Path):
            return Path(thing).suffix.lower() == ENDING
        return made_by(thing, "onnxruntime", "InferenceSession")

    def ask(self, images: Sequence[Tensor], device: torch.device) -> Sequence[Any]:
        """What `decode` makes of the outputs for each image."""
        return [self._ask(array) for array in arrays_of(images)]

    def _ask(self, image: np.ndarray) -> Any:
        given = self.prepare(image)
        feed = dict(given) if isinstance(given, Mapping) else {next(iter(self.inputs)): given}
        try:
            outputs = self.session.run(None, {key: np.ascontiguousarray(value) for key, value in feed.items()})
        except WorkbenchError:
            raise
        except Exception as error:  # those of onnxruntime are classes of its own
            came = ", ".join(f"{key} {np.shape(value)} {np.asarray(value).dtype}" for key, value in feed.items())
            wants = ", ".join(f"{key} {shape}" for key, shape in self.inputs.items())
            raise DataError(f"{self.name} was given {came} by prepare, and takes {wants}: {error}") from error
        return self.decode(outputs, image)


def open_session(path: str | Path) -> Any:
    """The file as a session on the CPU, with as many threads as torch has.

    Raises:
        WorkbenchError: onnxruntime is not installed.
        WeightsError: there is no such file, or it is no ONNX model.
    """
    path = user_path(path, WeightsError)
    try:
        import onnxruntime
    except ImportError as error:
        what = f"{path} needs the package onnxruntime, which is not installed"
        raise WorkbenchError(f"{what}: pip install onnxruntime") from error
    if not path.is_file():
        raise WeightsError(f"there is no file {path}")
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads leave the cores free
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # those of onnxruntime are classes of its own
        raise WeightsError(f"{path} cannot be read as an ONNX model: {error}") from error
