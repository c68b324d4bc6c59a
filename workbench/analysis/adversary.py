"""What the adversaries of A-Fast-RCNN do to one object, and what the head makes of it before and after.

Three players are asked about the same pooled features (Wang et al. 2017, sec. 4.2): the exhaustive search, which
zeroes every window in turn and needs no network; ASDN, whose heat map says which cells the detector would miss and
from whose top cells masks are sampled (Fig. 3b); and ASTN, which rotates blocks of channels by angles of its own.

Where we depart: the paper shows the adversary on RoIs that training had sampled; here the box is any box. The head
is asked without its dropout, as the adversaries ask it. A network's answer does not depend on whether its stage of
the training hardens or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workbench.analysis.attention import crop, region
from workbench.detectors.base import HasRoIs, asked, evaluating
from workbench.detectors.load import DetectorLike, as_detector
from workbench.errors import DataError
from workbench.hardeners.inverted_attention import drop_sampled
from workbench.hardeners.layers.adversary import Adversary, DropsCells, FullyConnected, TurnsBlocks
from workbench.hardeners.layers.window_search import hardest_windows, window_losses, windows
from workbench.types import Score

UNTOUCHED, WINDOW, DROPPED, ROTATED, BOTH = "untouched", "worst window", "ASDN", "ASTN", "ASDN + ASTN"
RANDOM = "random cells"


@dataclass(frozen=True)
class Search:
    """Every window of the exhaustive search at one region; all tensors on the CPU."""

    windows: Tensor  #: [W, h, w] bool, True in the cells that a window zeroes
    losses: Tensor  #: [W] float32, cross entropy of the class with each window zeroed
    untouched: float  #: the same with none
    probabilities: Tensor  #: [K+1] float32, of all classes with the worst window zeroed

    @property
    def worst(self) -> Tensor:
        """The window of highest loss, [h, w] bool (M̃ of the paper)."""
        return self.windows[self.losses.argmax()]

    @property
    def map(self) -> Tensor:
        """For each cell the mean loss of the windows over it, [h, w] float32."""
        covered = self.windows.float()
        return torch.einsum("n,nhw->hw", self.losses, covered) / covered.sum(0)

    @property
    def rises(self) -> Tensor:
        """How far each window raises the loss, in the order of their positions: [rows, columns]; below 0: lowers."""
        columns = len(self.windows.any(1).unique(dim=0))
        return (self.losses - self.untouched).view(-1, columns)


@dataclass(frozen=True)
class Dropout:
    """ASDN at one region."""

    heat: Tensor  #: [h, w] float32 in 0..1, A(X)
    masks: Tensor  #: [n, h, w] float32, sampled from the heat; 1 = kept
    probabilities: Tensor  #: [n, K+1] float32, of all classes under each mask
    fall: float  #: ASDN learns from a mask that lowers the probability of the true class by more than this


@dataclass(frozen=True)
class Rotation:
    """ASTN at one region."""

    angles: Tensor  #: [blocks] float32, degrees; positive turns counter-clockwise as it is seen
    limit: float  #: degrees either way
    before: Tensor  #: [blocks, h, w] float32, mean activation of each block of channels
    after: Tensor  #: [blocks, h, w] float32, the same after the rotation
    probabilities: Tensor  #: [K+1] float32, of all classes after it


@dataclass(frozen=True)
class RoIAdversary:
    """What each player does to one region, asked about one class; all tensors on the CPU."""

    patch: Tensor  #: [3, 224, 224] uint8, exactly the box; small images keep crisp pixels
    box: Tensor  #: [4] float32, xyxy pixels of the image
    label: int  #: in 0..K, the class that is to be missed
    probabilities: Tensor  #: [K+1] float32, of all classes, untouched; background first
    search: Search
    dropout: Dropout | None  #: None: the detector has no ASDN
    rotation: Rotation | None  #: None: the detector has no ASTN
    both: Tensor | None  #: [n, K+1] float32, of all classes after all of the chain, for each mask

    @property
    def score(self) -> float:
        """Probability of `label` where nothing is touched, 0..1."""
        return float(self.probabilities[self.label])

    @property
    def answers(self) -> dict[str, Tensor]:
        """Player → probabilities of all classes [n, K+1], one row for each sampled mask where it samples."""
        found = {UNTOUCHED: self.probabilities[None], WINDOW: self.search.probabilities[None]}
        if self.dropout is not None:
            found[DROPPED] = self.dropout.probabilities
        if self.rotation is not None:
            found[ROTATED] = self.rotation.probabilities[None]
        return found if self.both is None else {**found, BOTH: self.both}

    @property
    def scores(self) -> dict[str, float]:
        """Player → probability of `label`, the mean over the sampled masks."""
        return {name: float(rows[:, self.label].mean()) for name, rows in self.answers.items()}

    @property
    def passed(self) -> Tensor:
        """Which of the sampled masks ASDN would learn from, [n] bool; without ASDN none are sampled."""
        if self.dropout is None:
            return torch.zeros(0, dtype=torch.bool)
        return self.score - self.dropout.probabilities[:, self.label] > self.dropout.fall


def roi_adversary(
    detector: DetectorLike,
    image: Tensor,
    box: Tensor,
    label: int | None = None,
    *,
    masks: int = 6,
    stride: int = 1,
    generator: torch.Generator | None = None,
) -> RoIAdversary:
    """What the search and the detector's own adversaries do to one box.

    Args:
        detector: any with `roi_features` and `head_score`. Its `hardener` is asked, if it has one: saved detectors
            have none, `Run.detector(step, hardener=True)` has it.
        image: [3, H, W], uint8 or float in 0..1.
        box: [4], xyxy pixels; the part outside the image is cut off.
        label: the true class, 0..K; None: the most probable one that is not background.
        masks: how many are sampled from ASDN's heat map.
        stride: cells between the windows of the search.
        generator: of the masks; None: the same ones every time.

    Raises:
        DataError: a label outside 0..K, a box that is empty or outside the image, or no masks.
        RecipeError: a stride below 1.
    """
    detector = as_detector(detector, hardener=True)
    if masks < 1:
        raise DataError(f"masks is {masks}; expected at least 1")
    box = region(detector, image, box, label)
    pooled = asked(detector, HasRoIs).roi_features([image], [box[None]])
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    with evaluating(detector):
        head = asked(detector, HasRoIs).head_score()
        probabilities = _ask(head, pooled)[0]
        label = int(probabilities[1:].argmax()) + 1 if label is None else label
        players = list(adversaries(detector.hardener))
        asdn = next((one for one in players if isinstance(one, DropsCells)), None)
        astn = next((one for one in players if isinstance(one, TurnsBlocks)), None)
        again = torch.Generator(generator.device)
        again.set_state(generator.get_state())  # so that the chain begins with the masks that are shown
        return RoIAdversary(
            patch=crop(image, box),
            box=box,
            label=label,
            probabilities=probabilities,
            search=_search(head, pooled, label, stride),
            dropout=None if asdn is None else _drop(head, pooled, asdn, masks, generator),
            rotation=None if astn is None else _rotate(head, pooled, astn),
            both=None if None in (asdn, astn) else _play(head, pooled, players, masks, again),
        )


@torch.no_grad()
def harder_features(
    hardener: nn.Module | None,
    head: Score,
    features: Tensor,
    labels: Tensor,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """Pooled features as each player leaves them, every player alone: to ask heads what is hard for them.

    Args:
        hardener: whose ASDN and ASTN play, such as `Run.detector(hardener=True).hardener`; players that it does not
            have are left out.
        head: whose worst windows are searched, as `head_score` gives it.
        features: [R, C, h, w], as `roi_features` gives them.
        labels: [R] int64 in 0..K, the true classes.
        generator: of the cells that are dropped; None: the same ones every time.

    Returns:
        Player → features [R, C, h, w]: untouched, ASDN, random cells (as many as ASDN drops), worst window, ASTN.
    """
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    players = list(adversaries(hardener))
    found, shape = {UNTOUCHED: features}, (len(features), 1, *features.shape[2:])
    for asdn in (one for one in players if isinstance(one, DropsCells)):
        heat = asdn.heat(features).flatten(1)
        chance = torch.rand(heat.shape, generator=generator).to(heat)
        found[DROPPED] = features * drop_sampled(heat, asdn.drop, asdn.pool, generator).view(shape)
        found[RANDOM] = features * drop_sampled(chance, asdn.drop, asdn.drop, generator).view(shape)
    found[WINDOW] = features * ~hardest_windows(head, features, labels)[:, None]
    for astn in (one for one in players if isinstance(one, TurnsBlocks)):
        found[ROTATED] = astn.turn(features, astn.angles(features))
    return found


def adversaries(hardener: nn.Module | None) -> Iterator[DropsCells | TurnsBlocks]:
    """The adversaries that a hardener is or consists of, in the order in which they act."""
    parts = () if hardener is None else hardener.modules()
    return (part for part in parts if isinstance(part, DropsCells | TurnsBlocks))


def has_begun(adversary: object) -> bool:
    """Whether it may have learned something: fully connected networks remember whether a stage has trained them."""
    net = adversary.net if isinstance(adversary, Adversary) else None
    return not isinstance(net, FullyConnected) or bool(net.begun)


def _search(head: Score, pooled: Tensor, label: int, stride: int) -> Search:
    cells = windows(*pooled.shape[2:], stride=stride).to(pooled.device)
    labels = torch.tensor([label], device=pooled.device)
    losses = window_losses(head, pooled, labels, cells)[0]
    worst = pooled * ~cells[losses.argmax()]
    untouched = F.cross_entropy(head(pooled).float(), labels)
    return Search(cells.cpu(), losses.cpu(), float(untouched), _ask(head, worst)[0])


def _drop(head: Score, pooled: Tensor, asdn: DropsCells, masks: int, generator: torch.Generator) -> Dropout:
    kept = asdn.sample(pooled.expand(masks, -1, -1, -1), generator)
    return Dropout(asdn.heat(pooled)[0].cpu(), kept[:, 0].cpu(), _ask(head, pooled * kept), asdn.fall)


def _rotate(head: Score, pooled: Tensor, astn: TurnsBlocks) -> Rotation:
    angles = astn.angles(pooled)
    turned = astn.turn(pooled, angles)
    before, after = (maps[0].unflatten(0, (astn.blocks, -1)).mean(1).float().cpu() for maps in (pooled, turned))
    return Rotation(torch.rad2deg(angles[0]).cpu(), astn.limit, before, after, _ask(head, turned)[0])


def _play(
    head: Score, pooled: Tensor, players: list[DropsCells | TurnsBlocks], masks: int, generator: torch.Generator
) -> Tensor:
    """Probabilities [n, K+1] after all adversaries in order, each on what the one before has left."""
    features = pooled.expand(masks, -1, -1, -1)
    for player in players:
        if isinstance(player, DropsCells):
            features = features * player.sample(features, generator)
        else:
            features = player.turn(features, player.angles(features))
    return _ask(head, features)


def _ask(head: Score, features: Tensor) -> Tensor:
    """Class probabilities [R, K+1] on the CPU."""
    return F.softmax(head(features).float(), dim=1).cpu()
