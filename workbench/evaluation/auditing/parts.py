"""The folder of an audit or of regions: a file for each image that is done, so that it can be stopped and goes on."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import numpy as np
from torch import nn

from workbench.data import Dataset
from workbench.data.reading.paths import read_json
from workbench.errors import DataError
from workbench.evaluation.auditing.examining import Examiner
from workbench.evaluation.auditing.gathering import ImagePart
from workbench.evaluation.auditing.objects import REASONS
from workbench.evaluation.auditing.scoring import LooksPart, Scorer
from workbench.evaluation.counting.saved import columns_of, packed
from workbench.files import check_writable, user_path, write_json
from workbench.progress import Bar

PLAN = "audit.json"

Part = TypeVar("Part", ImagePart, LooksPart)


def all_parts(
    asker: Examiner | Scorer,
    kind: type[Part],
    plan: Mapping[str, Any],
    folder: str | PathLike[str] | None,
    *,
    title: str,
    progress: bool,
) -> list[Part]:
    """What is found out on each image, done now or read from the folder.

    Args:
        asker: shows images to detectors.
        kind: of what it finds out on an image.
        plan: what the parts depend on beside the detectors, the data and the conditions, as plain values by name.
        folder: None: nothing is kept.
        title: of the bar.
        progress: show it.
    """
    detectors, data = asker.detectors, asker.data
    sides = {"I": len(data), "K": len(data.classes), "E": len(detectors), "C": len(asker.conditions)}
    whole = {
        "detectors": {name: mark_of(one) for name, one in detectors.items()},
        "data": data_mark(data),
        "conditions": [list(vars(one).values()) for one in asker.conditions],
        **plan,
    }
    kept = Parts(kind, folder, whole, sides)
    parts: list[Part] = []
    for index in Bar(range(len(data)), desc=f"{title} {data.name}", unit="image", disable=not progress):
        part = kept.read(index)
        if part is None:
            part = cast(Part, asker.examine(index))
            kept.write(index, part)
        parts.append(part)
    return parts


class Parts(Generic[Part]):
    """The images that are done; in a folder, or nowhere.

    Args:
        kind: of what is found out on an image.
        folder: None: nothing is kept.
        plan: all that the parts depend on, as plain values by name.
        sides: how many images, conditions, detectors and classes there are, by the letters of `Column`.

    Raises:
        DataError: the folder cannot be written, or holds the parts of another audit.
    """

    def __init__(
        self,
        kind: type[Part],
        folder: str | PathLike[str] | None,
        plan: Mapping[str, Any],
        sides: Mapping[str, int],
    ):
        self.kind: type[Part] = kind
        self.folder = None if folder is None else user_path(folder, DataError)
        self.sides = dict(sides)
        if self.folder is None:
            return
        path = self.folder / PLAN
        check_writable(path, DataError)
        said = {"format": self.kind.FORMAT, **json.loads(json.dumps(plan))}
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

    def read(self, index: int) -> Part | None:
        """The part of an image; None where it is not done.

        Raises:
            DataError: its file is damaged.
        """
        if self.folder is None or not (path := self._path(index)).exists():
            return None
        try:
            content, sides = read_json(path), dict(self.sides)
            tables: dict[str, Any] = {}
            table: Any
            for name, table in self.kind.TABLES.items():
                tables[name] = table(**columns_of(name, content[name], table.COLUMNS, sides))
                if name == "audited":
                    sides["O"] = len(tables[name])
            aside = np.array(content["set_aside"], dtype=np.int64)
            images = [one.image for one in tables.values() if hasattr(one, "image")]
            if aside.shape != (len(REASONS),) or (np.concatenate(images) != index).any():
                raise ValueError("it is of another image")
            return self.kind(**tables, set_aside=aside)
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, zlib.error) as error:
            raise DataError(f"{path} is damaged ({error}); delete it, and its image is done again") from error

    def write(self, index: int, part: Part) -> None:
        """Keep the part of an image; its file appears whole or not at all."""
        if self.folder is not None:
            tables = {name: packed(getattr(part, name)) for name in self.kind.TABLES}
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
