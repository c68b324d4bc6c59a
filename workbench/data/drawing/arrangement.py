"""Arranging a scene: objects that touch no other, and occluders that hide as much of them as was drawn.

Each object draws how much of it is to be hidden; then random occluders are tried and the one that comes
nearest is kept. An occluder that would hide other objects more than they asked for is refused, so that levels
stay as drawn and nothing is ever hidden by more than `MOST_HIDDEN`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from workbench.data.drawing.layout import LEVELS, MOST_HIDDEN, Cover, Layout, Piece
from workbench.data.drawing.occluders import CoverKind, Outlines

_TRIED = 40  # occluders tried at once
_ATTEMPTS = 3  # how often
_POINTS = 144  # pixels of each object that stand for all of it during the search
_TOLERANCE = 0.05  # of the level
_SPILL = 0.02  # how much more another object may be hidden


class Arrangement:
    """A layout in the making: knows what is hidden so far, by a sample of each object's pixels.

    Args:
        size: height and width, pixels.
        covers: what there is to lay over objects.
        aim: see `DigitScenes`.
    """

    def __init__(
        self, size: tuple[int, int], rng: np.random.Generator, covers: Mapping[str, CoverKind], *, aim: str = "any"
    ):
        self.rng, self.covers, self.aim = rng, covers, aim
        self.layout = Layout(size)
        self.x = np.zeros((0, _POINTS))  # [N, P] sampled pixels
        self.y = np.zeros((0, _POINTS))
        self.covered = np.zeros((0, _POINTS), bool)
        self.strong = np.zeros((0, _POINTS), bool)  # within the object's strongest digit

    @property
    def pieces(self) -> list[Piece]:
        """The objects so far, and what looks like them, from back to front."""
        return [layer for layer in self.layout.layers if isinstance(layer, Piece)]

    def add(self, piece: Piece) -> None:
        """Lay an object over all others; what it hides of them must have been reckoned before."""
        rows, columns = np.nonzero(piece.mask)
        chosen = np.linspace(0, len(rows) - 1, _POINTS).astype(int)
        rows, columns = rows[chosen], columns[chosen]
        self.x = np.vstack([self.x, columns + piece.x + 0.5])
        self.y = np.vstack([self.y, rows + piece.y + 0.5])
        self.covered = np.vstack([self.covered, np.zeros(_POINTS, bool)])
        self.strong = np.vstack([self.strong, _in_strongest(piece, columns, rows)])
        self.layout.layers.append(piece)

    def place(self, piece: Piece, tries: int = 20) -> bool:
        """Put an object where it touches no other; False where there is no room."""
        room = self.layout.size[0] - piece.size
        places = self.rng.integers(0, room + 1, (tries, 2))
        others = np.array([[other.x, other.y, other.size] for other in self.pieces]).reshape(-1, 3)
        reach = (piece.size + others[:, 2]) / 2
        centre = places[:, None] + piece.size / 2 - (others[:, :2] + others[:, 2:] / 2)
        free = (np.abs(centre) >= reach[:, None] + 1).any(2).all(1)
        if not free.any():
            return False
        piece.x, piece.y = (int(value) for value in places[free.argmax()])
        self.add(piece)
        return True

    def hide_behind(self, index: int, front: Piece) -> bool:
        """Lay `front` over object `index` so that its level is met; False where that fails."""
        behind = self.pieces[index]
        room = self.layout.size[0] - front.size
        middle = np.array([behind.x, behind.y]) + (behind.size - front.size) / 2
        reach = 0.7 * behind.size
        places = np.rint(middle + self.rng.uniform(-reach, reach, (_TRIED, 2))).astype(int).clip(0, room)

        def inside(x: np.ndarray, y: np.ndarray) -> np.ndarray:
            column = x.astype(int) - places[:, 0].reshape(-1, 1, 1)
            row = y.astype(int) - places[:, 1].reshape(-1, 1, 1)
            last = front.size - 1
            within = (column >= 0) & (column <= last) & (row >= 0) & (row <= last)
            return within & front.mask[row.clip(0, last), column.clip(0, last)]

        best = self._nearest(index, inside)
        if best is None:
            return False
        front.x, front.y = (int(value) for value in places[best])
        self.add(front)
        return True

    def cover(self, index: int) -> bool:
        """Lay an occluder of its kind over object `index` so that its level is met; False where that fails."""
        piece = self.pieces[index]
        for _ in range(_ATTEMPTS):
            shapes = self.covers[piece.cover].draw(self.rng, piece.box, piece.level, _TRIED)
            best = self._nearest(index, shapes.inside)
            if best is not None:
                return self._place(piece.cover, shapes[best])
        return False

    def _place(self, kind: str, shape: Outlines) -> bool:
        x1, y1, x2, y2 = shape.window(self.layout.size)
        x, y = np.arange(x1, x2) + 0.5, np.arange(y1, y2) + 0.5
        mask = shape.inside(x[None, :], y[:, None])[0]
        self.layout.layers.append(Cover(kind, x1, y1, mask, shape))
        return True

    def _nearest(self, index: int, inside: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> int | None:
        """Which of the tried occluders serves object `index` best; what it hides counts from then on."""
        covered = self.covered | inside(self.x, self.y)  # [M, N, P]
        now = self.covered.mean(1)
        after = covered.mean(2)  # [M, N]
        wanted = np.array([piece.level for piece in self.pieces])
        miss = np.abs(after[:, index] - wanted[index])
        spill = np.clip(after - np.maximum(wanted, now), 0, None)
        spill[:, index] = 0
        refused = (miss > _TOLERANCE) | (spill.max(1) > _SPILL) | (after.max(1) > MOST_HIDDEN - 0.01)
        cost = miss + spill.sum(1)
        if self.aim == "strong":
            strong = self.strong[index]
            cost = cost - (covered[:, index] & strong).sum(1) / strong.sum()
        cost[refused] = np.inf
        best = int(cost.argmin())
        if refused[best]:
            return None
        self.covered = covered[best]
        return best


def _in_strongest(piece: Piece, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Which of these pixels of its window lie within the strongest of its digits; all where it has none."""
    if not piece.inks:
        return np.ones(len(columns), bool)
    ink = max(piece.inks, key=lambda ink: ink.strength * ink.size)
    across, down = columns - ink.x, rows - ink.y
    return (across >= 0) & (across < ink.size) & (down >= 0) & (down < ink.size)


def draw_level(rng: np.random.Generator, *, rate: float, even: bool) -> float:
    """How much of an object is to be hidden: 0 with probability 1 - rate.

    The rest is even over the four `LEVELS` from 5 % on (even=True), or falls linearly from 5 % to 75 %.
    """
    if rng.random() >= rate:
        return 0.0
    margin = 0.01  # so that the tolerance seldom leads into the next level
    if even:
        level = rng.integers(1, len(LEVELS) - 1)
        return rng.uniform(LEVELS[level] + margin, LEVELS[level + 1] - margin)
    low, high = LEVELS[1] + margin, MOST_HIDDEN - margin
    return low + (high - low) * (1 - np.sqrt(rng.random()))


def draw_cover(rng: np.random.Generator, kinds: Sequence[str], covers: Mapping[str, CoverKind], level: float) -> str:
    """One of `kinds`, of those that can hide so much where there are any."""
    able = [kind for kind in kinds if kind not in covers or covers[kind].least <= level <= covers[kind].most]
    chosen = able or kinds
    return chosen[rng.integers(len(chosen))]


def arrange(
    rng: np.random.Generator,
    *,
    size: int,
    num_objects: int,
    draw_piece: Callable[[np.random.Generator, int], Piece],
    rate: float,
    even: bool,
    occluders: tuple[str, ...],
    covers: Mapping[str, CoverKind],
    aim: str = "any",
) -> Layout:
    """A square scene of up to `num_objects` objects, at least one, with their occluders.

    An object in front of another (the kind of occluder that is not in `covers`) is an object of the scene like any
    other, and counts as one.

    Args:
        draw_piece: gets the number of objects so far; for one in front of another, as when that one was drawn.
    """
    scene = Arrangement((size, size), rng, covers, aim=aim)
    laid = tuple(kind for kind in occluders if kind in covers)

    def new_piece(number: int, kinds: tuple[str, ...]) -> Piece:
        piece = draw_piece(rng, number)
        if kinds:
            piece.level = draw_level(rng, rate=rate, even=even)
            piece.cover = draw_cover(rng, kinds, covers, piece.level)
        return piece

    while (number := len(scene.pieces)) < num_objects:
        piece = new_piece(number, occluders if number + 1 < num_objects else laid)
        if not scene.place(piece):
            break
        if piece.level > 0 and piece.cover not in covers:
            if any(scene.hide_behind(number, new_piece(number, laid)) for _ in range(_ATTEMPTS)):
                continue
            if not laid:
                piece.level = 0.0
            else:
                piece.cover = draw_cover(rng, laid, covers, piece.level)
    for index, piece in enumerate(scene.pieces):
        if piece.level > 0 and piece.cover in covers:
            scene.cover(index)
    return _lighten(scene.layout)


def _lighten(layout: Layout) -> Layout:
    """Take occluders away, the last first, until no object is hidden by more than `MOST_HIDDEN`.

    Rarely needed: the search goes by a sample of the pixels, this by all of them.
    """
    while len(layout.layers) > 1 and layout.hidden(layout.owner()).max() > MOST_HIDDEN:
        layout.layers.pop()
    return layout
