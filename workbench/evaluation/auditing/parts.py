"""The folder of an audit: one file for each image that is done, so that an audit can be stopped and goes on."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from workbench.data import Dataset
from workbench.data.reading.paths import read_json
from workbench.errors import DataError
from workbench.evaluation.auditing.gathering import ImagePart
from workbench.evaluation.auditing.objects import REASONS
from workbench.evaluation.auditing.tables import Answers, Audited, Outcomes
from workbench.evaluation.counting.saved import columns_of, packed
from workbench.files import check_writable, user_path, write_json

PLAN = "audit.json"
FORMAT = "workbench audit parts 1"


class Parts:
    """The images that are done; in a folder, or nowhere.

    Args:
        folder: None: nothing is kept.
        plan: all that the parts depend on, as plain values by name.
        sides: how many images, conditions, detectors and classes there are, by the letters of `Column`.

    Raises:
        DataError: the folder cannot be written, or holds the parts of another audit.
    """

    def __init__(self, folder: str | PathLike[str] | None, plan: Mapping[str, Any], sides: Mapping[str, int]):
        self.folder = None if folder is None else user_path(folder, DataError)
        self.sides = dict(sides)
        if self.folder is None:
            return
        path = self.folder / PLAN
        check_writable(path, DataError)
        said = {"format": FORMAT, **json.loads(json.dumps(plan))}
        if path.exists():
            kept = read_json(path)
            kept = kept if isinstance(kept, dict) else {}
            other = next((name for name, value in said.items() if kept.get(name) != value), None)
            if other is not None:
                raise DataError(
                    f"{self.folder} holds the parts of another audit, with other {other} ({_short(kept.get(other))}; "
                    f"now {_short(said[other])}); name another folder, or ask for the same audit to go on with it"
                )
        else:
            write_json(path, said, indent=1)

    def read(self, index: int) -> ImagePart | None:
        """The part of an image; None where it is not done.

        Raises:
            DataError: its file is damaged.
        """
        if self.folder is None or not (path := self._path(index)).exists():
            return None
        try:
            content, sides = read_json(path), dict(self.sides)
            audited = Audited(**columns_of("audited", content["audited"], Audited.COLUMNS, sides))
            sides["O"] = len(audited)
            outcomes = Outcomes(**columns_of("outcomes", content["outcomes"], Outcomes.COLUMNS, sides))
            answers = Answers(**columns_of("answers", content["answers"], Answers.COLUMNS, sides))
            aside = np.array(content["set_aside"], dtype=np.int64)
            if aside.shape != (len(REASONS),) or (audited.image != index).any() or (answers.image != index).any():
                raise ValueError("it is of another image")
            return ImagePart(audited, outcomes, answers, aside)
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, zlib.error) as error:
            raise DataError(f"{path} is damaged ({error}); delete it, and its image is done again") from error

    def write(self, index: int, part: ImagePart) -> None:
        """Keep the part of an image; its file appears whole or not at all."""
        if self.folder is not None:
            tables = {name: packed(getattr(part, name)) for name in ("audited", "outcomes", "answers")}
            write_json(self._path(index), tables | {"set_aside": part.set_aside.tolist()})

    def _path(self, index: int) -> Path:
        assert self.folder is not None
        return self.folder / f"image-{index:06d}.json"


def mark_of(detector: object) -> str:
    """A short code of a detector: of its kind, and of its weights where it is a module."""
    digest = hashlib.sha1(type(detector).__qualname__.encode(), usedforsecurity=False)
    if isinstance(detector, nn.Module):
        for name, value in sorted(detector.state_dict().items()):
            digest.update(f"{name} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().double().numpy().tobytes())
    return digest.hexdigest()[:12]


def data_mark(data: Dataset) -> str:
    """A short code of a data set: of its classes and of the sizes of its images."""
    digest = hashlib.sha1("\0".join(data.classes).encode(), usedforsecurity=False)
    for index in range(len(data)):
        digest.update(f"{data.image_id(index)} {data.size(index)}".encode())
    return f"{data.name} {data.split}, {len(data)} images, {digest.hexdigest()[:12]}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
