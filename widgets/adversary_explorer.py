"""Look at what the adversaries of A-Fast-RCNN do to one object: the search, ASDN's masks, ASTN's rotations.

The pictures are `workbench.figures.adversary`, drawn anew at every change. The slider of a run's checkpoints shows
how its adversary learned.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import partial

import ipywidgets
import torch
import traitlets
from torch import tensor

from widgets.parts.controls import WIDE
from widgets.parts.messages import note
from widgets.parts.pictures import Picture
from widgets.parts.region_explorer import SIZE, RegionExplorer
from widgets.parts.sources import COLUMNS, LAST, thinned
from workbench.analysis.adversary import RoIAdversary, adversaries, has_begun, roi_adversary
from workbench.analysis.occlusion_masks import mask_generator
from workbench.figures.adversary import (
    class_scores,
    hardest_windows_of_objects,
    rotated_blocks,
    sampled_masks,
    search_map,
)
from workbench.hardeners.layers.adversary import Adversary

HEADINGS = (
    "<b>The exhaustive search</b>: how far each window raises the loss (bright: more), and the worst window",
    "<b>ASDN</b>: its heat map, and masks sampled from it (dark: dropped) with the score before → after",
    "<b>ASTN</b>: what each block of channels holds, and the same rotated by its own angle",
    "<b>Class scores</b> before and after each (a dot for each sampled mask)",
)
OVER_TRAINING, ALL_OBJECTS = "This region over training", "All objects of this image"


class AdversaryExplorer(RegionExplorer):
    """What the search and a detector's own adversaries do to one region, and what the head makes of it.

    Args:
        detectors: a detector, a `Run`, or the name or path of one, or a list or a dict (name → such). Runs
            show their adversary at any checkpoint; a saved detector has none, and then the search alone is shown.
        data: a `Dataset` to leaf through, or one image uint8 or float (0..1) [3, H, W], or uint8 [H, W, 3] as array
            or PIL image.
        target: what is known of one image.
        classes: names of the target's labels 1..K, where they are not the data's or the first detector's.
        state: any of the traitlets.

    Traitlets, to be set from Python or with the controls: `detector` (name), `step` (of a run's checkpoint; -1: its
    last), `masks` (how many are sampled), `sample` (another number draws others), `stride` (of the search, in cells),
    `index` (of the image), `chosen` (position in `objects`, or None), `box` (the region, xyxy pixels) and `label`
    (the true class, 0 is background). `show()` sets several at once. `seen` is what is shown (a `RoIAdversary`),
    `scores` the score after each player, `note` says what is missing, and `error` what went wrong with the last
    change. `selection` is the region, with its score before any player.

    Example:
        >>> detector = wb.load_detector("digit-scenes/faster-rcnn")
        >>> explorer = widgets.AdversaryExplorer(detector, *wb.load_data("digit-scenes", split="test")[7])
        >>> list(explorer.scores)  # a saved detector has no adversary
        ['untouched', 'worst window']
        >>> explorer.scores["worst window"] < explorer.scores["untouched"]
        True
    """

    OPTIONS = ("masks", "sample", "stride")
    HARDENED = True
    QUESTION = "True class"

    masks = traitlets.Int(5, min=1, max=8)
    sample = traitlets.Int(0, min=0, max=50)
    stride = traitlets.Int(1, min=1, max=4)
    scores = traitlets.Dict(read_only=True, help="player → probability of `label`")
    note = traitlets.Unicode("", read_only=True, help="what there is not to see, and why")
    seen: RoIAdversary | None = None

    def _guess(self) -> int:
        return self._seen(self.detector, self.step, self.box, None).label

    def _seen(self, name: str, step: int, box: Sequence[float], label: int | None) -> RoIAdversary:
        return roi_adversary(self.sources[name].detector(step), self.image, tensor(box), label, masks=1)

    def _score(self) -> float:
        return self.scores["untouched"]

    def _answer(self) -> None:
        options = {"masks": self.masks, "stride": self.stride}
        drawn = torch.Generator().manual_seed(self.sample)
        region = (self.image, tensor(self.box), self.label)
        self.seen = roi_adversary(self._detector, *region, generator=drawn, **options)
        self.set_trait("scores", self.seen.scores)
        self.set_trait("note", self._missing())

    def _missing(self) -> str:
        """Why there is no adversary to see, or none that has learned."""
        players = list(adversaries(self._detector.hardener))
        if not players and mask_generator(self._detector.hardener) is not None:
            return "Only the search is shown; widgets.FaceExplorer shows what a mask generator does."
        if not players and self._source.run is not None:
            return "This run trains no adversary, so only the search is shown."
        if not players:
            return (
                "This detector came without an adversary, so only the search is shown. Saved detectors leave it "
                "behind; the run that trained one has it at every checkpoint: AdversaryExplorer(run, ...)."
            )
        unlearned = [type(player).__name__ for player in players if not self._has_learned(player)]
        if not unlearned:
            return ""
        return f"{' and '.join(unlearned)} learned nothing before this checkpoint: what is shown of it is chance."

    def _has_learned(self, player: Adversary) -> bool:
        learned = self._source.learned_steps(self.step)
        return has_begun(player) if learned is None else learned > 0

    # ---- what is shown ---------------------------------------------------------------------------------------

    def _draw(self) -> None:
        names = self._names[1:]
        self._facts.value = self._sentence()
        self._note.value = note(self.note)
        seen, region = self.seen, (self._detector, self.image, tuple(self.box), self.label)
        self.search.draw(lambda: search_map(seen, names, **SIZE), *region, self.stride)
        for part, box, shown, draw, options in (
            (seen.dropout, self._of_asdn, self.dropout, sampled_masks, (self.masks, self.sample)),
            (seen.rotation, self._of_astn, self.rotation, rotated_blocks, ()),
        ):
            box.layout.display = None if part is not None else "none"
            shown.draw(partial(draw, seen, **SIZE) if part is not None else lambda: None, *region, *options)
        self.bars.draw(lambda: class_scores(seen, names), seen)
        self.comparison.titles = (OVER_TRAINING if self._source.steps else ALL_OBJECTS,)
        self._draw_comparison()

    def _sentence(self) -> str:
        """What each player makes of the score."""
        parts = [f"{html.escape(name)} <b>{score:.2f}</b>" for name, score in self.scores.items()]
        text = f"Score of <b>{html.escape(self._names[self.label])}</b>: {', '.join(parts)}."
        passed = self.seen.passed
        if len(passed):
            text += f" {int(passed.sum())} of {len(passed)} masks are hard enough to be learned from."
        return text

    def _draw_comparison(self) -> None:
        """Fig. 3 over a run's checkpoints, or for all objects; only while it is open, since each must be asked."""
        if self.comparison.selected_index is None:
            return
        steps, marked = self._source.steps, None
        if steps:
            found = {f"step {step:,}": self._ask(self.detector, step) for step in thinned(steps, self.step)}
            marked = f"step {steps[-1] if self.step == LAST else self.step:,}"
        else:
            things = enumerate(self.objects[:COLUMNS], start=1)
            found = {f"{place}: {thing.name}": self._ask(self.detector, LAST, thing) for place, thing in things}
        known = {title: seen for title, seen in found.items() if seen is not None}
        self.compared.draw(lambda: hardest_windows_of_objects(known, marked=marked, **SIZE) if known else None)

    # ---- parts -----------------------------------------------------------------------------------------------

    def _panels(self) -> list[ipywidgets.Widget]:
        self._note = ipywidgets.HTML()
        self.search, self.dropout, self.rotation, self.bars = (Picture() for _ in range(4))
        parts = (self.search, self.dropout, self.rotation, self.bars)
        boxes = [ipywidgets.VBox([ipywidgets.HTML(text), part]) for text, part in zip(HEADINGS, parts, strict=True)]
        _, self._of_asdn, self._of_astn, _ = boxes
        return [self._note, *boxes]

    def _controls_of_options(self) -> dict[str, ipywidgets.Widget]:
        controls = {
            "masks": ipywidgets.IntSlider(value=5, min=1, max=8, description="Masks", **WIDE),
            "sample": ipywidgets.IntSlider(min=0, max=50, description="Sample", **WIDE),
            "stride": ipywidgets.IntSlider(value=1, min=1, max=4, description="Stride", **WIDE),
        }
        controls["masks"].tooltip = "How many masks are sampled from ASDN's heat map"
        controls["sample"].tooltip = "Another number draws other masks"
        controls["stride"].tooltip = "Cells between two windows of the search"
        return controls
