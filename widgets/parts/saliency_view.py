"""What a detection rests on, as pictures: the map over the image, its levels, and on demand how it is judged."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import ipywidgets
import torch
from torch import Tensor
from torchvision.ops import box_iou

from widgets.parts.controls import ROW, button
from widgets.parts.pictures import Picture
from widgets.parts.turns import Turns
from workbench.analysis import class_activation as activation
from workbench.analysis.d_rise import METHOD as D_RISE
from workbench.analysis.d_rise import d_rise_steps
from workbench.analysis.explain import explain
from workbench.analysis.explaining.looking import finder
from workbench.analysis.occlusion_probe import Thing
from workbench.analysis.saliency import Saliency
from workbench.analysis.saliency_curves import SaliencyCurves, baselines, saliency_curves
from workbench.detectors.base import Detector, ScoresBoxes
from workbench.figures.saliency import saliency_curves_figure, saliency_figure, saliency_levels_figure
from workbench.types import Detections

LAYERS = {"heads": activation.LAYERS, "body": activation.BODY}  #: whose maps are looked at
MASKS = (200, 500, 1000, 2000, 5000)  #: of D-RISE, to choose from
COMPARED = 200  #: masks at most where several detectors or checkpoints are compared
STEPS = 12  #: of curves: few, since every step is a pass of the detector for each map
OVER = "<b>What the detection rests on</b> (bright: speaks for it); nothing is drawn where the map is 0 or below"
LEVELS = "<b>Level by level</b>, all on one scale"
JUDGED = "Does the detector need what is bright? Deletion and insertion"
SIDE, DPI = 3.0, 100  # inches of a picture, and its pixels per inch


class SaliencyView(ipywidgets.VBox):
    """The map of one detection, and of other detectors beside it; `show` and `grow` fill it.

    Args:
        guarded: does something and shows what goes wrong.
    """

    def __init__(self, guarded: Callable[[Callable[[], None]], None]):
        self._turns, self._guarded = Turns(), guarded
        self.over, self.levels, self.curves = Picture(), Picture(), Picture()
        self.progress = ipywidgets.FloatProgress(min=0, max=1, layout={"width": "180px"})
        self._stop = button("Stop", "stop", lambda _: self.stop(), width="90px", tooltip="Keep the map as it is now")
        self._growing = ipywidgets.HBox([self.progress, self._stop], layout=ROW)
        self._of_levels = ipywidgets.VBox([ipywidgets.HTML(LEVELS), self.levels])
        self.judged = ipywidgets.Accordion([self.curves], titles=(JUDGED,), selected_index=None)
        self.judged.observe(lambda _: self._guarded(self._judge), "selected_index")
        self.saliency: Saliency | None = None  #: the map that is shown
        self.found: SaliencyCurves | None = None  #: its curves, once it is judged
        super().__init__([ipywidgets.HTML(OVER), self.over, self._growing, self._of_levels, self.judged])

    def close(self) -> None:
        """Take it away; nothing goes on."""
        self._turns.stop()
        super().close()

    @property
    def growing(self) -> bool:
        """Whether the map is still computed."""
        return self._turns.running

    def stop(self) -> None:
        """Keep a map that grows as it is."""
        was = self.growing
        self._turns.stop()
        self._show_growth()
        if was:
            self._guarded(self._judge)

    def show(
        self, maps: Mapping[str, Saliency], image: Tensor, detector: Detector, classes: Sequence[str], name: str
    ) -> None:
        """Show maps by name; the one that is called `name` is the detector's, level by level and judged."""
        self._turns.stop()
        self._put(maps, image, detector, classes, name)
        self._judge()

    def grow(
        self,
        steps: Iterator[Saliency],
        image: Tensor,
        detector: Detector,
        classes: Sequence[str],
        name: str,
        took: Callable[[Saliency], None],
    ) -> None:
        """Show a map as it grows; `took` is called with each that is shown."""

        def take(one: Saliency) -> None:
            self._put({name: one}, image, detector, classes, name)
            took(one)
            if one.done >= 1:
                self._growing.layout.display = "none"
                self._judge()

        self._turns.stop()
        take(next(steps))  # so that there is something to see at once
        if self.saliency is not None and self.saliency.done < 1:
            self._turns.start(steps, take, lambda error: self._guarded(lambda: _again(error)))
        self._show_growth()

    def _put(
        self, maps: Mapping[str, Saliency], image: Tensor, detector: Detector, classes: Sequence[str], name: str
    ) -> None:
        one = maps[name]
        if self.saliency is not one:
            self.found = None
            self.curves.clear()
        self._image, self._detector, self._name, self.saliency = image, detector, name, one
        self.over.draw(lambda: saliency_figure(image, maps, classes, side=SIDE), dpi=DPI)
        self.progress.value = one.done
        self._of_levels.layout.display = None if one.levels else "none"
        self.levels.draw(lambda: saliency_levels_figure(image, one, side=1.9) if one.levels else None, dpi=DPI)
        self._show_growth()

    def _show_growth(self) -> None:
        self._growing.layout.display = None if self.growing else "none"

    def _judge(self) -> None:
        """Draw the curves, only while they are open and the map is as it will stay."""
        one = self.saliency
        if self.judged.selected_index is None or one is None or (self.growing and one.done < 1):
            return
        if self.found is None:
            given = {self._name: one, **baselines(one)}
            curves = {
                name: saliency_curves(self._detector, self._image, some, steps=STEPS) for name, some in given.items()
            }
            self.found = curves[self._name]
            self.curves.draw(lambda: saliency_curves_figure(curves), dpi=DPI)


def as_detection(detector: Detector, image: Tensor, box: Sequence[float], label: int | None = None) -> Detections:
    """A region xyxy as a detection of one row: of a class in 1..K, or of what the detector takes it for.

    Its score is that of the class there, of detectors that can say it, or of the detection that overlaps it most.
    """
    region = torch.tensor([list(box)])
    if isinstance(detector, ScoresBoxes):
        known = detector.score_boxes([image], [region])[0][0].float().cpu()
        label = int(known[1:].argmax()) + 1 if label is None else label
        return Detections(region, torch.tensor([label]), known[[label]])
    found = finder(detector, image)([image])[0].to("cpu")
    overlap = box_iou(region, found.boxes.float())[0]
    if label is not None:
        overlap = overlap * (found.labels == label)
    best = int(overlap.argmax()) if len(found) and float(overlap.max()) > 0 else None
    score = math.nan if best is None else float(found.scores[best])
    label = label or (1 if best is None else int(found.labels[best]))
    return Detections(region, torch.tensor([label]), torch.tensor([score]))


def as_detections(detector: Detector, image: Tensor, things: Sequence[Thing]) -> Detections | None:
    """Objects as detections; None where there are none, or one is of a class that the detector does not know."""
    if not things or any(thing.name not in detector.classes for thing in things):
        return None
    labels = [detector.classes.index(thing.name) + 1 for thing in things]
    each = [as_detection(detector, image, t.box, label) for t, label in zip(things, labels, strict=True)]
    parts = ([getattr(one, part) for one in each] for part in ("boxes", "labels", "scores"))
    return Detections(*(torch.cat(part) for part in parts))


def options_of(method: str, layer: str, masks: int) -> dict[str, Any]:
    """What `explain` is to be given."""
    if method in activation.METHODS:
        return {"method": method, "layers": LAYERS[layer]}
    return {"method": method, "masks": masks} if method == D_RISE else {"method": method}


def steps_of(detector: Detector, image: Tensor, asked: Detections, **options: Any) -> Iterator[Saliency]:
    """The map of one detection: as it grows by D-RISE, at once by the others."""
    if options["method"] == D_RISE:
        given = {name: value for name, value in options.items() if name != "method"}
        return (maps[0] for maps in d_rise_steps(detector, image, asked, **given))
    return iter(explain(detector, image, asked, **options))


def sentence(saliency: Saliency, name: str) -> str:
    """Where a map lies, as HTML.

    Args:
        name: of the class, escaped.
    """
    score = "" if math.isnan(saliency.score) else f" (score <b>{saliency.score:.2f}</b>)"
    energy = saliency.energy()
    if math.isnan(energy):
        return f"Nothing in the image speaks for <b>{name}</b>{score} here."
    says = f"<b>{energy:.0%}</b> of what speaks for <b>{name}</b>{score} lies in the box"
    where = "inside" if saliency.points_at() else "<b>outside</b>"
    more = ""
    if saliency.levels:
        best = max(saliency.levels, key=lambda level: level.share)
        more = f" Most comes from {best.name}, whose cells are {best.stride:.3g} pixels ({best.share:.0%})."
    elif "masks" in saliency.settings:
        more = f" After {saliency.settings['masks']:,} masks, by {saliency.settings['similarity']}."
    return f"{says}, by chance it would be {saliency.chance():.0%}; the highest place is {where} of it.{more}"


def _again(error: Exception) -> None:
    raise error
