"""Where the objects and occluders of a digit scene lie: geometry only, no colours and no photographs.

Each object draws how much of it is to be hidden; then random occluders are tried and the one that comes
nearest is kept. An occluder that would hide other objects more than they asked for is refused, so that levels
stay as drawn and nothing is ever hidden by more than `MOST_HIDDEN`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from workbench.data.drawing.occluders import Shapes, patch_shapes, strip_shapes

LEVELS = (0.0, 0.05, 0.2, 0.4, 0.6, 0.75)  #: edges of the occlusion levels, hidden fraction
MOST_HIDDEN = LEVELS[-1]
_TRIED = 40  # occluders tried at once
_ATTEMPTS = 3  # how often
_POINTS = 144  # pixels of each object that stand for all of it during the search
_TOLERANCE = 0.05  # of the level
_SPILL = 0.02  # how much more another object may be hidden


@dataclass(frozen=True)
class Ink:
    """One handwritten digit of an object."""

    position: int  #: in `pixels.digits(split)`
    x: int  #: left edge, pixels from the object's left edge
    y: int
    size: int  #: pixels
    strength: float  #: 1 = full contrast


@dataclass
class Piece:
    """One object: a digit, or a card with several digits."""

    label: int
    x: int  #: left edge of its square window, pixels
    y: int
    mask: np.ndarray  #: bool [s, s], its pixels in that window
    inks: tuple[Ink, ...]
    level: float = 0.0  #: how much of it is to be hidden, 0..1
    cover: str = "texture"  #: by what

    @property
    def size(self) -> int:
        """Side of the window, pixels."""
        return len(self.mask)

    @property
    def window(self) -> tuple[slice, slice]:
        """Its rows and columns of the scene."""
        return slice(self.y, self.y + self.size), slice(self.x, self.x + self.size)

    @property
    def box(self) -> np.ndarray:
        """The tight box around its pixels, xyxy."""
        rows, columns = np.flatnonzero(self.mask.any(1)), np.flatnonzero(self.mask.any(0))
        left, top = self.x, self.y
        return np.array([left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1], dtype=float)


@dataclass
class Cover:
    """One occluder that is no object."""

    kind: str  #: "texture" or "strip"
    x: int
    y: int
    mask: np.ndarray  #: bool [h, w]

    @property
    def window(self) -> tuple[slice, slice]:
        """Its rows and columns of the scene."""
        return slice(self.y, self.y + self.mask.shape[0]), slice(self.x, self.x + self.mask.shape[1])


@dataclass
class Layout:
    """A scene before it is painted."""

    size: int  #: height and width, pixels
    layers: list[Piece | Cover] = field(default_factory=list)  #: from back to front

    @property
    def pieces(self) -> list[Piece]:
        """The objects, from back to front."""
        return [layer for layer in self.layers if isinstance(layer, Piece)]

    def owner(self) -> np.ndarray:
        """Which object each pixel shows, uint8 [S, S]: 0 for none, i + 1 for `pieces[i]`."""
        owner, number = np.zeros((self.size, self.size), np.uint8), 0
        for layer in self.layers:
            if isinstance(layer, Piece):
                number += 1
            owner[layer.window][layer.mask] = number if isinstance(layer, Piece) else 0
        return owner

    def hidden(self, owner: np.ndarray) -> np.ndarray:
        """The hidden fraction of each object, exactly [N]."""
        whole = np.array([piece.mask.sum() for piece in self.pieces], float)
        seen = np.bincount(owner.ravel(), minlength=len(whole) + 1)[1 : len(whole) + 1]
        return 1 - seen / whole


class Arrangement:
    """A layout in the making: knows what is hidden so far, by a sample of each object's pixels."""

    def __init__(self, size: int, rng: np.random.Generator, *, aim: str = "any"):
        self.rng, self.aim = rng, aim
        self.layout = Layout(size)
        self.x = np.zeros((0, _POINTS))  # [N, P] sampled pixels
        self.y = np.zeros((0, _POINTS))
        self.covered = np.zeros((0, _POINTS), bool)
        self.strong = np.zeros((0, _POINTS), bool)  # within the object's strongest digit

    @property
    def pieces(self) -> list[Piece]:
        """The objects so far, from back to front."""
        return self.layout.pieces

    def add(self, piece: Piece) -> None:
        """Lay an object over all others; what it hides of them must have been reckoned before."""
        rows, columns = np.nonzero(piece.mask)
        chosen = np.linspace(0, len(rows) - 1, _POINTS).astype(int)
        rows, columns = rows[chosen], columns[chosen]
        self.x = np.vstack([self.x, columns + piece.x + 0.5])
        self.y = np.vstack([self.y, rows + piece.y + 0.5])
        self.covered = np.vstack([self.covered, np.zeros(_POINTS, bool)])
        ink = max(piece.inks, key=lambda ink: ink.strength * ink.size)
        across, down = columns - ink.x, rows - ink.y
        within = (across >= 0) & (across < ink.size) & (down >= 0) & (down < ink.size)
        self.strong = np.vstack([self.strong, within])
        self.layout.layers.append(piece)

    def place(self, piece: Piece, tries: int = 20) -> bool:
        """Put an object where it touches no other; False where there is no room."""
        room = self.layout.size - piece.size
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
        room = self.layout.size - front.size
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
        """Lay a patch or strips over object `index` so that its level is met; False where that fails."""
        piece = self.pieces[index]
        draw = strip_shapes if piece.cover == "strip" else patch_shapes
        for _ in range(_ATTEMPTS):
            shapes = draw(self.rng, piece.box, piece.level, _TRIED)
            best = self._nearest(index, shapes.inside)
            if best is not None:
                return self._lay(piece.cover, shapes[best])
        return False

    def _lay(self, kind: str, shape: Shapes) -> bool:
        x1, y1, x2, y2 = shape.window(self.layout.size)
        x, y = np.arange(x1, x2) + 0.5, np.arange(y1, y2) + 0.5
        mask = shape.inside(x[None, :], y[:, None])[0]
        self.layout.layers.append(Cover(kind, x1, y1, mask))
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


def arrange(
    rng: np.random.Generator,
    *,
    size: int,
    num_objects: int,
    draw_piece: Callable[[np.random.Generator], Piece],
    rate: float,
    even: bool,
    occluders: tuple[str, ...],
    aim: str = "any",
) -> Layout:
    """A scene of up to `num_objects` objects, at least one, with their occluders.

    An object in front of another ("digit") is an object of the scene like any other, and counts as one.
    """
    scene = Arrangement(size, rng, aim=aim)
    covers = tuple(kind for kind in occluders if kind != "digit")

    def new_piece(kinds: tuple[str, ...]) -> Piece:
        piece = draw_piece(rng)
        if kinds:
            piece.level = draw_level(rng, rate=rate, even=even)
            piece.cover = kinds[rng.integers(len(kinds))]
        return piece

    while (number := len(scene.pieces)) < num_objects:
        piece = new_piece(occluders if number + 1 < num_objects else covers)
        if not scene.place(piece):
            break
        if piece.level > 0 and piece.cover == "digit":
            if any(scene.hide_behind(number, new_piece(covers)) for _ in range(_ATTEMPTS)):
                continue
            if not covers:
                piece.level = 0.0
            else:
                piece.cover = covers[rng.integers(len(covers))]
    for index, piece in enumerate(scene.pieces):
        if piece.level > 0 and piece.cover != "digit":
            scene.cover(index)
    return _lighten(scene.layout)


def _lighten(layout: Layout) -> Layout:
    """Take occluders away, the last first, until no object is hidden by more than `MOST_HIDDEN`.

    Rarely needed: the search goes by a sample of the pixels, this by all of them.
    """
    while len(layout.layers) > 1 and layout.hidden(layout.owner()).max() > MOST_HIDDEN:
        layout.layers.pop()
    return layout
