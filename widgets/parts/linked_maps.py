"""The map of DFVs and the map of DVs beside each other; a ring marks what is pointed at on both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets
import numpy as np

from widgets.parts.plots import Plot
from workbench.analysis.embedding import POINT_KINDS, Embedding
from workbench.figures.embedding import OWN_DVS, POINTED, PSEUDO, embedding_figure

DFVS = "<b>DFVs.</b> The star is the chosen image, yellow points are its pseudo-DFVs."
DVS = "<b>DVs</b>, occluded minus clean, by themselves. Yellow points are those of the chosen image."


@dataclass(frozen=True)
class Marks:
    """What is marked on the maps."""

    chosen: int  #: row of the clean image
    arrows: np.ndarray | None  #: rows of the occluded DFVs that arrows lead to
    pseudo: np.ndarray  #: points [Q, 2] of the image's pseudo-DFVs
    own: np.ndarray  #: points [P, 2] of its DVs
    pointed: np.ndarray  #: points [1, 2] of what is pointed at on the map of DFVs
    pointed_difference: np.ndarray  #: and on that of DVs, [0 or 1, 2]


class LinkedMaps(ipywidgets.HBox):
    """Both maps.

    Args:
        pointed_at: called with "hover" or "click", whether it is a DV, the kind of vector (one of `POINT_KINDS`, or
            None for a yellow point) and its number among those of the kind.
        lassoed: called with the kinds of vectors in a lasso and their numbers, and none for an empty one.
    """

    def __init__(
        self,
        pointed_at: Callable[[str, bool, str | None, int], None],
        lassoed: Callable[[dict[str, list[int]]], None],
    ):
        self._pointed_at, self._lassoed = pointed_at, lassoed
        self.vectors = Plot(pointed_at=self._on_vector, lassoed=self._on_lasso, width=6.6)
        self.differences = Plot(pointed_at=self._on_difference, lassoed=self._on_lasso, width=4.7)
        maps = [
            ipywidgets.VBox([ipywidgets.HTML(title), plot], layout={"flex": flex, "min_width": "0", "margin": "0"})
            for title, plot, flex in ((DFVS, self.vectors, "3 1 480px"), (DVS, self.differences, "2 1 320px"))
        ]
        super().__init__(maps, layout={"flex_flow": "row wrap"})

    def draw(self, vectors: Embedding, differences: Embedding, colour: str, marks: Marks) -> None:
        """Both maps anew, coloured by one of `COLOUR_BY`."""
        own = {"chosen": marks.chosen, "arrows": marks.arrows, "pseudo": marks.pseudo, "pointed": marks.pointed}
        self.vectors.draw(embedding_figure(vectors, colour_by=colour, key=False, **own))
        own = {"pseudo": marks.own, "pointed": marks.pointed_difference, "yellow": OWN_DVS}
        self.differences.draw(embedding_figure(differences, colour_by=colour, key=False, **own))

    def move(self, marks: Marks) -> None:
        """Only what moves with beta and with what is pointed at."""
        self.vectors.move({PSEUDO: marks.pseudo, POINTED: marks.pointed})
        self.differences.move({OWN_DVS: marks.own, POINTED: marks.pointed_difference})

    def select(self, vectors: Embedding, rows: Sequence[int]) -> None:
        """Show on both maps that these rows of `vectors` are chosen; a DV is as its occluded DFV is."""
        some = {kind: np.flatnonzero(np.isin(vectors.rows(kind), rows)).tolist() for kind in POINT_KINDS}
        self.vectors.select(some)
        self.differences.select({"DV": some["occluded"]})

    def _on_lasso(self, points: dict[str, list[int]]) -> None:
        self._lassoed({name: some for name, some in points.items() if name in POINT_KINDS})

    def _on_vector(self, event: str, line: Any, point: int) -> None:
        self._on_point(event, False, line.name, point)

    def _on_difference(self, event: str, line: Any, point: int) -> None:
        self._on_point(event, True, line.name, point)

    def _on_point(self, event: str, is_difference: bool, name: str, point: int) -> None:
        if name in POINT_KINDS:
            self._pointed_at(event, is_difference, name, point)
        elif name in (PSEUDO, OWN_DVS):
            self._pointed_at(event, is_difference, None, point)
