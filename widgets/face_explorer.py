"""Look at the parts of AOFD on one face: the masks of each strategy, and what is found to hide it.

The pictures are `workbench.figures.occlusion_masks`, drawn anew at every change. The slider of a run's checkpoints
shows how its mask generator and its occlusion branch learned.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets
import torch
import traitlets
from matplotlib.figure import Figure
from torch import tensor

from widgets.parts.controls import WIDE
from widgets.parts.messages import note
from widgets.parts.pictures import Picture
from widgets.parts.region_explorer import SIZE, RegionExplorer
from widgets.parts.sources import COLUMNS, LAST, thinned
from workbench.analysis.occlusion_masks import (
    FoundOcclusion,
    RoIMasks,
    found_occlusion,
    mask_generator,
    roi_masks,
)
from workbench.figures.adversary import class_scores
from workbench.figures.occlusion_masks import found_and_true, generated_masks, masks_of_strategies

HEADINGS = (
    "<b>Masks</b> of each strategy (dark: hidden), with the score before → after",
    "<b>The generators beside each other</b>, at the same step where they have it; low edges: round masks",
    "<b>What hides it</b>, as the occlusion branch finds it and as it is",
    "<b>Class scores</b> before and after each mask",
)


class FaceExplorer(RegionExplorer):
    """What masks do to one face, or another object, and where a detector sees something before it.

    Args:
        detectors: a detector, a `Run`, or the name or path of one, or a list or a dict (name → such). Runs have their
            mask generator at any checkpoint; a saved detector has none, and then only the fixed masks are shown. The
            generators of several, such as with and without the compact loss, are shown beside each other.
        data: a `Dataset` to leaf through, or one image uint8 or float (0..1) [3, H, W], or uint8 [H, W, 3] as array
            or PIL image.
        target: what is known of one image.
        classes: names of the target's labels 1..K, where they are not the data's or the first detector's.
        state: any of the traitlets.

    Traitlets, to be set from Python or with the controls: `detector` (name), `step` (of a run's checkpoint; -1: its
    last), `area` (share of the cells that a generator hides), `sample` (another number draws another random half),
    `index` (of the image), `chosen` (position in `objects`, or None), `box` (the region, xyxy pixels) and `label`
    (the class whose score is shown, 0 is background). `show()` sets several at once. `seen` (`RoIMasks`) and
    `occlusion` (`FoundOcclusion` or None) are what is shown, `scores` the score after each mask, `iou` that of the
    found and the true occlusion, `note` says what is missing, and `error` what went wrong with the last change.
    `selection` is the region, with its score before any mask.

    Example:
        >>> detector = wb.load_detector("digit-scenes/faster-rcnn")
        >>> explorer = widgets.FaceExplorer(detector, *wb.load_data("digit-scenes", split="test")[7])
        >>> list(explorer.scores)[:2]  # a saved detector has no generator
        ['untouched', 'left half']
        >>> explorer.scores["random half"] < explorer.scores["untouched"]
        True
    """

    OPTIONS = ("area", "sample")
    HARDENED = True
    QUESTION = "Class"

    area = traitlets.Float(0.33, min=0, max=1)
    sample = traitlets.Int(0, min=0, max=50)
    scores = traitlets.Dict(read_only=True, help="strategy → probability of `label`")
    iou = traitlets.Float(None, allow_none=True, read_only=True, help="of found and true occlusion; None: not known")
    note = traitlets.Unicode("", read_only=True, help="what there is not to see, and why")
    seen: RoIMasks | None = None
    occlusion: FoundOcclusion | None = None

    def _show(self, **state: Any) -> None:
        if "area" in state:
            self._compared.clear()
        super()._show(**state)

    def _look(self) -> None:
        self.occlusion = found_occlusion(self._detector, self.image, tensor(self.box), self._target)

    def _guess(self) -> int:
        return roi_masks(self._detector, self.image, tensor(self.box)).label

    def _seen(self, name: str, step: int, box: Sequence[float], label: int) -> RoIMasks:
        return roi_masks(self.sources[name].detector(step), self.image, tensor(box), label, area=self.area)

    def _score(self) -> float:
        return self.scores["untouched"]

    def _answer(self) -> None:
        drawn = torch.Generator().manual_seed(self.sample)
        region = (self.image, tensor(self.box), self.label)
        self.seen = roi_masks(self._detector, *region, area=self.area, generator=drawn)
        self.set_trait("scores", self.seen.scores)
        self.set_trait("iou", None if self.occlusion is None else self.occlusion.iou)
        self.set_trait("note", " ".join(self._missing()))

    def _missing(self) -> list[str]:
        """Sentences on what is not there, or has not learned."""
        missing = []
        if self.seen.map is None and self._source.run is not None:
            missing.append("This run trains no mask generator, so only the fixed masks are shown.")
        elif self.seen.map is None:
            what = "This detector came without a mask generator, so only the fixed masks are shown."
            missing.append(f"{what} The run that trained one has it at every checkpoint: FaceExplorer(run, ...).")
        elif self._source.learned_steps(self.step) == 0:
            missing.append("The generator learned nothing before this checkpoint: what is shown of it is chance.")
        if self.occlusion is None:
            missing.append("The detector has no occlusion branch.")
        elif self.occlusion.truth is None:
            missing.append("What truly hides objects is not known of this image.")
        return missing

    # ---- what is shown ---------------------------------------------------------------------------------------

    def _draw(self) -> None:
        names = self._names[1:]
        self._facts.value = self._sentence()
        self._note.value = note(self.note)
        seen, found = self.seen, self.occlusion
        self.masks.draw(lambda: masks_of_strategies(seen, names, **SIZE), seen)
        beside = self._generators()
        several = len(beside.get("", ())) > 1
        self._show_part(1, lambda: generated_masks(beside, **SIZE) if several else None)
        self._show_part(2, lambda: None if found is None else found_and_true(found, **SIZE), found)
        self.bars.draw(lambda: class_scores(seen, names), seen)
        self._draw_comparison()

    def _show_part(self, place: int, figure: Callable[[], Figure | None], *follows: Any) -> None:
        """Draw a part, which is hidden where there is nothing to draw."""
        shown = self._boxes[place].children[1]
        shown.draw(figure, *follows)
        self._boxes[place].layout.display = None if shown.value else "none"

    def _generators(self) -> dict[str, dict[str, RoIMasks]]:
        """Those of all sources on this region, as one row: the chosen one at its checkpoint, the others at theirs."""
        found = {self.detector: self.seen}
        for name, source in self.sources.items():
            if name != self.detector and mask_generator(source.detector().hardener) is not None:
                found[name] = self._ask(name, self.step if self.step in source.steps else LAST)
        order = [name for name in self.sources if found.get(name) is not None]
        return {"": {name: found[name] for name in order if found[name].map is not None}}

    def _sentence(self) -> str:
        """What the masks make of the score, and how well the occlusion is found."""
        parts = [f"{html.escape(name)} <b>{score:.2f}</b>" for name, score in self.scores.items()]
        text = f"Score of <b>{html.escape(self._names[self.label])}</b>: {', '.join(parts)}."
        return text if self.iou is None else f"{text} IoU of the occlusion map <b>{self.iou:.2f}</b>."

    def _draw_comparison(self) -> None:
        """The generators over training, or on all objects; only while it is open, since each must be asked."""
        if self.comparison.selected_index is None:
            return
        rows: dict[str, dict[str, RoIMasks]] = {}
        marked = None
        for name, source in self.sources.items():
            steps = source.steps
            wanted = steps[-1] if steps and self.step == LAST else self.step
            if self._source.steps:
                asked = {f"step {step:,}": self._ask(name, step) for step in thinned(steps, wanted)}
            else:
                things = enumerate(self.objects[:COLUMNS], start=1)
                asked = {f"{place}: {thing.name}": self._ask(name, LAST, thing) for place, thing in things}
            rows[name] = {title: seen for title, seen in asked.items() if seen is not None and seen.map is not None}
            marked = f"step {wanted:,}" if name == self.detector and steps else marked
        known = any(rows.values())
        self.compared.draw(lambda: generated_masks(rows, marked=marked, **SIZE) if known else None)

    # ---- parts -----------------------------------------------------------------------------------------------

    def _panels(self) -> list[ipywidgets.Widget]:
        self._note = ipywidgets.HTML()
        self.masks, self.generators, self.occluded, self.bars = parts = [Picture() for _ in HEADINGS]
        self._boxes = [
            ipywidgets.VBox([ipywidgets.HTML(text), part]) for text, part in zip(HEADINGS, parts, strict=True)
        ]
        return [self._note, *self._boxes]

    def _controls_of_options(self) -> dict[str, ipywidgets.Widget]:
        fraction = {"min": 0.0, "max": 1.0, "step": 0.01, "readout_format": ".0%", **WIDE}
        controls = {
            "area": ipywidgets.FloatSlider(value=0.33, description="Hide", **fraction),
            "sample": ipywidgets.IntSlider(min=0, max=50, description="Sample", **WIDE),
        }
        controls["area"].tooltip = "The share of the cells that a generator hides, those of its lowest values"
        controls["sample"].tooltip = "Another number draws another random half"
        return controls
