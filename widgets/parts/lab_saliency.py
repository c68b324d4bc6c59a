"""What the chosen object rests on, in OcclusionLab: the picture as it is seen now, explained for every detector.

LayerCAM and HiResCAM take a hundredth of a second, so the browser asks anew with every place of the occluder; D-RISE
grows and belongs to one place. Deletion and insertion are measured when they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan
from typing import Any

from torch import Tensor

from widgets.parts.pictures import encode_pixels
from widgets.parts.saliency_view import MASKS, STEPS, as_detection, options_of, steps_of
from widgets.parts.turns import Turns
from workbench.analysis.class_activation import METHODS as QUICK
from workbench.analysis.explain import METHODS, methods_of
from workbench.analysis.occlusion_probe import OcclusionProbe, PlacedOccluder
from workbench.analysis.saliency import Saliency
from workbench.analysis.saliency_curves import SaliencyCurves, baselines, saliency_curves
from workbench.data.drawing.occluders import paste
from workbench.errors import DataError, WorkbenchError
from workbench.figures.drawing.sheet import heat

ASKED = ("saliency", "stop-saliency", "judge-saliency")  #: kinds of messages of the browser
Judged = tuple[SaliencyCurves, SaliencyCurves]  #: curves by a map, and by the middle of the box


class ExplainsObject:
    """The part of OcclusionLab that explains; the lab gives what stands here, and sends."""

    image: Tensor
    chosen: int | None
    _probe: OcclusionProbe
    _occluder: PlacedOccluder

    def __init__(self, *args: Any, **options: Any):
        self._saliency_turns = Turns()
        self._explained: dict[str, Saliency] = {}
        super().__init__(*args, **options)

    def saliency(self, method: str | None = None, *, masks: int = MASKS[1]) -> dict[str, Saliency]:
        """What each detector rests the chosen object on, in the picture as it is seen now; also shown in the browser.

        Args:
            method: one of `workbench.analysis.explain.METHODS`; None: the quickest that a detector can be asked by.
            masks: how many masked images D-RISE looks at.

        Raises:
            DataError: no object is chosen, or no detector that knows its class can be asked so.
        """
        self.stop_saliency()
        for _ in self._saliency_steps(method or next(iter(self._saliency_methods())), masks):
            pass
        return dict(self._explained)

    def judge_saliency(self) -> dict[str, Judged]:
        """Deletion and insertion by the maps that are shown, and by the middle of the box beside them."""
        found = {}
        for name, one in self._explained.items():
            curves = [
                saliency_curves(self._probe.detectors[name], self._explained_picture, some, steps=STEPS)
                for some in (one, baselines(one)["box"])
            ]
            found[name] = (curves[0], curves[1])
        areas = {
            name: [area for one in pair for area in (one.deletion_area, one.insertion_area)]
            for name, pair in found.items()
        }
        self.send({"kind": "saliency-areas", "key": self._explained_key, "areas": areas})
        return found

    def close(self) -> None:
        """Take it away; nothing goes on."""
        self.stop_saliency()
        super().close()

    def stop_saliency(self) -> None:
        """Stop the maps that are being computed for the browser, if any."""
        self._saliency_turns.stop()

    def _saliency_methods(self) -> dict[str, bool]:
        """Those that a detector of the lab can be asked by, and whether each is quick."""
        able = {method for detector in self._probe.detectors.values() for method in methods_of(detector)}
        return {method: method in QUICK for method in METHODS if method in able}

    def _on_saliency(self, content: dict[str, Any]) -> None:
        """Answer the browser."""
        if content["kind"] == "judge-saliency":
            self.judge_saliency()
        elif content["kind"] == "stop-saliency":
            self.stop_saliency()
        else:
            steps = self._saliency_steps(content["method"], MASKS[1])
            self._saliency_turns.start(steps, lambda done: done < 1 and self._send_saliency(), self._send_failure)

    def _saliency_steps(self, method: str, masks: int) -> Iterator[float]:
        """The share that is done; the maps are kept as they grow."""
        if self.chosen is None:
            raise DataError("choose an object first: the maps show what it rests on")
        thing, box = self._probe.objects[self.chosen], self._occluder
        self._explained = {}
        self._explained_failed: dict[str, str] = {}
        self._explained_key, self._explained_method = self._key_of_saliency(), method
        self._explained_picture = paste(self.image, box.box, box.texture, outline=box.outline)[0]
        able = [n for n in self._probe.able(self.chosen) if method in methods_of(self._probe.detectors[n])]
        if not able:
            raise DataError(f"no detector that knows the class {thing.name!r} can be asked by {method!r}")
        for place, name in enumerate(able):
            detector = self._probe.detectors[name]
            label = detector.classes.index(thing.name) + 1
            asked = as_detection(detector, self._explained_picture, thing.box, label)
            try:
                for one in steps_of(detector, self._explained_picture, asked, **options_of(method, "heads", masks)):
                    self._explained[name] = one
                    self._explained_done = (place + one.done) / len(able)
                    yield self._explained_done
            except WorkbenchError as error:  # of this detector alone, as where it does not find the object any more
                self._explained_failed[name] = str(error)
        self._explained_done = 1.0
        self._send_saliency()

    def _key_of_saliency(self) -> list:
        """What a map belongs to."""
        return [self.chosen, *self._occluder.box, self._occluder.texture, self._occluder.outline]

    def _send_failure(self, error: Exception) -> None:
        self.send({"kind": "saliency-failed", "text": f"{type(error).__name__}: {error}"})

    def _send_saliency(self) -> None:
        """The maps so far, drawn over the picture, and where they lie."""
        content = {
            "key": self._explained_key,
            "method": self._explained_method,
            "done": self._explained_done,
            "names": list(self._explained),
            "energy": [None if isnan(one.energy()) else one.energy() for one in self._explained.values()],
            "chance": [one.chance() for one in self._explained.values()],
            "failed": self._explained_failed,
        }
        pictures = [encode_pixels(heat(self._explained_picture, one.map)) for one in self._explained.values()]
        self.send({"kind": "saliency", **content}, pictures)
