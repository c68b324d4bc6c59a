"""Point at a region of an image and ask detectors about it: what the explorers have in common.

JupyterLab sends the next change of a slider only when the last is answered, so the newest wins and a slow detector
never falls behind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets
import numpy as np
import traitlets
from PIL import Image
from torch import Tensor

from widgets.parts.controls import controls_for
from widgets.parts.explorer import Explorer
from widgets.parts.looking import Looks, OneImage, Place, true_row
from widgets.parts.messages import hint
from widgets.parts.objects import describe, largest
from widgets.parts.pictures import Picture, as_image, encode
from widgets.parts.region_picker import RegionPicker
from widgets.parts.selection import BOX, WHICH, box_of, id_of
from widgets.parts.sources import LAST, Source, named
from workbench.analysis.occlusion_probe import OcclusionProbe, Thing
from workbench.data import Dataset
from workbench.detectors.base import Detector
from workbench.detectors.layers.proposing import keeping_maps
from workbench.detectors.load import DetectorLike
from workbench.errors import DataError
from workbench.types import Target

SIZE = {"side": 1.25, "dpi": 100}  # inches of a panel, pixels per inch
POINT = "Click an object, or drag a region of your own; it is then outlined in yellow."


class RegionExplorer(Explorer, Looks):
    """Detectors, an image and a region of it; subclasses ask about it (`_look`, `_answer`) and draw (`_draw`).

    See a subclass for the arguments. Every traitlet of `STATE` can be set from Python or with its control.
    """

    OPTIONS: tuple[str, ...] = ()  #: traitlets of the subclass that change the answer but need no other look
    QUESTION = "Explain class"  #: what the class is wanted for
    HARDENED = False  #: whether a run's detectors come with their hardener
    OF_CLASS = True  #: whether it asks about a class
    COLUMNS = (*WHICH, *BOX, "occlusion", "score", "detector")

    detector = traitlets.Unicode()
    step = traitlets.Int(LAST)
    index = traitlets.Int(0)
    chosen = traitlets.Int(None, allow_none=True)
    box = traitlets.List(traitlets.Float())
    label = traitlets.Int(0)

    def __init__(
        self,
        detectors: DetectorLike | Sequence[DetectorLike] | Mapping[str, DetectorLike],
        data: Dataset | Tensor | np.ndarray | Image.Image,
        target: Target | None = None,
        *,
        classes: tuple[str, ...] | None = None,
        **state: Any,
    ):
        self.sources = {name: self._opened(one) for name, one in named(detectors).items()}
        self._classes = classes or getattr(data, "classes", None)
        self.data = data if isinstance(data, Dataset) else OneImage(as_image(data), target, self._classes or ())
        if not len(self.data):
            raise DataError("no image to explore; these data hold none")
        self.STATE = ("detector", "step", *self.OPTIONS, "index", "chosen", "box", "label")
        self.objects: list[Thing] = []
        self._compared: dict[tuple, Any] = {}
        self._names: list[str] = ["background"]
        super().__init__()
        self.detector = next(iter(self.sources))
        self._begin(self._parts(), **{"detector": self.detector, "index": 0, **state})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.sources)}; {len(self.data)} images)"

    def _show(self, **state: Any) -> None:
        with keeping_maps():
            self._apply(state)
            if set(state) - set(self.OPTIONS):
                self._look()
            self._answer()
            self._draw()

    def refresh(self) -> None:
        """Look for checkpoints that came or went since; a run that trains writes new ones."""
        self._compared.clear()
        self._guarded(lambda: self.show(detector=self.detector))

    # ---- for subclasses --------------------------------------------------------------------------------------

    def _opened(self, thing: DetectorLike) -> Source:
        """What was given as one of the detectors, with its checkpoints."""
        return Source(thing, hardener=self.HARDENED)

    def _look(self) -> None:
        """Ask the detector about the region."""

    def _answer(self) -> None:
        """What follows from the options."""

    def _draw(self) -> None:
        """Draw what was found."""
        raise NotImplementedError

    def _guess(self) -> int:
        """The class to ask about where the region is no object."""
        raise NotImplementedError

    def _find_objects(self, target: Target | None) -> list[Thing]:
        """What can be chosen in the image: the true objects, and what the first detector finds besides."""
        first = next(iter(self.sources.values())).detector()
        return OcclusionProbe({"": first}, self.image, target, classes=self._classes).objects

    def _true_objects(self, target: Target, classes: Sequence[str]) -> list[Thing]:
        """Those of the target alone; `classes` name its labels where nothing else does."""
        named = self._classes or classes
        names = [named[label - 1] for label in target["labels"].tolist()]
        boxes = [tuple(box) for box in target["boxes"].as_subclass(Tensor).tolist()]
        return [Thing(name, box, None) for name, box in zip(names, boxes, strict=True)]

    def _controls_of_options(self) -> dict[str, ipywidgets.Widget]:
        """A control for each of `OPTIONS`."""
        return {}

    def _panels(self) -> list[ipywidgets.Widget]:
        """What stands beside the image."""
        raise NotImplementedError

    def _draw_comparison(self) -> None:
        """Draw into `compared`, once that is open."""
        raise NotImplementedError

    def _seen(self, name: str, step: int, box: Sequence[float], label: int) -> Any:
        """What a source says of a region and a class of its own."""
        raise NotImplementedError

    def _score(self) -> float:
        """Of the region and the class; NaN where it is not asked for."""
        return math.nan

    # ---- what is chosen --------------------------------------------------------------------------------------

    def _chosen_rows(self) -> list[dict[str, Any]]:
        """The region, with what is known of its object."""
        thing = None if self.chosen is None else self.objects[self.chosen]
        asked = self._names[self.label] if self.OF_CLASS and self.label else ""
        name = asked or ("" if thing is None else thing.name)
        row: dict[str, Any] = {"object": true_row(self.chosen, self.objects), "class": name, **box_of(self.box)}
        if row["object"] is not None and "occlusion" in self._target:
            row["occlusion"] = float(self._target["occlusion"][row["object"]])
        which = {"image": self.index, "image_id": id_of(self.data, self.index, self._target)}
        return [{**which, **row, "score": self._score(), "detector": self.detector}]

    def _looked_at(self) -> Place:
        return Place(self.data, self.index, true_row(self.chosen, self.objects))

    def _go_to(self, place: Place) -> None:
        state = {"index": place.index} if place.index != self.index else {}
        if place.object is not None:
            state["chosen"] = place.object
        self.show(**state)

    def _ask(self, name: str, step: int, thing: Thing | None = None) -> Any:
        """What any source says of the region, or of an object; None if it does not know the class."""
        box = self.box if thing is None else list(thing.box)
        wanted = self._names[self.label] if thing is None else thing.name
        key = (name, step, tuple(box), wanted)
        if key not in self._compared:
            classes = ["background", *self.sources[name].detector(step).classes]
            if wanted not in classes:
                return None
            self._compared[key] = self._seen(name, step, box, classes.index(wanted))
        return self._compared[key]

    @property
    def _source(self) -> Source:
        return self.sources[self.detector]

    @property
    def _detector(self) -> Detector:
        return self._source.detector(self.step)

    # ---- what follows from what ------------------------------------------------------------------------------

    def _follow(self, name: str, state: Mapping[str, Any]) -> None:
        if name == "detector":
            self._follow_detector()
        elif name == "index":
            self._follow_image()
            self._follow_object()
        elif name == "chosen":
            self._follow_object()
        elif name == "box":
            self.chosen = state.get("chosen")

    def _follow_detector(self) -> None:
        """Its checkpoints and classes; the class that is asked about stays the same by name."""
        steps, step = self._source.steps, self.step
        name = self._names[self.label]
        self._controls["step"].options = [*((f"{one:,}", one) for one in steps), ("last", LAST)]
        self.step = step if step in steps else LAST
        self._controls["step"].layout.display = None if steps else "none"
        self._names = ["background", *self._detector.classes]
        self._controls["label"].options = [(text, place) for place, text in enumerate(self._names)]
        self.label = self._names.index(name) if name in self._names else 0

    def _follow_image(self) -> None:
        """The image and its objects."""
        image, known = self.data[self.index]
        self.image, target = as_image(image), known or None
        self._target = target
        self._compared.clear()
        self.objects = self._find_objects(target)
        texts = [describe(place, thing, target) for place, thing in enumerate(self.objects)]
        height, width = self.image.shape[-2:]
        with self.picker.hold_sync():
            self.picker.chosen = None
            self.picker.picture, self.picker.width, self.picker.height = encode(self.image), width, height
            boxes = zip(self.objects, texts, strict=True)
            self.picker.objects = [{"box": list(thing.box), "text": text} for thing, text in boxes]
            self._controls["chosen"].options = [(text, place) for place, text in enumerate(texts)]
            self.chosen = largest(self.objects)

    def _follow_object(self) -> None:
        """Its box and its class; without an object the whole image."""
        height, width = self.image.shape[-2:]
        thing = None if self.chosen is None else self.objects[self.chosen]
        if thing is not None:
            self.box = list(thing.box)
        elif not self.objects:
            self.box = [0.0, 0.0, width, height]
        if thing is not None and thing.name in self._names:
            self.label = self._names.index(thing.name)
        elif self.label == 0:
            self.label = self._guess()

    # ---- parts -----------------------------------------------------------------------------------------------

    def _parts(self) -> list[ipywidgets.Widget]:
        self.picker = RegionPicker(layout={"width": "auto"})
        self.picker.observe(self._on_drawn, "drawn")
        self._controls = {
            **controls_for(list(self.sources), len(self.data), self.QUESTION),
            **self._controls_of_options(),
        }
        for name, control in [*self._controls.items(), ("chosen", self.picker)]:
            traitlets.link((self, name), (control, name if control is self.picker else "value"))
        traitlets.dlink((self, "box"), (self.picker, "box"))
        self._facts = ipywidgets.HTML()
        parts = [hint(POINT), self.picker, *self._controls.values()]
        left = ipywidgets.VBox(parts, layout={"flex": "0 0 320px"})
        right = ipywidgets.VBox([self._facts, *self._panels()], layout={"flex": "1 1 500px", "min_width": "300px"})
        row = ipywidgets.HBox([left, right], layout={"flex_flow": "row wrap", "grid_gap": "16px"})
        trained = any(source.run for source in self.sources.values())
        title = "This region over training" if trained else "All objects of this image"
        self.compared = Picture()
        self.comparison = ipywidgets.Accordion([self.compared], titles=(title,), selected_index=None)
        self.comparison.observe(lambda _: self._guarded(self._draw_comparison), "selected_index")
        return [row, self._message, self.comparison]

    def _on_drawn(self, change: dict[str, Any]) -> None:
        self.box = change["new"]

    @traitlets.validate("detector", "step", "index", "chosen", "label")
    def _exists(self, proposal: dict[str, Any]) -> Any:
        """Only what there is, so that nothing is half set when it fails."""
        name, value = proposal["trait"].name, proposal["value"]
        allowed = {
            "detector": self.sources,
            "step": [LAST, *(self._source.steps if name == "step" else ())],
            "index": range(len(self.data)),
            "chosen": [None, *range(len(self.objects))],
            "label": range(len(self._names)),
        }[name]
        if value not in allowed:
            raise traitlets.TraitError(f"{name} is {value!r}; there are {list(allowed)}")
        return value

    @traitlets.validate("box")
    def _four_numbers(self, proposal: dict[str, Any]) -> list[float]:
        if len(proposal["value"]) != 4:
            raise traitlets.TraitError(f"box needs 4 numbers, xyxy pixels, not {proposal['value']}")
        return proposal["value"]
