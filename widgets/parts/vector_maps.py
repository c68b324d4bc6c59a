"""The vectors that a classifier has for pairs, their maps, and what both say in words."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workbench.analysis.deep_vectors import PairVectors, PseudoVectors, pair_vectors, tightness
from workbench.analysis.embedding import POINT_KINDS, Embedding, Placed, embed, embed_differences
from workbench.data.pairs import PairSet
from workbench.detectors.classifier import Classifier

ARROWS = 60  #: arrows drawn, at most
LANDMARKS = 4  #: there is one embedded pseudo-DFV to so many occluded DFVs


@dataclass(frozen=True, eq=False)
class VectorMaps:
    """Vectors and maps of one classifier."""

    classifier: Classifier
    vectors: PairVectors
    embedding: Embedding  #: DFVs and some pseudo-DFVs
    differences: Embedding  #: the DVs, on a map of their own
    tightness: pd.DataFrame

    @classmethod
    def of(cls, classifier: Classifier, pairs: PairSet) -> VectorMaps:
        """Vectors and maps; takes some seconds per thousand vectors."""
        vectors = pair_vectors(classifier, pairs)
        landmarks = max(1, len(vectors.occluded) // (LANDMARKS * len(vectors.clean)))
        embedding = embed(vectors, pseudo=landmarks, differences=False)
        return cls(classifier, vectors, embedding, embed_differences(vectors), tightness(vectors))

    def arrow_rows(self, image: int) -> np.ndarray:
        """Rows of the occluded DFVs that arrows lead to: those of the image, then evenly some of the others."""
        rows = self.embedding.rows("occluded")
        mine = self.embedding.base[rows] == image
        own, others = rows[mine], rows[~mine]
        some = others[:: max(1, -(-len(others) // max(1, ARROWS - len(own))))]
        return np.concatenate([own, some])[:ARROWS]

    def rows_of(self, points: dict[str, list[int]]) -> list[int]:
        """Rows of the map, of vectors by kind and number; DVs stand for their occluded DFVs."""
        named = [("occluded" if kind == "DV" else kind, numbers) for kind, numbers in points.items()]
        return sorted({int(self.embedding.rows(kind)[number]) for kind, numbers in named for number in numbers})

    def row(self, point: int) -> dict[str, Any]:
        """A row of the map as columns of `DFVExplorer.selection`, but for the image."""
        embedding = self.embedding
        pattern = int(embedding.patterns[point])
        names = embedding.pattern_names
        named = "" if not pattern else names[pattern - 1] if pattern <= len(names) else f"pattern {pattern}"
        x, y = embedding.points[point]
        kind = POINT_KINDS[embedding.kinds[point]]
        name = embedding.classes[embedding.labels[point] - 1]
        return {"class": name, "kind": kind, "pattern": named, "point": point, "x": float(x), "y": float(y)}

    def sentence(self, image: int, beta: float, pseudo: PseudoVectors, placed: Placed) -> str:
        """In HTML: what the pseudo-DFVs of an image are taken for, and what they lie nearest to."""
        label = self.vectors.clean_labels[image]
        said = self.classifier.logits_of(pseudo.vectors).argmax(dim=1).cpu().numpy() + 1
        near = self.embedding.kinds[placed.nearest] != POINT_KINDS.index("clean")
        own = self.embedding.labels[placed.nearest] == label
        name = html.escape(self.vectors.classes[label - 1])
        return (
            f"β = {beta:.2f}: of the {len(said)} pseudo-DFVs of this <b>{name}</b>, {(said == label).mean():.0%} are "
            f"still classified so. The nearest DFV on the map is an occluded or pseudo-DFV for {near.mean():.0%}, "
            f"and of its class for {own.mean():.0%}."
        )

    def claims(self) -> str:
        """In HTML: the table of `tightness`."""
        text = "Silhouettes by pattern and by class, and mean cosines of vectors of two images, by what they share:"
        table = self.tightness.rename(columns=lambda name: name.replace("_", " "))
        shown = table.to_html(float_format="{:.2f}".format, na_rep="–", border=0, justify="left", col_space=110)
        return f"<div style='margin-top:8px'>{text}</div>{shown}"
