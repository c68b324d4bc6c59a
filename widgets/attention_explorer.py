"""Look where a detector looks: attention on one object, overall and by channel, before and after its inversion.

Other methods ask the same of detectors without RoIs: LayerCAM and HiResCAM level by level, and D-RISE, which needs
nothing but detections and grows as it is watched. The pictures are `workbench.figures.attention` and
`workbench.figures.saliency`, drawn anew at every change.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import ipywidgets
import traitlets
from matplotlib.figure import Figure
from torch import tensor

from widgets.parts.controls import WIDE
from widgets.parts.pictures import Picture
from widgets.parts.region_explorer import SIZE, RegionExplorer
from widgets.parts.saliency_view import (
    COMPARED,
    LAYERS,
    MASKS,
    SaliencyView,
    as_detection,
    as_detections,
    options_of,
    sentence,
    steps_of,
)
from widgets.parts.sources import COLUMNS, LAST, thinned
from workbench.analysis.attention import STRATEGIES, Inversion, RoIAttention, inversions, roi_attention
from workbench.analysis.class_activation import METHODS as ACTIVATION
from workbench.analysis.d_rise import METHOD as D_RISE
from workbench.analysis.explain import ATTENTION, METHODS, explain, methods_of
from workbench.analysis.saliency import Saliency
from workbench.detectors.base import HasRoIs
from workbench.errors import DataError
from workbench.figures.attention import (
    attention_of_objects,
    attention_on_patch,
    attention_over_training,
    four_strategies,
)
from workbench.figures.saliency import saliency_of_objects
from workbench.hardeners.inverted_attention import INVERSIONS, ORIENTATIONS

OTHERS = 2  # detectors whose attention is shown below that of the chosen one, at most
HEADINGS = (
    "<b>Where the head looks</b>: the most sensitive channels, and all of them (bright: speaks for the class)",
    "<b>What each inversion keeps</b> (dark: dropped), and the score without → with it",
)
INVERTING = ("inversion", "orientation", "drop_cells", "drop_channels", "threshold")  # options of attention alone


class AttentionExplorer(RegionExplorer):
    """What a detector looks at for one region and class, by several methods; of a head, what is left when it may not.

    Args:
        detectors: a detector, a `Run`, or the name or path of one, or a list or a dict (name → such).
        data: a `Dataset` to leaf through, or one image uint8 or float (0..1) [3, H, W], or uint8 [H, W, 3] as array
            or PIL image.
        target: what is known of one image.
        classes: names of the target's labels 1..K, where they are not the data's or the first detector's.
        state: any of the traitlets.

    Traitlets, to be set from Python or with the controls: `detector` (name), `step` (of a run's checkpoint; -1: its
    last), `method` ("attention", "layer-cam", "hires-cam" or "d-rise", as far as the detector can be asked so),
    `layer` (whose maps LayerCAM and HiResCAM look at), `masks` (of D-RISE), `inversion`, `orientation`, `drop_cells`
    (T_s), `drop_channels` (T_c), `threshold` (of the hard inversion), `index` (of the image), `chosen` (position in
    `objects`, or None), `box` (the region, xyxy pixels) and `label` (the class to explain, 0 is background). `show()`
    sets several at once. `seen` and `inverted` (by strategy) are what attention shows, `scores` the score before and
    after each inversion; `saliency` is the map of another method, and `view.found` its curves. `error` says what went
    wrong with the last change. `selection` is the region, with its score.

    Example:
        >>> detector = wb.load_detector("digit-scenes/faster-rcnn")
        >>> scene = wb.load_data("digit-scenes", split="test")[7]
        >>> explorer = widgets.AttentionExplorer(detector, *scene)
        >>> before, after = explorer.scores["hard"]
        >>> after < before
        True
        >>> explorer = widgets.AttentionExplorer(wb.load_detector("digit-scenes/retinanet"), *scene)
        >>> explorer.method, len(explorer.saliency.levels)  # it has no RoIs
        ('layer-cam', 4)
    """

    OPTIONS = ("method", "layer", "masks", *INVERTING)

    method = traitlets.Enum(METHODS, ATTENTION)
    layer = traitlets.Enum(tuple(LAYERS), "heads")
    masks = traitlets.Enum(MASKS, MASKS[1])
    inversion = traitlets.Enum(INVERSIONS, "soft")
    orientation = traitlets.Enum(ORIENTATIONS, "both")
    drop_cells = traitlets.Float(0.33, min=0, max=1)
    drop_channels = traitlets.Float(0.8, min=0, max=1)
    threshold = traitlets.Float(0.5, min=0, max=1)
    scores = traitlets.Dict(read_only=True, help="strategy → (before, after), probabilities of `label`")
    seen: RoIAttention | None = None
    _way: tuple = ()  # how the detectors were asked for what is kept for comparisons
    saliency: Saliency | None = None

    def _look(self) -> None:
        self.seen = None  # asked anew when it is needed

    def _guess(self) -> int:
        if isinstance(self._detector, HasRoIs):
            return roi_attention(self._detector, self.image, tensor(self.box)).label
        return int(as_detection(self._detector, self.image, self.box).labels)

    def _seen(self, name: str, step: int, box: Sequence[float], label: int) -> RoIAttention | Saliency | None:
        detector = self.sources[name].detector(step)
        if self.method not in methods_of(detector):
            return None
        if self.method == ATTENTION:
            return roi_attention(detector, self.image, tensor(box), label)
        asked = as_detection(detector, self.image, box, label)
        return explain(detector, self.image, asked, **self._asking(COMPARED))[0]

    def _asking(self, most: int) -> dict[str, Any]:
        """What `explain` is given, with so many masks at most."""
        return options_of(self.method, self.layer, min(self.masks, most))

    def _score(self) -> float:
        shown = self.seen if self.method == ATTENTION else self.saliency
        return math.nan if shown is None else shown.score

    def _answer(self) -> None:
        way = (self.method, self.layer, self.masks)
        if way != self._way:
            self._way = way
            self._compared.clear()
        if self.method != ATTENTION:
            return
        if self.seen is None:
            self.seen = roi_attention(self._detector, self.image, tensor(self.box), self.label)
        options = {name: getattr(self, name) for name in INVERTING[1:]}
        strategies = tuple(dict.fromkeys([*STRATEGIES, self.inversion]))
        self.inverted: dict[str, Inversion] = inversions(self._detector, self.seen, strategies=strategies, **options)
        scores = {name: (self.seen.score, one.after.score) for name, one in self.inverted.items()}
        self.set_trait("scores", scores)

    def _follow(self, name: str, state: Mapping[str, Any]) -> None:
        super()._follow(name, state)
        if name in ("detector", "step"):
            able = methods_of(self._detector)
            self._controls["method"].options = able
            if self.method not in able:
                self.method = able[0]

    @traitlets.validate("method")
    def _fits(self, proposal: dict[str, Any]) -> str:
        able = methods_of(self._detector) if self.detector else METHODS
        if proposal["value"] not in able:
            raise traitlets.TraitError(f"method is {proposal['value']!r}; this detector can be asked by {list(able)}")
        return proposal["value"]

    # ---- what is shown ---------------------------------------------------------------------------------------

    def _draw(self) -> None:
        heads = self.method == ATTENTION
        for part in self._of_attention:
            part.layout.display = None if heads else "none"
        self.view.layout.display = "none" if heads else None
        for name in INVERTING:
            self._controls[name].layout.display = None if heads else "none"
        self._controls["layer"].layout.display = None if self.method in ACTIVATION else "none"
        self._controls["masks"].layout.display = None if self.method == D_RISE else "none"
        if heads:
            self.view.stop()
            self._facts.value = self._sentence()
            self._draw_attention()
        else:
            self._draw_saliency()
        self._draw_comparison()

    def _draw_attention(self) -> None:
        names = self._names[1:]
        chosen = self.inverted[self.inversion]
        rows = {
            self.detector: self.seen,
            f"kept by {self.inversion} inversion": chosen,
            "attention on what is kept": chosen.after,
            **self._others(),
        }
        inverted = self.inverted
        self.on_patch.draw(lambda: attention_on_patch(rows, names, **SIZE), inverted, self.inversion)
        self.strategies.draw(lambda: four_strategies(inverted, names, **SIZE), inverted)

    def _draw_saliency(self) -> None:
        """The map of another method; D-RISE's grows while the widget goes on answering."""
        if self.label == 0:
            raise DataError(f"{self.method} explains objects, and background is none; choose another class")
        asked = as_detection(self._detector, self.image, self.box, self.label)
        options = self._asking(self.masks)
        steps = steps_of(self._detector, self.image, asked, **options)
        shown = self.image, self._detector, self._names[1:], self.detector
        if "masks" in options:
            self.saliency = None  # that of another region, until there is one
            self.view.grow(steps, *shown, self._take)
        else:
            self._take(next(steps))
            self.view.show({self.detector: self.saliency, **self._others()}, *shown)

    def _take(self, saliency: Saliency) -> None:
        self.saliency = saliency
        self._facts.value = self._sentence()

    def _others(self) -> dict[str, Any]:
        """What the other detectors say of the same region and class."""
        names = [name for name in self.sources if name != self.detector][:OTHERS]
        found = {name: self._ask(name, LAST) for name in names}
        return {name: seen for name, seen in found.items() if seen is not None}

    def _draw_comparison(self) -> None:
        """Figs. 5 and 2; only while it is open, since every checkpoint must be asked."""
        if self.comparison.selected_index is None:
            return
        runs = {name: source.steps for name, source in self.sources.items() if source.steps}
        titles = None
        if runs:
            steps = sorted({step for some in runs.values() for step in thinned(some, self.step)})
            rows = {
                name: [self._ask(name, step) if step in some else None for step in steps]
                for name, some in runs.items()
            }
            titles = [f"step {step:,}" for step in steps]
        else:
            rows = {name: row for name in self.sources if (row := self._of_objects(name)) and None not in row}
        draw = self._compare(rows, titles) if rows else lambda: None
        self.compared.draw(draw, dpi=None if self.method == ATTENTION else 100)

    def _of_objects(self, name: str) -> list:
        """What a detector says of each of the first objects; None for one of a class that it does not know."""
        things, detector = self.objects[:COLUMNS], self.sources[name].detector()
        if self.method == ATTENTION:
            return [self._ask(name, LAST, thing) for thing in things]
        asked = as_detections(detector, self.image, things)
        if asked is None or self.method not in methods_of(detector):
            return [None]
        key = (name, "objects")
        if key not in self._compared:  # D-RISE explains all of them by the same masks
            self._compared[key] = explain(detector, self.image, asked, **self._asking(COMPARED))
        return self._compared[key]

    def _compare(self, rows: dict[str, list], titles: list[str] | None) -> Callable[[], Figure]:
        """What draws the rows."""
        names = self._names[1:]
        if self.method != ATTENTION:
            return partial(saliency_of_objects, self.image, rows, names, titles=titles)
        if titles is None:
            return partial(attention_of_objects, rows, names, **SIZE)
        steps = [int(title.removeprefix("step ").replace(",", "")) for title in titles]
        by_step = {
            name: {s: one for s, one in zip(steps, row, strict=True) if one is not None} for name, row in rows.items()
        }
        marked = max(self._source.steps, default=None) if self.step == LAST else self.step
        return partial(attention_over_training, by_step, marked=marked, **SIZE)

    def _sentence(self) -> str:
        """What the head says of the region, or where the map lies."""
        name = html.escape(self._names[self.label])
        if self.method != ATTENTION:
            return sentence(self.saliency, name)
        order = self.seen.probabilities.argsort(descending=True)[:3].tolist()
        says = ", ".join(f"{self._names[one]} {float(self.seen.probabilities[one]):.2f}" for one in order)
        before, after = self.scores[self.inversion]
        return (
            f"What speaks for <b>{name}</b>? Score <b>{before:.2f}</b>, after {self.inversion} inversion "
            f"<b>{after:.2f}</b>. The head says: {html.escape(says)}."
        )

    # ---- parts -----------------------------------------------------------------------------------------------

    def _panels(self) -> list[ipywidgets.Widget]:
        self.on_patch, self.strategies = Picture(), Picture()
        looks, kept = (ipywidgets.HTML(text) for text in HEADINGS)
        self._of_attention = (looks, self.on_patch, kept, self.strategies)
        self.view = SaliencyView(self._guarded)
        return [*self._of_attention, self.view]

    def _controls_of_options(self) -> dict[str, ipywidgets.Widget]:
        fraction = {"min": 0.0, "max": 1.0, "step": 0.01, "readout_format": ".0%", **WIDE}
        masks = [(f"{number:,}", number) for number in MASKS]
        controls = {
            "method": ipywidgets.Dropdown(options=METHODS, value=ATTENTION, description="Method", **WIDE),
            "layer": ipywidgets.Dropdown(options=tuple(LAYERS), description="Maps of", **WIDE),
            "masks": ipywidgets.Dropdown(options=masks, value=MASKS[1], description="Masks", **WIDE),
            "inversion": ipywidgets.Dropdown(options=INVERSIONS, description="Inversion", **WIDE),
            "orientation": ipywidgets.Dropdown(options=ORIENTATIONS, description="Orientation", **WIDE),
            "drop_cells": ipywidgets.FloatSlider(value=0.33, description="Drop cells", **fraction),
            "drop_channels": ipywidgets.FloatSlider(value=0.8, description="in channels", **fraction),
            "threshold": ipywidgets.FloatSlider(value=0.5, description="Hard from", **fraction),
        }
        tooltips = {
            "method": "How the detector is asked: by gradients in its head or its maps, or by masking the image",
            "layer": "Whose maps are looked at: those that the heads see, or those that the pyramid is built from",
            "masks": "How many masked images the detector looks at; the more, the clearer the map",
            "drop_cells": "T_s: the share of cells that is dropped, those of the highest attention",
            "drop_channels": "T_c: the share of channels in which they are dropped, the most sensitive ones",
            "threshold": "Hard inversion drops cells above this share of the range of the attention",
        }
        for name, text in tooltips.items():
            controls[name].tooltip = text
        return controls
