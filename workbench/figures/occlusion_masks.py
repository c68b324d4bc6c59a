"""The masks of AOFD over the patch of a face, and what is found to hide it (Figs. 3 and 4 of Chen et al.).

A hidden cell is dark. The generator masks the lowest cells of its map, of which only the order counts: colours are
that order, bright where it hides first, and the lowest and highest value of the map stand beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from torch import Tensor

from workbench.analysis.attention import crop
from workbench.analysis.occlusion_masks import GENERATED, SCATTERED, UNTOUCHED, FoundOcclusion, RoIMasks
from workbench.errors import DataError
from workbench.figures.drawing.colours import ORANGE, SKY, WHITE
from workbench.figures.drawing.sheet import GAP, Sheet, as_bytes, class_name, heat, keep

TINT = 0.6  #: opacity of pixels that are occluded


def masks_of_strategies(
    seen: RoIMasks, classes: Sequence[str] | None = None, *, side: float = 1.5, dpi: int = 150
) -> Figure:
    """One face under the mask of each strategy, the score before → after, and what the generator wants to hide.

    Args:
        classes: names of labels 1..K.
        side: inches of a panel.
        dpi: pixels per inch.
    """
    learned = [] if seen.map is None else [GENERATED]
    halves = [name for name in seen.masks if name not in (GENERATED, SCATTERED)]
    sheet = Sheet.blank(2, 4, side, dpi, above=2, labels=GAP)
    patch = sheet.sized(seen.patch)
    name = class_name(seen.label, classes)
    sheet.show(0, 0, keep(patch, torch.ones(1, 1)), f"{UNTOUCHED}\n{name}: {seen.scores[UNTOUCHED]:.2f}")
    if seen.map is not None:
        sheet.show(0, 1, _wanted(patch, seen.map), f"generator's order\nmap {_range(seen.map)}")
    for column, strategy in enumerate([*learned, SCATTERED], start=2 if learned else 1):
        sheet.show(0, column, keep(patch, seen.masks[strategy]), f"{strategy}\n{_change(seen, strategy)}")
    for column, strategy in enumerate(halves):
        sheet.show(1, column, keep(patch, seen.masks[strategy]), f"{strategy}\n{_change(seen, strategy)}")
    return sheet.finished("hidden" if learned else None, "last", "first")


def generated_masks(
    rows: Mapping[str, Mapping[str, RoIMasks]], *, marked: str | None = None, side: float = 1.2, dpi: int = 150
) -> Figure:
    """The generators of several detectors on one face, or one over its training: their maps and their masks.

    Edges are L_com for each masked cell: 1 where none touches another, and the lower the rounder. Below each mask
    stands the score before → after.

    Args:
        rows: name of a detector → column → as `roi_masks` gives it. Detectors without a generator are left out.
        marked: a column whose name is printed in bold.
        side: inches of a panel.
        dpi: pixels per inch.

    Raises:
        DataError: none has a generator.
    """
    learned = {name: {title: one for title, one in row.items() if one.map is not None} for name, row in rows.items()}
    learned = {name: row for name, row in learned.items() if row}
    if not learned:
        raise DataError("there is no generator to draw; no detector's hardener has a mask-generator")
    sheet = Sheet.blank(2 * len(learned), max(len(row) for row in learned.values()), side, dpi, below=1)
    for place, (name, row) in enumerate(learned.items()):
        upper, lower = 2 * place, 2 * place + 1
        sheet.name(upper, name, "its order of hiding,\nand range of its map")
        sheet.name(lower, "", "its mask: edges,\nand score\nbefore → after")
        for column, (title, seen) in enumerate(row.items()):
            patch = sheet.sized(seen.patch)
            sheet.show(upper, column, _wanted(patch, seen.map))
            sheet.title(upper, column, title, bold=title == marked)
            sheet.caption(upper, column, _range(seen.map))
            sheet.show(lower, column, keep(patch, seen.masks[GENERATED]), f"edges {seen.edges[GENERATED]:.2f}")
            sheet.caption(lower, column, _change(seen, GENERATED))
    return sheet.finished("hidden", "last", "first")


def found_and_true(seen: FoundOcclusion, *, side: float = 1.5, dpi: int = 150) -> Figure:
    """What is found to hide a face beside what does, and both in one picture with their IoU.

    Args:
        side: inches of a panel.
        dpi: pixels per inch.
    """
    known = seen.truth is not None
    sheet = Sheet.blank(1, 4 if known else 2, side, dpi, above=2, labels=GAP)
    patch = sheet.sized(seen.patch)
    found = _over(seen, seen.found, patch)
    x1, y1, x2, y2 = seen.box.round().int().tolist()
    chance = seen.chance[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]
    sheet.show(0, 0, heat(patch, chance, top=1), f"chance to be hidden\nup to {float(chance.max()):.2f}")
    sheet.show(0, 1, _tinted(patch, (found, ORANGE)), f"found to hide it\n{float(found.mean()):.0%} (orange)")
    if seen.truth is not None:
        true = _over(seen, seen.truth, patch)
        iou = "nothing in either" if seen.iou is None else f"IoU {seen.iou:.2f}"
        sheet.show(0, 2, _tinted(patch, (true, SKY)), f"what hides it\n{float(true.mean()):.0%} (blue)")
        tints = (found, ORANGE), (true, SKY), (found * true, WHITE)
        sheet.show(0, 3, _tinted(patch, *tints), f"{iou}\n(white: both)")
    return sheet.finished("chance", "0", "1")


def _wanted(patch: Tensor, kept: Tensor) -> np.ndarray:
    """The order in which the cells of a map [h, w] are hidden, the first ones bright."""
    order = kept.flatten().argsort(descending=True).argsort().view_as(kept)
    return heat(patch, order)


def _range(kept: Tensor) -> str:
    return f"{float(kept.min()):.2f} to {float(kept.max()):.2f}"


def _change(seen: RoIMasks, strategy: str) -> str:
    return f"{seen.scores[UNTOUCHED]:.2f} → {seen.scores[strategy]:.2f}"


def _over(seen: FoundOcclusion, pixels: Tensor, patch: Tensor) -> np.ndarray:
    """Pixels bool [H, W] of the image that lie in the patch, as 0 or 1 [h, w, 1] of its size."""
    cut = crop(pixels.expand(3, -1, -1).float(), seen.box, patch.shape[-1])
    return (cut[0].numpy() >= 128).astype(np.float32)[..., None]


def _tinted(patch: Tensor, *tints: tuple[np.ndarray, str]) -> np.ndarray:
    """A patch in grey, so that all colour is the tints': each of pixels [H, W, 1], the last one on top."""
    seen = np.repeat(patch.float().mean(dim=0).numpy()[..., None] / 255, 3, axis=2)
    grey = seen
    for pixels, colour in tints:
        seen = np.where(pixels > 0, TINT * np.array(to_rgb(colour)) + (1 - TINT) * grey, seen)
    return as_bytes(seen)
