"""Look at the levels of a feature pyramid: its maps, which level each object goes to, and anchors against objects.

The pictures are `workbench.figures.pyramid`, of what `workbench.analysis.pyramid` finds; drawn anew at every change.
"""

from __future__ import annotations

import html
import math
from functools import partial
from typing import Any

import ipywidgets
import torch
import traitlets
from torch import Tensor

from widgets.parts.controls import WIDE, WIDE_CELLS
from widgets.parts.pictures import Picture
from widgets.parts.region_explorer import RegionExplorer
from widgets.parts.selection import BOX, WHICH
from widgets.parts.sources import COLUMNS, LAST, thinned
from workbench.analysis.occlusion_probe import Thing
from workbench.analysis.pyramid import MATCH_KINDS, AnchorMatch, PyramidView, look, object_table
from workbench.detectors.base import Detects
from workbench.figures.pyramid import anchors_figure, assignment_figure, levels_figure
from workbench.types import Target

HEADINGS = (
    "<b>Levels</b>: the energy of each map, bright: high, on a scale of its own; above, the maps it is built from",
    "<b>Which level?</b> Objects and proposals in the colours of their levels",
    "<b>Anchors</b>: matched (green) and ignored (orange, dashed); the others are background",
)
OVER_TRAINING, OF_ALL = "The levels over training", "The levels of all detectors"
MOST = 300  #: proposals that can be drawn


class PyramidExplorer(RegionExplorer):
    """The levels of one or several detectors on an image, where its objects and proposals go, and their anchors.

    Args:
        detectors: Faster R-CNN, Mask R-CNN, a proposal network or RetinaNet, or a `Run` of one, a list of runs, or a
            dict of name → detector or run.
        data: a `Dataset` to leaf through, or one image uint8 or float (0..1) [3, H, W], or uint8 [H, W, 3] as array
            or PIL image.
        target: what is known of one image; without one, what the first detector finds are the objects.
        classes: names of the target's labels 1..K, where they are not the data's or the first detector's.
        state: any of the traitlets.

    Traitlets, to be set from Python or with the controls: `detector` (name), `step` (of a run's checkpoint; -1: its
    last), `proposals` (how many are drawn), `all_anchors` (of every object, or of the chosen one), `index` (of the
    image), `chosen` (position in `objects`, or None) and `box` (a region of your own, xyxy pixels). `show()` sets
    several at once. `view` (a `PyramidView`), `match` (an `AnchorMatch`) and `table` (a row for each object) are what
    is shown, `level` is where the region goes, and `error` says what went wrong with the last change. `selection` is
    the region, with its level.

    Example:
        >>> detector = wb.load_detector("digit-scenes/faster-rcnn")
        >>> explorer = widgets.PyramidExplorer(detector, *wb.load_data("digit-scenes", split="test")[7])
        >>> len(explorer.table), explorer.level
        (5, 'P2')
    """

    OPTIONS = ("proposals", "all_anchors")
    OF_CLASS = False
    COLUMNS = (*WHICH, *BOX, "occlusion", "level", "detector")

    proposals = traitlets.Int(100, min=0, max=MOST)
    all_anchors = traitlets.Bool(False)
    level = traitlets.Unicode("", read_only=True, help="the name of the level of the region")
    view: PyramidView | None = None
    _image_seen: Tensor | None = None  #: the image of `view`
    _proposals: dict[int, Tensor]  #: how many were asked for → their boxes in `view`
    match: AnchorMatch | None = None

    def _find_objects(self, target: Target | None) -> list[Thing]:
        """The true ones; where they are not known, those that the first detector finds."""
        first = next(iter(self.sources.values())).detector()
        if target is None:
            return super()._find_objects(None) if isinstance(first, Detects) else []
        return self._true_objects(target, first.classes)

    def _guess(self) -> int:
        return 0  # levels and anchors do not ask for a class

    def _look(self) -> None:
        if self.view is None or self.view.detector is not self._detector or self._image_seen is not self.image:
            self.view, self._image_seen = look(self._detector, self.image), self.image
            self._proposals = {}
        self.target = self._of_objects()
        self.match = self.view.match(self.target)
        self.table = object_table(self.view, self.target, [thing.name for thing in self.objects])
        self.region = Target(boxes=torch.tensor([self.box]), labels=torch.tensor([1]))
        where = int(self.view.box_levels(self.region["boxes"]).levels)
        self.set_trait("level", self.view.levels[where].name)

    def _answer(self) -> None:
        top = self.proposals
        if top not in self._proposals:
            found = self._detector.proposals([self.image], top)[0].boxes.cpu() if top else torch.zeros(0, 4)
            self._proposals[top] = found
        self.proposed = self._proposals[top]

    def _chosen_rows(self) -> list[dict[str, Any]]:
        return [row | {"level": self.level} for row in super()._chosen_rows()]

    def _of_objects(self) -> Target:
        """The objects as a target; each has a label of its own, and crowds stay crowds."""
        number = len(self.objects)
        boxes = torch.tensor([thing.box for thing in self.objects]).reshape(-1, 4)
        given = self.data[self.index][1] or {}
        flags = {flag: given[flag] for flag in ("iscrowd", "difficult") if flag in given}
        return Target(boxes=boxes, labels=torch.arange(1, number + 1), **flags)

    # ---- what is shown ---------------------------------------------------------------------------------------

    def _draw(self) -> None:
        self._facts.value = self._sentence()
        self._table.value = self._as_html()
        image, view, boxes, proposed = self.image, self.view, self.target["boxes"], self.proposed
        built = {"bottom-up": view.body} if len(view.body) > 1 else {}
        rows = {**built, self.detector: view.levels}
        self.maps.draw(lambda: levels_figure(image, rows, boxes=boxes), view)
        what = "proposals" if self._detector.proposes else "detections"
        region = self.region["boxes"][0] if self.chosen is None else None
        box = None if region is None else tuple(self.box)
        where = partial(assignment_figure, image, view, boxes, proposed, region=region, what=what)
        self.where.draw(where, view, proposed, box)
        match, chosen = self.match, None if self.all_anchors else self.chosen
        if self.chosen is None and not self.all_anchors:
            boxes, match, chosen = self.region["boxes"], view.match(self.region), 0
        draw = partial(anchors_figure, image, view, match, boxes, chosen=chosen)
        self.anchors.draw(draw, view, chosen, self.all_anchors or box)
        self.comparison.titles = (OVER_TRAINING if self._source.steps else OF_ALL,)
        self._draw_comparison()

    def _sentence(self) -> str:
        """Where the region goes, with the numbers of the equation, and what its anchors say."""
        if self.chosen is None:
            row = object_table(self.view, self.region, [""]).iloc[0]
            name = "This region"
        else:
            row = self.table.iloc[self.chosen]
            name = f"Object {self.chosen + 1} (<b>{html.escape(row['class'])}</b>)"
        goes = f"it goes to <b>{row['level']}</b>"
        if not math.isnan(row["exact level"]):
            size = self.view.pool.canonical_size
            goes = f"4 + log₂({row['side']:.1f} / {size:g}) = {row['exact level']:.2f}, so {goes}"
        best = "" if math.isnan(row["best IoU"]) else f" (best IoU {row['best IoU']:.2f})"
        return f"{name}: √(wh) is {row['side']:.1f} pixels; {goes}. It {MATCH_KINDS[row['anchors say']]}{best}."

    def _as_html(self) -> str:
        """The table of objects; names are text."""
        shown = self.table.rename(columns=lambda name: name.replace("anchors ", "matched ", 1))
        shown = shown.rename(columns={"matched say": "anchors say", "side": "√(wh)"})
        return shown.to_html(float_format="{:.2f}".format, na_rep="–", border=0, index_names=False, **WIDE_CELLS)

    def _draw_comparison(self) -> None:
        """The levels of a run's checkpoints, or of all detectors; only while it is open."""
        if self.comparison.selected_index is None:
            return
        steps = self._source.steps
        if steps:
            asked = {f"step {step:,}": (self.detector, step) for step in thinned(steps, self.step)}
        else:
            asked = {name: (name, LAST) for name in list(self.sources)[:COLUMNS]}
        for one in asked.values():
            if one not in self._compared:
                self._compared[one] = look(self.sources[one[0]].detector(one[1]), self.image)
        rows = {title: self._compared[one].levels for title, one in asked.items()}
        image, boxes = self.image, self.target["boxes"]
        self.compared.draw(lambda: levels_figure(image, rows, boxes=boxes))

    # ---- parts -----------------------------------------------------------------------------------------------

    def _panels(self) -> list[ipywidgets.Widget]:
        self._controls["label"].layout.display = "none"
        self.maps, self.where, self.anchors = (Picture() for _ in HEADINGS)
        self._table = ipywidgets.HTML(layout={"overflow": "auto", "max_height": "260px"})
        parts = zip(HEADINGS, (self.maps, self.where, self.anchors), strict=True)
        return [*(ipywidgets.VBox([ipywidgets.HTML(text), part]) for text, part in parts), self._table]

    def _controls_of_options(self) -> dict[str, ipywidgets.Widget]:
        controls = {
            "proposals": ipywidgets.IntSlider(value=100, max=MOST, step=10, description="Proposals", **WIDE),
            "all_anchors": ipywidgets.Checkbox(description="anchors of all objects", indent=False),
        }
        controls["proposals"].tooltip = "How many of the best proposals are drawn"
        return controls
