"""What OcclusionLab shows, for a still picture: every detector's answer, and the maps of the present occluder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from widgets.parts.pictures import decoded_layer
from workbench.analysis.saliency import Saliency
from workbench.errors import DataError
from workbench.figures.drawing.colours import CHOSEN, WHITE, colour
from workbench.figures.drawing.sheet import heat
from workbench.figures.marked_images import Mark, MarkedImage, marked_images
from workbench.figures.still import Piece

SIDE, COLUMNS = 3.6, 3  #: inches of a panel, and panels in a row
HATCHED = 0.55  #: opacity of what is found to hide objects


def answer_pieces(
    image: Tensor, result: Mapping[str, Any], names: list[str], layers: Mapping[str, bytes]
) -> list[Piece]:
    """A panel for every detector.

    Args:
        image: with the occluder, uint8 [3, H, W].
        result: of the lab.
        names: of all classes, in the order of their colours.
        layers: detector → PNG of what it finds to hide its detections.
    """
    colours = {name: colour(place) for place, name in enumerate(names, start=1)}
    panels = []
    for name, answer in result["detectors"].items():
        marks = [
            Mark.box(box, colours[one], f"{one} {score:.2f}")
            for box, one, score in zip(answer["boxes"], answer["names"], answer["scores"], strict=True)
            if score >= result["min_score"]
        ]
        if result["object"] is not None:
            marks.append(Mark.box(result["object"]["box"], CHOSEN, dashed=True))
        marks.append(Mark.box(result["box"], WHITE, dashed=True))
        shown = [_dark(decoded_layer(layers[name]))] if name in layers else []
        panels.append(MarkedImage(image, marks, _title(name, answer), shown))
    return [marked_images(panels, columns=COLUMNS, side=SIDE)]


def explained_pieces(picture: Tensor, method: str, maps: Mapping[str, Saliency]) -> list[Piece]:
    """What each detector rests the object on, over the picture uint8 [3, H, W]."""
    panels = [
        MarkedImage(torch.from_numpy(heat(picture, one.map)).permute(2, 0, 1), (), name) for name, one in maps.items()
    ]
    return [
        f"What it rests on, by {method} (bright: speaks for it)",
        marked_images(panels, columns=COLUMNS, side=SIDE),
    ]


def check_region(region: Any) -> None:
    """See whether what a file says is a region of OcclusionLab.

    Raises:
        DataError: it is none.
    """
    expected = "expected box (four numbers, xyxy pixels), name, and source (a detector or null)"
    if not isinstance(region, dict) or set(region) != {"box", "name", "source"}:
        raise DataError(f"region is {region!r:.60}; {expected}")
    box, name, source = region["box"], region["name"], region["source"]
    numbers = isinstance(box, list) and len(box) == 4 and all(type(one) in (int, float) for one in box)
    if not numbers or not isinstance(name, str) or not isinstance(source, str | None):
        raise DataError(f"region is {region!r:.60}; {expected}")


def _title(name: str, answer: Mapping[str, Any]) -> str:
    """A detector and the score of the object before and now."""
    if answer["before"] is None or answer["now"] is None:
        return name
    return f"{name}: {answer['before']:.2f} → {answer['now']:.2f}"


def _dark(layer: np.ndarray) -> np.ndarray:
    """Opaque places of RGBA uint8 [H, W, 4] as a shade."""
    shade = np.zeros_like(layer)
    shade[..., 3] = (HATCHED * layer[..., 3]).astype(np.uint8)
    return shade
