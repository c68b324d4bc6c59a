"""Look at proposals: the best by score, which objects they reach, and how SharpMask makes one of them.

The pictures are `workbench.figures.mask_proposals` and `mask_refinement`, of what `workbench.analysis.mask_proposals`
finds; drawn anew at every change.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

import ipywidgets
import numpy as np
import pandas as pd
import torch
import traitlets
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from widgets.parts.controls import WIDE, WIDE_CELLS
from widgets.parts.messages import note
from widgets.parts.pictures import Picture
from widgets.parts.proposers import ProposalSource, Proposes
from widgets.parts.region_explorer import RegionExplorer
from widgets.parts.selection import BOX, WHICH
from widgets.parts.sources import LAST, thinned
from workbench.analysis.mask_proposals import (
    BestProposals,
    Channels,
    TopDownPath,
    best_of_objects,
    object_table,
    top_down_path,
)
from workbench.analysis.occlusion_probe import OcclusionProbe, Thing
from workbench.data import Dataset
from workbench.detectors.base import Detects
from workbench.detectors.layers.found_windows import Ranked
from workbench.detectors.load import DetectorLike
from workbench.detectors.sharp_mask import SharpMask
from workbench.errors import DataError
from workbench.figures.mask_proposals import best_proposals_figure, object_figure, objects_figure
from workbench.figures.mask_refinement import coarse_and_sharp_figure, top_down_figure
from workbench.types import Proposals, Target

HEADINGS = (
    "<b>The chosen object</b> (or your region) and the proposal of highest IoU from each proposer",
    "<b>All objects</b>: the best proposal of each with its IoU; red: missed",
    "<b>The best by score</b>, with rank and score; yellow: the one looked at",
    "<b>Top-down path</b>: mask encodings that grow into the mask, bright: high, on a scale of their own",
    "<b>Coarse and sharp</b>: the masks of this window without refinement and with it; white: the object",
)
TOPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
MOST = 48  #: proposals that can be drawn
GROWTH = (1, 10, 100, 1000)  #: numbers of proposals that are compared
OVER_TRAINING, BY_NUMBER = "All objects over training", "All objects, the more proposals there are"


class ProposalExplorer(RegionExplorer):
    """The proposals of one or several proposers for an image, the objects they reach and those they miss.

    Args:
        proposers: a detector, a `Run`, or the name or path of one (a DeepMask, SharpMask, proposal network or Faster
            R-CNN gives its own proposals, any other its detections), a data set with proposals of the same images
            (`with_proposals`), or a function from an image uint8 [3, H, W] to `Proposals` or boxes, such as
            `SelectiveSearch()`; or a list or a dict (name → such).
        data: a `Dataset` to leaf through, or one image uint8 or float (0..1) [3, H, W], or uint8 [H, W, 3] as array
            or PIL image.
        target: what is known of one image; without one, what the first detector finds are the objects.
        classes: names of the target's labels 1..K, where they are not the data's or the first detector's.
        state: any of the traitlets.

    Traitlets, to be set from Python or with the controls: `detector` (name of the proposer that is looked at), `step`
    (of a run's checkpoint; -1: its last), `top` (how many proposals each may give), `number` (how many of them are
    drawn), `rank` (of the proposal that is looked at, from 1 on; 0: the best of the object), `channels` (what is
    shown of an encoding: "mean" or "strongest"), `index` (of the image), `chosen` (position in `objects`, or None)
    and `box` (a region of your own, xyxy pixels). `show()` sets several at once. `found` and `best` are `Proposals`
    and `BestProposals` by name, `path` is a `TopDownPath` where the proposer is a SharpMask, `table` has a row for
    each object, `missed` are the objects that the proposer misses, `note` says what is not shown, and `error` what
    went wrong with the last change. `selection` has a row for each proposer: the object or region, and rank, score
    and IoU of the proposal that fits it best.

    Example:
        >>> detector = wb.load_detector("digit-scenes/faster-rcnn")
        >>> explorer = widgets.ProposalExplorer({"RPN": detector}, *wb.load_data("digit-scenes", split="test")[7])
        >>> explorer.best["RPN"].summary["found"], explorer.missed
        (5, [])
    """

    OPTIONS = ("top", "number", "rank", "channels")
    OF_CLASS = False
    COLUMNS = (*WHICH, *BOX, "occlusion", "detector", "rank", "score", "iou")

    top = traitlets.Enum(TOPS, 100)
    number = traitlets.Int(12, min=1, max=MOST)
    rank = traitlets.Int(0, min=0)
    channels = traitlets.Enum(get_args(Channels), "mean")
    missed = traitlets.List(traitlets.Int(), read_only=True, help="positions of objects that `detector` misses")
    note = traitlets.Unicode("", read_only=True, help="what there is not to see, and why")
    path: TopDownPath | None = None
    table: pd.DataFrame

    def __init__(
        self,
        proposers: DetectorLike | Dataset | Proposes | Sequence[Any] | Mapping[str, Any],
        data: Dataset | Tensor | np.ndarray | Image.Image,
        target: Target | None = None,
        *,
        classes: tuple[str, ...] | None = None,
        **state: Any,
    ):
        self._given = data
        super().__init__(proposers, data, target, classes=classes, **state)

    def _opened(self, thing: DetectorLike | Dataset | Proposes) -> ProposalSource:
        return ProposalSource(thing, self._given)

    def _find_objects(self, target: Target | None) -> list[Thing]:
        """The true ones; where they are not known, those that the first detector finds."""
        detectors = [source.detector() for source in self.sources.values()]
        if target is None:
            able = [one for one in detectors if isinstance(one, Detects)]
            objects = OcclusionProbe({"": able[0]}, self.image, classes=self._classes).objects if able else []
            boxes = torch.tensor([thing.box for thing in objects]).reshape(-1, 4)
            self.target = Target(boxes=boxes, labels=torch.ones(len(boxes), dtype=torch.long))
            return objects
        self.target = target
        numbers = [f"label {label}" for label in range(1, max([0, *target["labels"].tolist()]) + 1)]
        return self._true_objects(target, next((one.classes for one in detectors if one.classes), numbers))

    def _guess(self) -> int:
        return 0  # proposals have no class

    def _follow(self, name: str, state: Mapping[str, Any]) -> None:
        super()._follow(name, state)
        if name in ("detector", "step", "top", "index", "chosen", "box"):
            self.rank = state.get("rank", 0)

    # ---- what is found ---------------------------------------------------------------------------------------

    def _answer(self) -> None:
        self.found = {name: self._asked(name)[0] for name in self.sources}
        self.best = {name: self._best(name, found) for name, found in self.found.items()}
        self.region = Target(boxes=torch.tensor([self.box]), labels=torch.tensor([1]))
        if self.chosen is None:
            self.of_one = {name: best_of_objects(found, self.region) for name, found in self.found.items()}
        else:
            self.of_one = self.best
        self._looked = self._rank_looked_at()
        self.table = object_table(self.best, [thing.name for thing in self.objects])
        self.set_trait("missed", self.best[self.detector].missed.nonzero()[:, 0].tolist())
        self.path, missing = self._top_down_path()
        self.set_trait("note", missing)

    def _asked(self, name: str, step: int | None = None) -> tuple[Proposals, Ranked | None]:
        """What a source proposes for the image, and its windows where these are known; asked once."""
        step = (self.step if name == self.detector else LAST) if step is None else step
        key = (name, step, self.top)
        if key not in self._compared:
            self._compared[key] = self.sources[name].proposals(self.image, self.index, self.top, step)
        return self._compared[key]

    def _best(self, name: str, found: Proposals) -> BestProposals:
        return best_of_objects(found, self.target, masks=self._mask_key(name))

    def _mask_key(self, name: str) -> str:
        """Where targets have the masks that those of a source should be."""
        return getattr(self.sources[name].detector(), "mask_key", None) or "masks"

    def _chosen_rows(self) -> list[dict[str, Any]]:
        """The region once for each proposer, with the best proposal of it."""
        which, row = super()._chosen_rows()[0], self.chosen or 0
        rows = []
        for name, best in self.of_one.items():
            fits = which | {"detector": name}
            if (place := int(best.index[row])) >= 0:
                fits |= {"rank": place + 1, "score": float(best.proposals.scores[place]), "iou": float(best.iou[row])}
            rows.append(fits)
        return rows

    def _rank_looked_at(self) -> int:
        """The rank that is asked for, or of the best proposal of the object; 0 where none overlaps it."""
        if self.rank > (number := len(self.found[self.detector])):
            raise DataError(f"rank is {self.rank}; {self.detector} gives {number} proposals")
        return self.rank or int(self.of_one[self.detector].index[self.chosen or 0]) + 1

    def _top_down_path(self) -> tuple[TopDownPath | None, str]:
        """How the proposal that is looked at was made, or why that is not to be seen."""
        detector = self._detector
        if not len(self.found[self.detector]):
            return None, f"{self.detector} proposes nothing for this image."
        if not isinstance(detector, SharpMask) or not detector.refines:
            able = [name for name, one in self.sources.items() if isinstance(one.detector(), SharpMask)]
            return None, f"Choose {able[0]} as the proposer to see its top-down path." if able else ""
        if not self._looked:
            return None, "No proposal overlaps the object; choose one by its rank to see its top-down path."
        return top_down_path(detector, self.image, self._looked, found=self._asked(self.detector)[1]), ""

    # ---- what is shown ---------------------------------------------------------------------------------------

    def _draw(self) -> None:
        self._facts.value, self._note.value, self._table.value = self._sentence(), note(self.note), self._as_html()
        for box, (key, draw) in zip(self._boxes, self._parts_to_draw(), strict=True):
            box.children[1].draw(draw, *key)
            box.layout.display = None if box.children[1].value else "none"
        self.comparison.titles = (OVER_TRAINING if self._source.steps else BY_NUMBER,)
        self._draw_comparison()

    def _parts_to_draw(self) -> list[tuple[tuple, Callable[[], Figure | None]]]:
        """What each figure follows from, so that none is drawn again in vain, and how it is drawn; None: hidden."""
        masks, looked, path, image = self._mask_key(self.detector), self._looked, self.path, self.image
        found, every = self.found[self.detector], (*self.found.values(), masks)
        one, row, name = (self.region, 0, "your region")
        if self.chosen is not None:
            one, row, name = self.target, self.chosen, self._name()
        truth = None
        if masks in one and bool(one[masks][row].any()):
            truth = one[masks][row].as_subclass(Tensor).cpu().bool()

        def ranked() -> Figure | None:
            return best_proposals_figure(image, found, self.number, chosen=looked) if len(found) else None

        return [
            (
                (*every, self.chosen, *self.box),
                lambda: object_figure(image, one, row, self.of_one, name=name, masks=masks),
            ),
            (every, lambda: objects_figure(image, self.target, self.best, masks=masks)),
            ((found, self.number, looked), ranked),
            ((found, looked, self.channels), lambda: path and top_down_figure(image, path, channels=self.channels)),
            ((found, looked, self.chosen), lambda: path and coarse_and_sharp_figure(image, path, truth=truth)),
        ]

    def _name(self) -> str:
        return f"{self.chosen + 1}: {self.objects[self.chosen].name}"

    def _sentence(self) -> str:
        """The best proposal of the object or region from each proposer."""
        row = self.chosen or 0
        parts = []
        for name, best in self.of_one.items():
            rank, kind = int(best.index[row]) + 1, best.overlapping(row)
            said = f"IoU <b>{float(best.iou[row]):.2f}</b> of {kind}, rank {rank}" if rank else "none overlaps it"
            lost = ", <b>missed</b>" if bool(best.missed[row]) else ""
            parts.append(f"{html.escape(name)}: {said}{lost}")
        what = "This region" if self.chosen is None else f"Object {html.escape(self._name())}"
        return f"{what}. Among the best {self.top:,} proposals: {'; '.join(parts)}."

    def _as_html(self) -> str:
        """The table of objects; names are text."""
        return self.table.to_html(float_format="{:.2f}".format, na_rep="–", border=0, index_names=False, **WIDE_CELLS)

    def _draw_comparison(self) -> None:
        """All objects over a run's training, or with more and more proposals; only while it is open."""
        if self.comparison.selected_index is None:
            return
        name, found = self.detector, self.found[self.detector]
        if steps := self._source.steps:
            shown = {f"step {step:,}": self._asked(name, step)[0] for step in thinned(steps, self.step)}
        else:
            numbers = [*(number for number in GROWTH if number < len(found)), len(found)]
            shown = {f"{name}, best {number}": found.top(number) for number in numbers}
        best = {title: self._best(name, some) for title, some in shown.items()}
        shown_of = self.image, self.target, best
        self.compared.draw(lambda: objects_figure(*shown_of, masks=self._mask_key(name)))

    # ---- parts -----------------------------------------------------------------------------------------------

    def _panels(self) -> list[ipywidgets.Widget]:
        self._controls["label"].layout.display = "none"
        self._controls["detector"].description = "Proposer"
        self._note = ipywidgets.HTML()
        self.one, self.all, self.ranked, self.top_down, self.masks = parts = [Picture() for _ in HEADINGS]
        self._boxes = [
            ipywidgets.VBox([ipywidgets.HTML(text), part]) for text, part in zip(HEADINGS, parts, strict=True)
        ]
        self._table = ipywidgets.HTML(layout={"overflow": "auto", "max_height": "260px"})
        return [self._note, *self._boxes, self._table]

    def _controls_of_options(self) -> dict[str, ipywidgets.Widget]:
        channels = [("mean of channels", "mean"), ("strongest channel", "strongest")]
        controls = {
            "top": ipywidgets.SelectionSlider(options=TOPS, value=100, description="Proposals", **WIDE),
            "number": ipywidgets.IntSlider(value=12, min=1, max=MOST, description="Draw", **WIDE),
            "rank": ipywidgets.BoundedIntText(min=0, max=TOPS[-1], description="Look at rank", **WIDE),
            "channels": ipywidgets.Dropdown(options=channels, description="Encodings", **WIDE),
        }
        controls["top"].tooltip = "How many proposals each proposer may give; objects are missed among these"
        controls["number"].tooltip = "How many of the best are drawn"
        controls["rank"].tooltip = "The proposal whose top-down path is shown; 0: the best of the object"
        return controls
