"""The rules of COCO's pipeline, stage by stage, as functions of what workers did; nothing here shows anything.

T.-Y. Lin's thesis, sec. 2.4 and app. A. Eight workers name the categories of an image, and one that anybody named is
present. Then eight workers spot its instances, with at most ten crosses each; all crosses count, and one that a
segment covers already is not segmented again. Three workers judge a segment, two more if any of these has a doubt,
and it is kept with four favourable votes of five; else it is thrown away, and its crosses are waiting again. Judges
see a grid of 64 segments of which 4 are known to be bad, and their votes count if they find 3 of these.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from workbench.annotation.actions import Action, Stage, Unit, jobs, standing
from workbench.annotation.counting.claims import shapes_of
from workbench.annotation.counting.images import Images
from workbench.data import Dataset
from workbench.errors import DataError
from workbench.rle import decode_masks

LABELLERS, SPOTTERS = 8, 8  #: workers for an image, and for a category of it
MOST_CROSSES = 10  #: of one worker on one category of an image; with more it is a crowd
JUDGES, MORE_JUDGES, FAVOURABLE = 3, 2, 4  #: of a segment
GRID, KNOWN_BAD, TO_FIND = 64, 4, 3  #: segments that a judge sees at once

State = Literal["open", "kept", "back"]


class Verdict(NamedTuple):
    """What votes say of a segment.

    Example:
        >>> verdict([False, False]).missing  # a third one is needed
        1
    """

    state: State  #: "open": more votes are needed; "kept"; "back": thrown away, and its object is waiting again
    missing: int  #: how many more votes are needed
    good: int  #: votes that count
    bad: int


class Grid(NamedTuple):
    """What a judge sees: names of segments, some of which are known to be bad.

    Example:
        >>> Grid(("s1", "x1", "x2"), frozenset({"x1", "x2"})).passes(["x1", "s1"], to_find=1)
        True
    """

    segments: tuple[str, ...]
    known_bad: frozenset[str]

    def passes(self, chosen: Collection[str], to_find: int = TO_FIND) -> bool:
        """Whether somebody who called these segments bad has found enough of those that are known to be."""
        return len(self.known_bad.intersection(chosen)) >= min(to_find, len(self.known_bad))


def missing_jobs(
    actions: Iterable[Action], units: Iterable[Unit], stage: Stage = "label", *, workers: int = LABELLERS
) -> dict[Unit, int]:
    """How many workers still have to look at each unit; those that have been seen by enough are left out.

    Args:
        actions: of any stages.
        units: (image, None), or in spotting (image, category).
        stage: what is to be done.
        workers: that are to look at each.

    Example:
        >>> seen = [Action(f"w{i}", i, "label", image=1, kind="done") for i in range(7)]
        >>> missing_jobs(seen, [(1, None), (2, None)])
        {(1, None): 1, (2, None): 8}
    """
    table = jobs(actions, stage)
    done: dict[Unit, int] = {}
    for image, category in table[["image", "category"]].itertuples(index=False):
        done[image, category] = done.get((image, category), 0) + 1
    left = {unit: workers - done.get(unit, 0) for unit in units}
    return {unit: number for unit, number in left.items() if number > 0}


def present(actions: Iterable[Action], *, votes: int = 1) -> dict[int | str, dict[str, list[tuple[float, float]]]]:
    """The categories of each image that anybody named, with the points where their icons lie.

    This is what spotting begins with: the first point is the instance that blinks. An image in which nothing was
    named has an empty dict.

    Args:
        actions: of any stages.
        votes: by how many workers a category must be named; COCO takes 1, the union.

    Example:
        >>> named = Action("w1", 1, "label", image=1, category="cup", value={"point": [3, 4]})
        >>> present([named, Action("w2", 2, "label", image=1, kind="done")])
        {1: {'cup': [(3.0, 4.0)]}}
    """
    actions = list(actions)
    found: dict[int | str, dict[str, list[tuple[float, float]]]]
    found = {image: {} for image in dict.fromkeys(jobs(actions, "label")["image"])}
    workers: dict[tuple[int | str, str], set[str]] = {}
    for one in standing(actions, "label"):
        name = str(one.category)
        points = found[one.image].setdefault(name, [])
        if one.value.get("point") is not None:
            points.append(one.point)
        workers.setdefault((one.image, name), set()).add(one.worker)
    return {
        image: {name: points for name, points in names.items() if len(workers[image, name]) >= votes}
        for image, names in found.items()
    }


def crosses(actions: Iterable[Action]) -> dict[Unit, list[Action]]:
    """All crosses by image and category: the union of all workers, in the order of time.

    Example:
        >>> one = Action("w1", 1, "spot", image=1, category="cup", value={"point": [3, 4]})
        >>> two = Action("w2", 2, "spot", image=1, category="cup", value={"point": [90, 4]})
        >>> [cross.worker for cross in crosses([one, two])[1, "cup"]]
        ['w1', 'w2']
    """
    found: dict[Unit, list[Action]] = {}
    for one in standing(actions, "spot"):
        found.setdefault(one.unit, []).append(one)
    return found


def may_add_cross(actions: Iterable[Action], worker: str, unit: Unit) -> bool:
    """Whether a worker has fewer than ten crosses on a category of an image.

    Example:
        >>> spots = [Action("w1", i, "spot", image=1, category="cup", value={"point": [i, 4]}) for i in range(10)]
        >>> may_add_cross(spots, "w1", (1, "cup")), may_add_cross(spots, "w2", (1, "cup"))
        (False, True)
    """
    return sum(one.worker == worker for one in crosses(actions).get(unit, [])) < MOST_CROSSES


def waiting(actions: Iterable[Action], data: Dataset) -> dict[Unit, list[Action]]:
    """The pool: crosses by image and category that no segment covers, so that somebody has to draw one.

    Segments that were thrown away cover nothing; those that are still judged do. Of crosses on one object that nobody
    has drawn all are here: when it is drawn, all go.

    Args:
        actions: of any stages. The `item` of a segment is its name in votes.
        data: says the sizes of the images.

    Raises:
        DataError: an image that the data do not have, or an outline that cannot be read.

    Example:
        >>> data = wb.load_data("digit-scenes", length=1)
        >>> cross = Action("w1", 1, "spot", image=0, category="4", value={"point": [30, 40]})
        >>> drawn = Action("w2", 2, "segment", image=0, item="s1", category="4", value={"bbox": [20, 30, 20, 20]})
        >>> len(waiting([cross], data)[0, "4"]), waiting([cross, drawn], data)
        (1, {})
    """
    actions = list(actions)
    said = verdicts(actions)
    segments: dict[Unit, list[Action]] = {}
    for one in standing(actions, "segment"):
        if said.get(one.item, OPEN).state != "back":
            segments.setdefault((one.image, one.category), []).append(one)
    images, left = Images(data), {}
    for unit, spots in crosses(actions).items():
        size = images.size(unit[0])
        free = ~covered([one.point for one in spots], segments.get(unit, []), size)
        if free.any():
            left[unit] = [one for one, is_free in zip(spots, free, strict=True) if is_free]
    return left


def covered(points: Sequence[tuple[float, float]], segments: Sequence[Action], size: tuple[int, int]) -> np.ndarray:
    """Which points [n] lie in a segment: in its mask, or in its box where it has none.

    Args:
        points: x and y in pixels.
        segments: of the same image.
        size: height and width of the image.

    Raises:
        DataError: an outline cannot be read.

    Example:
        >>> drawn = Action("w", 0, "segment", image=1, category="cup", value={"bbox": [10, 10, 5, 5]})
        >>> covered([(12, 12), (20, 12)], [drawn], (40, 40)).tolist()
        [True, False]
    """
    x, y = np.array(points, dtype=float).reshape(-1, 2).T
    found = np.zeros(len(x), bool)
    for one in segments:
        shape = shapes_of([one], size)
        if shape.codes is None:
            x1, y1, x2, y2 = shape.boxes[0]
            found |= (x1 <= x) & (x <= x2) & (y1 <= y) & (y <= y2)
        else:
            mask = decode_masks(shape.codes, size)[0].numpy()
            rows, columns = (
                np.clip(values.astype(int), 0, most - 1) for values, most in zip((y, x), size, strict=True)
            )
            found |= mask[rows, columns]
    return found


def verdict(bad: Sequence[bool]) -> Verdict:
    """What votes say of a segment: whether each of its judges, in the order of time, calls it bad.

    The first three decide if none of them does; else the first five do, of whom four must be favourable.

    Example:
        >>> verdict([False, False, False]).state, verdict([False, True, False])
        ('kept', Verdict(state='open', missing=2, good=2, bad=1))
        >>> verdict([False, True, False, False, False]).state, verdict([False, True, True, False, False]).state
        ('kept', 'back')
    """
    first = list(bad[:JUDGES])
    needed = JUDGES + MORE_JUDGES * any(first)
    counted = list(bad[:needed])
    wrong = sum(counted)
    good = len(counted) - wrong
    if len(counted) < needed:
        return Verdict("open", needed - len(counted), good, wrong)
    kept = needed == JUDGES or good >= FAVOURABLE
    return Verdict("kept" if kept else "back", 0, good, wrong)


OPEN = verdict([])  #: of a segment that nobody has judged


def verdicts(actions: Iterable[Action]) -> dict[str, Verdict]:
    """What votes say of every segment that has one; of a worker's votes on one segment the last counts.

    Example:
        >>> votes = [Action(f"w{i}", i, "verify", image=1, item="s", value={"bad": i == 4}) for i in range(3)]
        >>> verdicts(votes)["s"].state
        'kept'
    """
    votes: dict[str, list[bool]] = {}
    for one in standing(actions, "verify"):
        votes.setdefault(one.item, []).append(bool(one.value["bad"]))
    return {name: verdict(said) for name, said in votes.items()}


def judging_grid(
    actions: Iterable[Action],
    segments: Iterable[str],
    known_bad: Sequence[str],
    worker: str,
    *,
    size: int = GRID,
    num_bad: int = KNOWN_BAD,
    seed: int = 0,
) -> Grid:
    """What a worker is to judge next: segments that need votes, with some that are known to be bad among them.

    Those come first that lack the fewest votes, so that segments are decided one after another. Nobody sees a segment
    twice, nor what they drew themselves (of which Lin's thesis says nothing). Where fewer are waiting the grid is
    smaller; without any it is empty.

    Args:
        actions: of any stages.
        segments: names of those that are to be judged.
        known_bad: names of segments that are bad, as many as there are.
        worker: who judges.
        size: of the grid, with the known ones.
        num_bad: how many of them.
        seed: of the order, and of which known ones.

    Raises:
        DataError: there are fewer known ones, or they leave no room.

    Example:
        >>> grid = judging_grid([], [f"s{i}" for i in range(100)], ["x1", "x2", "x3", "x4", "x5"], "w1")
        >>> len(grid.segments), len(grid.known_bad), grid.passes(list(grid.known_bad)[:3])
        (64, 4, True)
    """
    known_bad = list(dict.fromkeys(known_bad))
    if len(known_bad) < num_bad or not 0 <= num_bad < size:
        raise DataError(f"{num_bad} of {len(known_bad)} known bad segments are to be in a grid of {size}")
    actions = list(actions)
    said = verdicts(actions)
    own = (one.item for stage in ("verify", "segment") for one in standing(actions, stage) if one.worker == worker)
    seen = set(own)
    names = [name for name in dict.fromkeys(segments) if name not in seen and name not in known_bad]
    needy = [name for name in names if said.get(name, OPEN).state == "open"]
    needy.sort(key=lambda name: (name not in said, said.get(name, OPEN).missing))
    chosen = needy[: size - num_bad]
    if not chosen:
        return Grid((), frozenset())
    rng = np.random.default_rng([seed, *worker.encode()])
    planted = [known_bad[place] for place in rng.choice(len(known_bad), num_bad, replace=False)]
    mixed = [*chosen, *planted]
    return Grid(tuple(mixed[place] for place in rng.permutation(len(mixed))), frozenset(planted))


def judged(
    grid: Grid,
    chosen: Collection[str],
    worker: str,
    time: float,
    *,
    images: Mapping[str, int | str] | None = None,
    to_find: int = TO_FIND,
) -> list[Action]:
    """The votes of a worker who called some segments of a grid bad; none if too few of the known ones are among them.

    Args:
        grid: what was seen.
        chosen: names of the segments that were called bad.
        worker: who judged.
        time: seconds, see `Action`.
        images: the image of each segment; None: it is left open.
        to_find: how many of the known ones.

    Raises:
        DataError: a chosen segment is not in the grid.

    Example:
        >>> grid = Grid(("s1", "s2", "x1"), frozenset({"x1"}))
        >>> [(vote.item, vote.value["bad"]) for vote in judged(grid, ["x1", "s2"], "w1", 5.0)]
        [('s1', False), ('s2', True)]
        >>> judged(grid, ["s2"], "w1", 5.0)  # the known one was not found
        []
    """
    strange = sorted(set(chosen) - set(grid.segments))
    if strange:
        raise DataError(f"segment {strange[0]!r} was called bad, and is not in the grid")
    if not grid.passes(chosen, to_find):
        return []
    return [
        Action(worker, time, "verify", (images or {}).get(name, ""), item=name, value={"bad": name in set(chosen)})
        for name in grid.segments
        if name not in grid.known_bad
    ]
