"""Leaf through what detectors get wrong: false positives by kind, missed objects, and those of one detector only.

The pictures are `workbench.figures.diagnosis`; the kinds are explained in `workbench.evaluation.diagnosis`.
"""

from __future__ import annotations

import html
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import ipywidgets
import numpy as np
import pandas as pd
import traitlets

from widgets.parts.controls import FREE, ROW, button
from widgets.parts.explorer import Explorer
from widgets.parts.looking import Looks, Place
from widgets.parts.panel_picker import PanelPicker
from widgets.parts.selection import BOX, WHICH, box_of
from widgets.parts.sources import Source, named
from workbench.analysis.occlusion_masks import found_occlusion, occlusion_branch
from workbench.data import Dataset
from workbench.detectors.base import Detector
from workbench.detectors.load import DetectorLike
from workbench.errors import DataError
from workbench.evaluation import Result, as_result
from workbench.evaluation.diagnosis import (
    ERROR_KINDS,
    SAME,
    Diagnosis,
    check_same_objects,
    missed_only_in,
    only_in,
)
from workbench.evaluation.evaluate import is_results_file
from workbench.figures.diagnosis import HiddenBy, false_positives_grid, missed_grid

VIEWS = ("false positives", "missed objects")
EVERY = "all"  #: no filter
PAGE, COLUMNS = 8, 4
DPI = 110  #: pixels per inch


class ErrorBrowser(Explorer, Looks):
    """Pictures of the errors of one or several detectors on `data`, eight on a page.

    Args:
        results: a `Result`, or a dict of name → result, all on `data`. Also their files, files of COCO results, and
            detectors of any kind, `Run`s and paths, which are evaluated first.
        data: the images that the results are about.
        similar: groups of similar classes, as for `Result.diagnosis`.
        detectors: those that were evaluated, or some of them, by the results' names (or the one): where they have an
            occlusion branch, what they find to hide objects can be hatched. Results do not hold it; those that are
            given as detectors need not be named again.
        state: any of the traitlets.

    Traitlets, to be set from Python or with the controls: `detector` (name), `view` (one of `VIEWS`), `unlike` (name
    of a detector that does not make the same error, or "all"), `class_name`, `kind` (of false positives; both may be
    "all"), `occlusion` (whether what hides objects is hatched), `page` (from 0) and `chosen` (row of `table`, or
    None), which a click sets. `table` holds the errors that match, best score first; `error` says what went wrong
    with the last change. False positives are the top ones: as many per class as it has objects. `selection` is the
    chosen error, or else those of the page: boxes of false positives, with the object that explains them, or missed
    objects.

    Raises:
        DataError: results on other images, or a name that is not known.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=20)
        >>> result = wb.evaluate("digit-scenes/faster-rcnn", data, progress=False)
        >>> browser = widgets.ErrorBrowser(result, data, kind="localisation")
        >>> set(browser.table["kind"])
        {'localisation'}
    """

    STATE = ("detector", "view", "unlike", "class_name", "kind", "occlusion", "page", "chosen")
    COLUMNS = (*WHICH, *BOX, "occlusion", "score", "kind", "iou", "detector")

    detector = traitlets.Unicode()
    view = traitlets.Enum(VIEWS, VIEWS[0])
    unlike = traitlets.Unicode(EVERY)
    class_name = traitlets.Unicode(EVERY)
    kind = traitlets.Enum((EVERY, *ERROR_KINDS), EVERY)
    occlusion = traitlets.Bool(True)
    page = traitlets.Int(0, min=0)
    chosen = traitlets.Int(None, allow_none=True, min=0)

    def __init__(
        self,
        results: Result | DetectorLike | Mapping[str, Result | DetectorLike],
        data: Dataset,
        *,
        similar: Iterable[Collection[str]] | None = None,
        detectors: DetectorLike | Mapping[str, DetectorLike] | None = None,
        **state: Any,
    ):
        similar = None if similar is None else list(similar)
        self.data = data
        given = named(results, "result")
        live = {name: Source(one).detector() for name, one in given.items() if not _is_result(one)}
        self.diagnoses = {
            name: as_result(live.get(name, one), data).diagnosis(similar) for name, one in given.items()
        }
        first = next(iter(self.diagnoses.values()))
        for one in self.diagnoses.values():
            check_same_objects(first, one)
        self._asked = self._with_branch(live or None if detectors is None else detectors)
        self.table = pd.DataFrame()
        super().__init__()
        self.detector = next(iter(self.diagnoses))
        self.add_class("error-browser")
        self._begin(self._parts(), **state)

    def __repr__(self) -> str:
        return f"ErrorBrowser({', '.join(self.diagnoses)}; {len(self.data)} images)"

    def _with_branch(self, given: DetectorLike | Mapping[str, DetectorLike] | None) -> dict[str, Detector]:
        """The detectors that say what hides objects, by the names of their results."""
        if given is None:
            return {}
        by_name = given if isinstance(given, Mapping) else {next(iter(self.diagnoses)): given}
        if unknown := set(by_name) - set(self.diagnoses):
            raise DataError(f"there is no result of {', '.join(unknown)}; there are {', '.join(self.diagnoses)}")
        found = {name: Source(one).detector() for name, one in by_name.items()}
        return {name: one for name, one in found.items() if occlusion_branch(one) is not None}

    @property
    def diagnosis(self) -> Diagnosis:
        """That of the chosen detector."""
        return self.diagnoses[self.detector]

    @property
    def pages(self) -> int:
        """How many there are; at least one."""
        return max(1, -(-len(self.table) // PAGE))

    def _show(self, **state: Any) -> None:
        """A filter that changes leads to the first page."""
        for key, known in (("detector", self.diagnoses), ("unlike", (EVERY, *self.diagnoses)),
                           ("class_name", (EVERY, *self.diagnosis.classes))):  # fmt: skip
            if key in state and state[key] not in known:
                raise DataError(f"{key} is {state[key]!r}; it can be {', '.join(known)}")
        before = self.page
        self._apply(state)
        with self._silently():
            self.table = self._matching()
            stays = "page" in state or not set(state) - {"occlusion", "chosen"}
            self.page = min(self.page, self.pages - 1) if stays else 0
            if "chosen" not in state and set(state) - {"occlusion"}:
                self.chosen = None
            if self.chosen is not None:
                self._check_chosen()
                self.page = self.chosen // PAGE
        if set(state) != {"chosen"} or self.page != before:
            self._draw()
        with self._silently():
            self._picture.chosen = None if self.chosen is None else self.chosen - self.page * PAGE

    def _check_chosen(self) -> None:
        if self.chosen >= len(self.table):
            raise DataError(f"chosen is {self.chosen}; {len(self.table)} errors are listed, from 0 on")

    # ---- what is chosen --------------------------------------------------------------------------------------

    @property
    def _shown(self) -> pd.DataFrame:
        return self.table.iloc[self.page * PAGE : (self.page + 1) * PAGE]

    def _chosen_rows(self) -> list[dict[str, Any]]:
        some = self._shown if self.chosen is None else self.table.iloc[[self.chosen]]
        return [self._row(row) for _, row in some.iterrows()]

    def _row(self, row: pd.Series) -> dict[str, Any]:
        """An error as columns of `selection`."""
        found, objects, known = self.diagnosis.found, self.diagnosis.objects, int(row["object"])
        is_wrong = self.view == VIEWS[0]
        image, detection = int(row["image"]), int(row["detection"])
        box = found.boxes[detection] if is_wrong else objects.boxes[known]
        which = {"image": image, "image_id": self.data.image_id(image), "object": self._target_row(row)}
        about = {name: row[name] for name in ("class", "score", "iou")} | {"kind": row.get("kind", "missed")}
        hidden = {"occlusion": float(objects.occlusion[known])} if known >= 0 else {}
        return {**which, **about, **hidden, **box_of(box), "detector": self.detector}

    def _target_row(self, row: pd.Series) -> int | None:
        """The row of an error's object in the target of its image."""
        known, first = int(row["object"]), np.searchsorted(self.diagnosis.objects.images, row["image"])
        return None if known < 0 else known - int(first)

    def _looked_at(self) -> Place | None:
        if self.chosen is None:
            return None
        row = self.table.iloc[self.chosen]
        return Place(self.data, int(row["image"]), self._target_row(row))

    def _go_to(self, place: Place) -> None:
        """Choose an error of the image, of the object where there is one."""
        rows = np.flatnonzero(self.table["image"] == place.index)
        if not len(rows):
            what = f"the {len(self.table):,} that are listed" if len(self.table) else "those listed: there is none"
            raise DataError(f"{place.words} has no error among {what}. Other filters may show one.")
        asked = [] if place.object is None else rows
        of_object = [row for row in asked if self._target_row(self.table.iloc[row]) == place.object]
        self.show(chosen=int((of_object or rows)[0]))

    # ---- what follows from what ------------------------------------------------------------------------------

    def _matching(self) -> pd.DataFrame:
        """The errors that the filters leave."""
        ours, theirs = self.diagnosis, self.diagnoses.get(self.unlike)
        if self.view == VIEWS[0]:
            table = ours.top() if theirs is None else only_in(ours, theirs)
            if self.kind != EVERY:
                table = table[table["kind"] == self.kind]
        else:
            table = ours.missed() if theirs is None else missed_only_in(ours, theirs)
        if self.class_name != EVERY:
            table = table[table["class"] == self.class_name]
        return table.sort_values("score", ascending=False, kind="stable", na_position="first").reset_index(drop=True)

    # ---- what is shown ---------------------------------------------------------------------------------------

    def _parts(self) -> list[ipywidgets.Widget]:
        names, classes = list(self.diagnoses), self.diagnosis.classes
        controls = [
            _choice(self, "detector", "Detector", names),
            _choice(self, "view", "Show", VIEWS),
            _choice(self, "unlike", "Not shared by", [("all errors", EVERY), *names]),
            _choice(self, "class_name", "Class", [EVERY, *classes]),
            _choice(self, "kind", "Kind", [EVERY, *ERROR_KINDS]),
        ]
        self._kind = controls[-1]
        controls[2].layout.display = None if len(names) > 1 else "none"
        self._hatched = ipywidgets.Checkbox(description="hatch what is found to hide objects", indent=False)
        self._hatched.layout.width = "max-content"
        traitlets.link((self, "occlusion"), (self._hatched, "value"))
        self._back = button("Previous", "arrow-left", lambda _: self._turn(-1), width="110px")
        self._on = button("Next", "arrow-right", lambda _: self._turn(+1), width="110px")
        self._place = ipywidgets.HTML(layout={"margin": "0 12px"})
        self._summary = ipywidgets.HTML()
        self._picture = PanelPicker()
        self._picture.observe(self._unless_silent(self._on_picked), "chosen")
        turn = ipywidgets.HBox([self._back, self._on, self._place], layout=ROW)
        row = ipywidgets.HBox([*controls, self._hatched], layout=ROW)
        return [row, self._message, self._summary, turn, self._picture]

    def _on_picked(self, change: dict[str, Any]) -> None:
        self.chosen = None if change["new"] is None else self.page * PAGE + change["new"]

    def _turn(self, step: int) -> None:
        self.page = min(max(0, self.page + step), self.pages - 1)

    def _draw(self) -> None:
        number, first, shown = len(self.table), self.page * PAGE, self._shown
        self._summary.value = self._counts()
        self._kind.layout.display = None if self.view == VIEWS[0] else "none"
        self._back.disabled, self._on.disabled = self.page == 0, self.page + 1 >= self.pages
        self._place.value = f"{first + 1} to {first + len(shown)} of {number:,}" if number else "none that match"
        self._hatched.layout.display = None if self.detector in self._asked else "none"
        draw = false_positives_grid if self.view == VIEWS[0] else missed_grid
        how = {"number": PAGE, "columns": COLUMNS, "hidden_by": self._hidden_by()}
        self._picture.layout.display = None if number else "none"
        if number:
            about = shown, self.diagnosis, self.data
            texts = [f"image {image}, {name}" for image, name in zip(shown["image"], shown["class"], strict=True)]
            self._picture.draw(lambda: draw(*about, **how), texts, dpi=DPI)

    def _hidden_by(self) -> HiddenBy | None:
        """Asks the chosen detector's occlusion branch, where it has one and is to be asked."""
        detector = self._asked.get(self.detector) if self.occlusion else None
        return None if detector is None else lambda image, box: found_occlusion(detector, image, box).found

    def _counts(self) -> str:
        """In words: how many of each kind, and what it costs."""
        if self.view == VIEWS[0]:
            kinds, cost = self.diagnosis.kinds().sum(), self.diagnosis.cost().loc["mean"]
            parts = [f"{kinds[name]:,} <b>{name}</b> (cost {cost[name]:.3f} AP)" for name in ERROR_KINDS]
            what = f"Top false positives of all classes: {', '.join(parts)}."
        else:
            table = self.diagnosis.objects_found
            what = f"{len(self.diagnosis.missed()):,} of {len(table):,} objects are not found with a score of 0.5."
        legend = "Solid: the detection; dashed: the object."
        if self.occlusion and self.detector in self._asked:
            legend += " Hatched: what the detector finds to hide it."
        if self.unlike in self.diagnoses and self.view == VIEWS[0]:
            legend += f" {html.escape(self.unlike)} has no box of that class there (IoU {SAME:g})."
        return f"<div>{what} <span style='opacity:0.75'>{legend}</span></div>"


def _is_result(thing: object) -> bool:
    """Whether it is a result or a file of one, and no detector."""
    return isinstance(thing, Result) or is_results_file(thing)


def _choice(browser: ErrorBrowser, name: str, text: str, options: Iterable[Any]) -> ipywidgets.Dropdown:
    """A drop-down list tied to a traitlet."""
    options = [option if isinstance(option, tuple) else (str(option), option) for option in options]
    box = ipywidgets.Dropdown(
        options=options,
        value=getattr(browser, name),
        description=text,
        style=FREE,
        layout={"width": "max-content", "margin": "0 12px 0 0"},
    )
    traitlets.link((browser, name), (box, "value"))
    return box
