"""Occluders over single objects: which objects, by what, and how much of them is hidden then."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from workbench.data.drawing.cut_outs import SHIPPED, Occluder, load_occluders
from workbench.data.drawing.hiding import KINDS, Laid, Place, hidden_count, hide, lay
from workbench.errors import DataError, RecipeError, nearest
from workbench.hiders.layers.pixels import as_array, own_count, shown
from workbench.types import Target, learnable

FEWEST = 16  #: pixels that an object must show to be hidden in part
TRIES = 4  #: occluders that would hide too much of another object are drawn again


class Occluders:
    """What objects are hidden by: names of `data.drawing.hiding.KINDS`, cut-outs, or files of pictures with alpha.

    Files are read when an occluder is first drawn.

    Args:
        names: one or several; also a folder of PNGs.
        place: key of them in a recipe, for messages.
        without: kinds that make no sense there.

    Raises:
        RecipeError: there are none, or a name is neither a kind, a cut-out nor a path.
    """

    def __init__(self, names: str | Sequence[str], *, place: str, without: Collection[str] = ()):
        self.names = (names,) if isinstance(names, str) else tuple(names)
        known = [name for name in (*KINDS, *SHIPPED) if name not in without]
        if not self.names:
            raise RecipeError(f"{place} is empty; name at least one of {', '.join(known)}, or PNG files with alpha")
        for name in self.names:
            if name not in known and not any(sign in name for sign in "./\\~$"):
                there = f"choose from {', '.join(known)}, or name a PNG with alpha"
                raise RecipeError(f"{place}: occluder {name!r} does not exist{nearest(name, known)}; {there}")

    @cached_property
    def all(self) -> tuple[str | Occluder, ...]:
        """Kinds by name, and cut-outs.

        Raises:
            DataError: a file that cannot be read or has no alpha.
        """
        found: list[str | Occluder] = []
        for name in self.names:
            found += [name] if name in KINDS else load_occluders(name)
        return tuple(found)

    def draw(self, rng: np.random.Generator) -> str | Occluder:
        """One of them."""
        return self.all[rng.integers(len(self.all))]

    def obstacle(self) -> str | None:
        """Why they cannot be had."""
        try:
            return None if self.all else "there are no occluders"
        except DataError as error:
            return str(error)


def check_fractions(high: float, least_visible: float) -> None:
    """See that the largest hidden fraction leaves enough of an object to be learned.

    Raises:
        RecipeError: it does not.
    """
    if high > 1 - least_visible + 1e-9:
        raise RecipeError(
            f"augment.hide.fraction goes up to {high:g}, and objects of which less than {least_visible:g} is visible "
            f"are not learned; expected at most {1 - least_visible:g}, or a lower least_visible"
        )


def coverable(target: Target, size: tuple[int, int]) -> list[int]:
    """Rows of the objects that training learns from and that show `FEWEST` pixels or more."""
    rows = learnable(target).nonzero()[:, 0].tolist()
    return [row for row in rows if int(shown(target, row, size).sum()) >= FEWEST]


def cover(
    target: Target,
    row: int,
    size: tuple[int, int],
    fraction: float,
    kind: str | Occluder,
    place: Place,
    rng: np.random.Generator,
    *,
    spare: bool = False,
) -> Laid | None:
    """An occluder under which `fraction` of an object's own pixels are hidden, those hidden before among them.

    None if so much is hidden already.

    Args:
        size: height and width of the image.
        spare: leave what other objects show free, as far as their masks are known: it lies behind them.
    """
    seen = shown(target, row, size)
    visible = int(seen.sum())
    own = own_count(target, row, visible)
    number = min(visible, hidden_count(round(own), fraction) - round(own - visible))
    if number <= 0:
        return None
    keep = None
    if spare and "masks" in target:
        others = [other for other in range(len(target["labels"])) if other != row]
        keep = as_array(target["masks"][others].any(0)) & ~as_array(seen)
    return hide(as_array(seen), number / visible, kind, place, rng=rng, keep=keep)


def covered(
    image: Tensor,
    target: Target,
    draws: Iterable[Callable[[Target], Laid | None]],
    after: Callable[[Target, Tensor], Target],
) -> tuple[Tensor, Target]:
    """An image uint8 [3, H, W] under several occluders, one after the other, and what is true of it then.

    One that would hide so much of an object that it is `ignored` is drawn again, `TRIES` times, and then left out.

    Args:
        draws: each draws an occluder for the target as it is by then; None: nothing.
        after: the target once pixels [H, W] are hidden.
    """
    laid: list[Laid] = []
    for draw in draws:
        for _ in range(TRIES):
            one = draw(target)
            if one is None:
                break
            tried = after(target, hidden_by([one], (image.shape[-2], image.shape[-1])))
            if not newly_ignored(target, tried):
                target = tried
                laid.append(one)
                break
    return (lay(image, laid) if laid else image), target


def newly_ignored(before: Target, after: Target) -> bool:
    """Whether an object of a target that training could learn from is `ignored` afterwards."""
    return bool((learnable(before) & ~learnable(after)).any())


def hidden_by(laid: Sequence[Laid], size: tuple[int, int]) -> Tensor:
    """The pixels [H, W] bool of an image of `size` (height, width) that occluders cover."""
    hidden = np.zeros(size, bool)
    for one in laid:
        hidden[one.window] |= one.cover
    return torch.from_numpy(hidden)
