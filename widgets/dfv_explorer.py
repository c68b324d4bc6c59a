"""DFVs and DVs on two linked maps that answer: point, recolour, and let one image's pseudo-DFVs move with beta.

What is on the map is `workbench.analysis.embedding`, how it is drawn `workbench.figures.embedding`. t-SNE has no
place for new vectors: those of the chosen image are put among their nearest embedded DFVs (`embedding.place`), so
the map stays fixed while beta moves; some pseudo-DFVs of every image are embedded with the rest as landmarks. DVs lie
around 0, not where DFVs do, and have a map of their own.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import ipywidgets
import numpy as np
import pandas as pd
import torch
import traitlets
from torch import Tensor

from widgets.parts.controls import FREE, ROW, TABLE
from widgets.parts.explorer import Explorer
from widgets.parts.linked_maps import LinkedMaps, Marks
from widgets.parts.looking import Looks, Place
from widgets.parts.messages import Chips, hint
from widgets.parts.pictures import Picture
from widgets.parts.sources import Source, named
from widgets.parts.vector_maps import VectorMaps
from workbench.analysis.deep_vectors import (
    PairVectors,
    PseudoVectors,
    coverage,
    pairs_of,
    pseudo_vectors,
    some_pairs,
)
from workbench.analysis.embedding import NONE, Embedding, Placed, place
from workbench.data import Dataset
from workbench.data.pairs import PairSet
from workbench.detectors.classifier import Classifier
from workbench.detectors.dfv_decoder import DFVDecoder
from workbench.detectors.load import DetectorLike, as_detector
from workbench.errors import DataError
from workbench.figures.dfv import reconstructions_figure
from workbench.figures.embedding import COLOUR_BY, colour_key, describe

MOST_BETA = 3.0
POINT = (
    "Point at a map: this is what lies there, and a ring marks it on both. A click chooses the image of a point, and "
    "the lasso or box of the map's tool bar several points for <code>selection</code>."
)


class DFVExplorer(Explorer, Looks):
    """Maps of the vectors of clean and occluded images, and of their differences, for one or several classifiers.

    Maps take some seconds per thousand vectors.

    Args:
        classifiers: a `Classifier`, a `Run` of one, or the name or path of one, or a dict of name → such.
        pairs: a `PairSet`, or a data set with occlusion.
        decoder: of the first classifier's vectors, or a dict of name → decoder.
        images: clean images of each class that are looked at, the first ones; None: all.
        patterns: numbers of the patterns, from 1 on; None: all.
        state: any of the traitlets.

    Traitlets, to be set from Python or with the controls: `classifier` (name), `colour` (one of `COLOUR_BY`),
    `arrows` (DVs are drawn from clean to occluded, those of the chosen image first), `image` (row of a clean image),
    `beta`, `point` (row of `embedding` that is shown, for a DV that of its occluded DFV; -1 - k is the k-th
    pseudo-DFV of the image) and `selected` (rows of `embedding`, those in a lasso or box, until a double click
    with the same tool). `pseudo` and `placed` are the pseudo-DFVs of the image, with all DVs of others, and where
    they lie. `tightness` and `coverage()` measure the paper's claims, `error` says what went wrong with the last
    change. `selection` are the points that are selected, or else the one pointed at; `image` is there the position in
    the clean images.

    Raises:
        DataError: no classifier, no pairs, a decoder that fits none, or a state that does not exist.

    Example:
        >>> few = {"occluders": ["cup"], "random_places": 0, "pair_classes": 3, "pair_images": 3}
        >>> data = wb.load_data("digits", split="train", occlusion=few)
        >>> explorer = widgets.DFVExplorer(wb.load_detector("dfv/digits-c"), data)
        >>> explorer.beta = 0.5
        >>> explorer.pseudo.vectors.shape[1] == explorer.embedding.vectors.shape[1]
        True
    """

    STATE = ("classifier", "colour", "arrows", "image", "beta", "point", "selected")
    COLUMNS = ("image", "image_id", "class", "kind", "pattern", "point", "x", "y", "detector")

    classifier = traitlets.Unicode()
    colour = traitlets.Enum(COLOUR_BY, COLOUR_BY[0])
    arrows = traitlets.Bool(True)
    image = traitlets.Int(0, min=0)
    beta = traitlets.Float(1.0, min=0, max=MOST_BETA)
    point = traitlets.Int(0)
    selected = traitlets.List(traitlets.Int(min=0))
    pseudo: PseudoVectors
    placed: Placed

    def __init__(
        self,
        classifiers: DetectorLike | Mapping[str, DetectorLike],
        pairs: PairSet | Dataset,
        decoder: DetectorLike | Mapping[str, DetectorLike] | None = None,
        *,
        images: int | None = 5,
        patterns: tuple[int, ...] | None = None,
        **state: Any,
    ):
        self.sources = {name: Source(thing) for name, thing in named(classifiers, "classifier").items()}
        for name, source in self.sources.items():
            if not isinstance(one := source.detector(), Classifier):
                raise DataError(f"{name} is a {type(one).__name__}; expected a Classifier, or a run of one")
        first = next(iter(self.sources))
        given = {} if decoder is None else decoder if isinstance(decoder, Mapping) else {first: decoder}
        self.decoders = {name: as_detector(one) for name, one in given.items()}
        if strangers := set(self.decoders) - set(self.sources):
            raise DataError(f"decoder names {sorted(strangers)}; there are {', '.join(self.sources)}")
        for name, one in self.decoders.items():
            if not isinstance(one, DFVDecoder):
                raise DataError(f"the decoder of {name} is a {type(one).__name__}; expected a DFVDecoder")
            lengths = one.classifier.num_features, self.sources[name].detector().num_features
            if lengths[0] != lengths[1]:
                raise DataError(f"the decoder of {name} paints vectors of {lengths[0]}, not {lengths[1]}")
        self.pairs = some_pairs(pairs_of(pairs), images=images, patterns=patterns)
        self.data = self.pairs.clean
        self._clean_rows = np.unique(self.pairs.index[:, 0])
        self._mapped: dict[str, VectorMaps] = {}
        super().__init__()
        self.classifier = state.get("classifier", first)
        self._place_pseudo()
        self.add_class("dfv-explorer")
        self._begin(self._parts(), **{"classifier": self.classifier, **state})

    def __repr__(self) -> str:
        return f"DFVExplorer({', '.join(self.sources)}; {len(self._clean_rows)} images, {len(self.pairs)} pairs)"

    @property
    def mapped(self) -> VectorMaps:
        """The chosen classifier's vectors and map; made when first asked for."""
        if self.classifier not in self._mapped:
            self._mapped[self.classifier] = VectorMaps.of(self.sources[self.classifier].detector(), self.pairs)
        return self._mapped[self.classifier]

    @property
    def vectors(self) -> PairVectors:
        """Those of the chosen classifier."""
        return self.mapped.vectors

    @property
    def embedding(self) -> Embedding:
        """The map of the chosen classifier."""
        return self.mapped.embedding

    @property
    def differences(self) -> Embedding:
        """The map of its DVs, a row for each pair."""
        return self.mapped.differences

    @property
    def tightness(self) -> pd.DataFrame:
        """How tightly DVs lie together by pattern and by class; see `deep_vectors.tightness`."""
        return self.mapped.tightness

    def coverage(self, **options: Any) -> pd.DataFrame:
        """What pseudo-DFVs with this beta cover; see `deep_vectors.coverage`."""
        return coverage(self.vectors, **{"beta": self.beta, **options})

    def _show(self, **state: Any) -> None:
        self._apply(state)
        self._draw(set(state))

    # ---- what follows from what ------------------------------------------------------------------------------

    @traitlets.validate("classifier")
    def _exists(self, proposal: dict[str, Any]) -> str:
        if proposal["value"] not in self.sources:
            raise traitlets.TraitError(f"classifier is {proposal['value']!r}; there are {list(self.sources)}")
        return proposal["value"]

    @traitlets.validate("image")
    def _is_there(self, proposal: dict[str, Any]) -> int:
        if proposal["value"] >= len(self._clean_rows):
            raise traitlets.TraitError(f"image is {proposal['value']}; there are {len(self._clean_rows)}, from 0 on")
        return proposal["value"]

    @traitlets.validate("selected")
    def _are_there(self, proposal: dict[str, Any]) -> list[int]:
        rows, number = proposal["value"], len(self.embedding) if proposal["value"] else 0
        if beyond := [row for row in rows if row >= number]:
            raise traitlets.TraitError(f"selected has row {beyond[0]}; the map has {number} points, from 0 on")
        return sorted(set(rows))

    def _chosen_rows(self) -> list[dict[str, Any]]:
        if self.selected or self.point >= 0:
            points = self.selected or [min(self.point, len(self.embedding) - 1)]
            found = [(self.embedding.base[point], self.mapped.row(point)) for point in points]
        else:
            number = self._pseudo_row()
            x, y = self.placed.points[number]
            like = self.mapped.row(int(self.embedding.rows("occluded")[self.pseudo.pair[number]]))
            name = self.vectors.classes[self.vectors.clean_labels[self.image] - 1]
            own = {"class": name, "kind": "pseudo-DFV", "point": self.point, "x": float(x), "y": float(y)}
            found = [(self.image, like | own)]
        rows = []
        for base, row in found:
            image = int(self._clean_rows[base])
            which = {"image": image, "image_id": self.data.image_id(image), "detector": self.classifier}
            rows.append(which | row)
        return rows

    def _looked_at(self) -> Place:
        return Place(self.data, int(self._clean_rows[self.image]))

    def _go_to(self, place: Place) -> None:
        rows = np.flatnonzero(self._clean_rows == place.index)
        if not len(rows):
            raise DataError(f"{place.words} has no pair on this map of {len(self._clean_rows)} images.")
        self.show(image=int(rows[0]))

    def _follow(self, name: str, state: Mapping[str, Any]) -> None:
        if name == "image" and "point" not in state:
            self.point = self.image  # clean images are the first rows of the map

    def _on_point(self, event: str, is_difference: bool, kind: str | None, number: int) -> None:
        """What is pointed at is shown; with a click, its image is chosen. A DV stands for its pair's occluded DFV."""
        if is_difference:
            pair = int(self._own_pairs()[number] if kind is None else number)
            row = int(self.embedding.rows("occluded")[pair])
        elif kind is None:
            row = -1 - number
        else:
            row = int(self.embedding.rows(kind)[number])
        if event == "hover":
            self._guarded(lambda: self.show(point=row))
        elif row >= 0:
            self.image = int(self.embedding.base[row])

    def _on_lasso(self, points: dict[str, list[int]]) -> None:
        self.selected = self.mapped.rows_of(points)

    def _own_pairs(self) -> np.ndarray:
        """Pairs of the chosen image."""
        return np.flatnonzero(self.vectors.source == self.image)

    def _place_pseudo(self) -> None:
        """The pseudo-DFVs of the image, and where they lie."""
        self.pseudo = pseudo_vectors(self.vectors, beta=self.beta, bases=np.array([self.image]))
        self.placed = place(self.embedding, self.pseudo.vectors)

    # ---- what is shown ---------------------------------------------------------------------------------------

    def _draw(self, changed: set[str]) -> None:
        if changed == {"selected"}:
            self.maps.select(self.embedding, self.selected)
            return
        self._place_pseudo()
        self._draw_picture()
        if changed & {"classifier", "colour", "arrows", "image"}:
            self.maps.draw(self.embedding, self.differences, self.colour, self._marks())
            self.maps.select(self.embedding, self.selected)
        else:
            self.maps.move(self._marks())
        if changed == {"point"}:
            return
        self._key.show(f"Colour by {self.colour}:", self._colours())
        self._facts.value = self.mapped.sentence(self.image, self.beta, self.pseudo, self.placed)
        self._claims.value = self.mapped.claims()

    def _marks(self) -> Marks:
        _, pair, _ = self._pointed()
        row = min(self.point, len(self.embedding) - 1)
        points = self.embedding.points[[row]] if self.point >= 0 else self.placed.points[[self._pseudo_row()]]
        return Marks(
            chosen=self.image,
            arrows=self.mapped.arrow_rows(self.image) if self.arrows else None,
            pseudo=self.placed.points,
            own=self.differences.points[self._own_pairs()],
            pointed=points,
            pointed_difference=self.differences.points[[] if pair == NONE else [pair]],
        )

    def _colours(self) -> dict[str, str]:
        """Names and colours on both maps; classes and patterns are the same there."""
        return colour_key(self.embedding, self.colour) | colour_key(self.differences, self.colour)

    def _pseudo_row(self) -> int:
        """Which pseudo-DFV is pointed at, where one is; with another image there may be fewer."""
        return min(-1 - self.point, len(self.pseudo.pair) - 1)

    def _draw_picture(self) -> None:
        base, pair, text = self._pointed()
        pictures = {"clean": self.pairs.clean.image(int(self._clean_rows[base]))}
        if pair != NONE:
            name = "occluded" if self.vectors.source[pair] == base else "the DV is of"
            pictures[name] = self.pairs.occluded.image(int(self.pairs.index[pair, 1]))
        if (decoder := self.decoders.get(self.classifier)) is not None:
            pictures |= self._decoded(decoder, base, pair)
        row = {"": list(pictures.values())}
        self._picture.draw(lambda: reconstructions_figure(row, list(pictures), side=1.4))
        self._words.value = f"<b>{html.escape(text)}</b>"

    def _decoded(self, decoder: DFVDecoder, base: int, pair: int) -> dict[str, Tensor]:
        """What the decoder paints of the clean DFV, and of it plus beta times the pair's DV."""
        vectors = {"decoded v": self.vectors.clean[base]}
        if pair != NONE:
            moved = vectors["decoded v"] + self.beta * self.vectors.differences[pair]
            vectors[f"decoded v + {self.beta:g} d"] = moved
        return dict(zip(vectors, decoder.decode(torch.stack(list(vectors.values()))).cpu(), strict=True))

    def _pointed(self) -> tuple[int, int, str]:
        """Row of the clean image, row of the pair or NONE, and words, of what is pointed at."""
        if self.point < 0:
            pair = int(self.pseudo.pair[self._pseudo_row()])
            label = self.vectors.classes[self.vectors.clean_labels[self.image] - 1]
            pattern = self.vectors.pattern_names[self.vectors.patterns[pair] - 1]
            return self.image, pair, f"pseudo-DFV {label}, β = {self.beta:g}, {pattern}"
        row = min(self.point, len(self.embedding) - 1)
        return int(self.embedding.base[row]), int(self.embedding.pair[row]), describe(self.embedding, row)

    # ---- parts -----------------------------------------------------------------------------------------------

    def _parts(self) -> list[ipywidgets.Widget]:
        self._controls = self._make_controls()
        self._key, self._facts = Chips(), ipywidgets.HTML()
        self._words, self._claims, self._picture = ipywidgets.HTML(), ipywidgets.HTML(layout=TABLE), Picture()
        self.maps = LinkedMaps(self._on_point, self._on_lasso)
        return [
            ipywidgets.HBox(list(self._controls.values()), layout=ROW),
            self._message,
            self._key,
            self.maps,
            self._facts,
            hint(POINT),
            self._words,
            self._picture,
            self._claims,
        ]

    def _make_controls(self) -> dict[str, ipywidgets.Widget]:
        wide = {"style": FREE, "layout": {"width": "270px", "margin": "0 12px 0 0"}}
        by = [(f"by {name}", name) for name in COLOUR_BY]
        tight = {"style": {"button_width": "92px"}, "layout": {"width": "max-content", "margin": "0 12px 0 0"}}
        narrow = {"layout": {"width": "max-content", "margin": "0 24px 0 0"}}
        last = len(self._clean_rows) - 1
        controls = {
            "classifier": ipywidgets.Dropdown(options=list(self.sources), description="Classifier", **wide),
            "colour": ipywidgets.ToggleButtons(options=by, tooltips=[f"Colour {text}" for text, _ in by], **tight),
            "arrows": ipywidgets.Checkbox(description="DVs as arrows", indent=False, **narrow),
            "image": ipywidgets.IntSlider(max=last, description="Image", **wide),
            "beta": ipywidgets.FloatSlider(max=MOST_BETA, step=0.05, description="β", **wide),
        }
        for name, control in controls.items():
            traitlets.link((self, name), (control, "value"))
        if len(self.sources) == 1:
            controls["classifier"].layout.display = "none"
        return controls
