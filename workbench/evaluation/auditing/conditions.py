"""What an audit does to an image: the conditions, and the kinds of occluders that users name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path

import numpy as np

from workbench.data.drawing.corruptions import CORRUPTIONS, SEVERITIES, check_corruption
from workbench.data.drawing.cut_outs import SHIPPED, Occluder, load_occluders
from workbench.data.drawing.diffuse import DIFFUSE
from workbench.data.drawing.hiding import KINDS, PLACES, POINTS, Place
from workbench.errors import DataError, did_you_mean

CLEAN = "clean"
WORST = "worst"  #: the place found by search
CUT_OUTS = "cut-outs"  #: of other objects of the data, where they have masks
RANDOM = "random"
_CORNERS = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0))


@dataclass(frozen=True)
class Condition:
    """One thing that is done to all images."""

    kind: str  #: "clean", a kind of occluder, or a corruption
    place: str = ""  #: of occluders: one of `PLACES`, or "worst"
    fraction: float = 0.0  #: hidden by occluders, of each object
    severity: int = 0  #: of corruptions, 1 to 5

    @property
    def hides(self) -> bool:
        """Whether occluders are laid."""
        return bool(self.place)

    @property
    def name(self) -> str:
        """Such as "grey 30 % top" or "jpeg 3"."""
        if self.hides:
            return f"{self.kind} {100 * self.fraction:g} % {self.place}"
        return f"{self.kind} {self.severity}" if self.severity else self.kind


class Asked:
    """The conditions that were asked for, by what readers of tables go by.

    Args:
        conditions: by number, the clean images first.
    """

    def __init__(self, conditions: Sequence[Condition]):
        self.conditions = conditions

    def number_of(self, condition: Condition) -> int:
        """The place of a condition; -1 if it was not asked for."""
        return self.conditions.index(condition) if condition in self.conditions else -1

    def numbers(
        self, *, kind: str | None = None, place: str | None = None, fraction: float | None = None
    ) -> list[int]:
        """Conditions under occluders of a kind, at a place, of a fraction; None: any."""
        return [
            number
            for number, one in enumerate(self.conditions)
            if one.hides
            and kind in (None, one.kind)
            and place in (None, one.place)
            and fraction in (None, one.fraction)
        ]

    @cached_property
    def place(self) -> str:
        """The place at which all kinds of occluders lie; "" without any."""
        return next((one.place for one in self.conditions if one.hides and one.place != WORST), "")

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """Of occluders."""
        return tuple(dict.fromkeys(one.kind for one in self.conditions if one.hides))

    @cached_property
    def placed(self) -> str:
        """The kind that lies at several places; "" without any."""
        several = (one.kind for one in self.conditions if one.hides and one.place != self.place)
        return next(several, next(iter(self.kinds), ""))

    @cached_property
    def places(self) -> tuple[str, ...]:
        """At which that kind lies, with "worst" where that was searched for."""
        own = [one.place for one in self.conditions if one.hides and one.kind == self.placed]
        return tuple(dict.fromkeys(own))

    @cached_property
    def fractions(self) -> tuple[float, ...]:
        """At which all kinds lie, rising."""
        return tuple(sorted({one.fraction for one in self.conditions if one.place == self.place and one.hides}))

    @cached_property
    def corruptions(self) -> tuple[str, ...]:
        """Kinds of corruptions."""
        return tuple(dict.fromkeys(one.kind for one in self.conditions if one.severity))

    def curve(self, kind: str | None = None, place: str | None = None) -> list[tuple[float, list[int]]]:
        """Conditions by hidden fraction, the clean images first.

        Args:
            kind: of occluder; None: all kinds together, where they all lie.
            place: None: where all kinds lie.
        """
        place = self.place if place is None else place
        points = [(0.0, [0])]
        fractions = sorted({one.fraction for one in self.conditions if one.hides})
        points += [(one, self.numbers(kind=kind, place=place, fraction=one)) for one in fractions]
        return [(fraction, numbers) for fraction, numbers in points if numbers]


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of occluder as an audit calls it."""

    name: str
    pool: tuple[Occluder, ...] = ()  #: one of these is drawn for each object; empty: it is one of `KINDS`
    from_data: bool = False  #: its pool is cut out of the data

    @property
    def shows_objects(self) -> bool:
        """Whether what it shows may itself be found, and rightly so."""
        return bool(self.pool) or self.from_data


def make_kinds(named: Sequence[str | Path | Occluder]) -> tuple[Kind, ...]:
    """Kinds of occluders by name, file or folder.

    Args:
        named: each one of `KINDS`, "cut-outs", a shipped cut-out, a PNG with alpha, a folder of them, an `Occluder`.

    Raises:
        DataError: a name, file or folder that holds no occluder, or one that is given twice.
    """
    if isinstance(named, str) or not isinstance(named, Iterable):
        raise DataError(f"kinds is {named!r:.60}; expected a list of occluders, as ['grey', 'cut-outs']")
    kinds = tuple(_kind(one) for one in named)
    names = [kind.name for kind in kinds]
    twice = next((name for name in names if names.count(name) > 1 or name in (CLEAN, *CORRUPTIONS)), None)
    if twice is not None:
        raise DataError(f"kinds: {twice!r} is given twice, or the name of something else; give each its own name")
    return kinds


def _kind(one: str | Path | Occluder) -> Kind:
    if isinstance(one, Occluder):
        return Kind(one.name, (one,))
    if not isinstance(one, str | PathLike):
        raise DataError(f"kinds: {one!r:.60} is no occluder; give its name, a PNG, or a folder of them")
    if one == CUT_OUTS:
        return Kind(CUT_OUTS, from_data=True)
    if one in KINDS:
        return Kind(str(one))
    if isinstance(one, str) and one not in SHIPPED and not Path(one).suffix and not Path(one).expanduser().exists():
        known = (*KINDS, CUT_OUTS, *SHIPPED)
        raise DataError(
            f"occluder {one!r} does not exist{did_you_mean(one, known)}; or name a PNG, or a folder of them"
        )
    return Kind(Path(one).stem, load_occluders(str(one)))


def make_conditions(
    kinds: Sequence[Kind],
    fractions: Sequence[float],
    places: Sequence[str],
    search: Sequence[float],
    corruptions: Sequence[str],
    severities: Sequence[int],
) -> tuple[Condition, ...]:
    """All conditions: the clean images first; `audit` explains the arguments.

    Raises:
        DataError: names the argument that is wrong.
    """
    for name, shares in (("fractions", fractions), ("search", search)):
        for share in shares:
            if not (isinstance(share, int | float) and 0 < share < 1):
                raise DataError(f"{name}: {share!r}; expected shares of an object between 0 and 1")
        _once(name, shares)
    for place in places:
        if place not in PLACES:
            hint = "; the worst place is searched for by search=(0.5,)" if place == WORST else ""
            raise DataError(f"places: {place!r} does not exist{did_you_mean(place, PLACES)}{hint}")
    for corruption in corruptions:
        check_corruption(corruption)
    for severity in severities:
        if severity not in SEVERITIES:
            raise DataError(f"severities: {severity!r}; expected some of {', '.join(map(str, SEVERITIES))}")
    for name, values in (("places", places), ("corruptions", corruptions), ("severities", severities)):
        _once(name, values)
    placed = next((kind.name for kind in kinds if kind.name not in DIFFUSE), None)
    conditions = [Condition(CLEAN)]
    for kind in kinds:
        where = places if kind.name == placed else places[:1]
        conditions += [Condition(kind.name, place, share) for place in where for share in sorted(fractions)]
    if placed is not None:
        conditions += [Condition(placed, WORST, share) for share in sorted(search)]
    conditions += [Condition(kind, severity=level) for kind in corruptions for level in sorted(severities)]
    return tuple(conditions)


def _once(name: str, values: Sequence[object]) -> None:
    twice = next((value for value in values if list(values).count(value) > 1), None)
    if twice is not None:
        raise DataError(f"{name}: {twice!r} is given twice")


def tried_places(budget: int, rng: np.random.Generator) -> list[Place]:
    """The places that a search tries, best known first: the centre, the sides, the corners, then random ones."""
    named: list[Place] = [*POINTS, *_CORNERS]
    return [*named[:budget], *((float(x), float(y)) for x, y in rng.random((max(0, budget - len(named)), 2)))]
