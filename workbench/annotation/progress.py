"""The six stages of annotation (T.-Y. Lin's thesis, sec. 2.3, 2.4 and app. A), and what was done of them so far.

Crosses, votes and the like are never in the COCO file: they are what the log's actions come to. An action names the
picture that it is about (`image`, a file name, or `images`), and a category by its name.

    collecting     verdict: iconic or not                    verdicts: kept (names)
    labelling      label: category, point; unlabel: category group: supercategory, which was looked through
    spotting       cross: category, point; uncross: of       spotted: category
    segmentation   segment, change, delete: annotation       claim: category, "none left" or "no such object"
                   train: category, overlap, passed
    verification   judge: good, bad (annotations), planted, found, passed, returned (category, image, point)
    crowd          paint: category, annotation
    any            finish: this worker has done this stage of the picture; reopen: not so
                   category: a new one

Where we depart from it: a picture is labelled and spotted by as many workers as there are, not by eight.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from workbench.annotation.recording.action_log import Action
from workbench.annotation.store import REDO, UNDO, AnnotationStore
from workbench.data.annotations import Id

STAGES = ("collecting", "labelling", "spotting", "segmentation", "verification", "crowd")
MOST_CROSSES = 10  #: of one category in a picture, by one worker
OPEN, BEGUN, DONE, LEFT_OUT = "open", "begun", "done", "left out"  #: how far a picture is
EACH = ("labelling", "spotting")  #: stages that every worker does anew
CLAIMS = ("none left", "no such object")

Point = list[float]  #: x, y in pixels


@dataclass
class Cross:
    """A mark on an instance."""

    id: str  #: of the action
    worker: str
    category: str
    point: Point
    returned: bool = False  #: its segment was discarded in the verification


@dataclass
class PictureState:
    """What was done with one picture."""

    verdicts: dict[str, bool] = field(default_factory=dict)  #: worker → iconic
    labels: dict[tuple[str, str], Point] = field(default_factory=dict)  #: worker, category → where one instance is
    groups: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  #: worker → looked through
    crosses: list[Cross] = field(default_factory=list)
    spotted: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  #: category → workers
    claims: dict[tuple[str, str], str] = field(default_factory=dict)  #: worker, category → one of `CLAIMS`
    finished: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  #: stage → workers
    begun: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  #: stage → workers

    @property
    def iconic(self) -> bool:
        """Whether at least half of those who looked found that it is iconic."""
        return bool(self.verdicts) and 2 * sum(self.verdicts.values()) >= len(self.verdicts)

    def categories(self) -> list[str]:
        """What somebody has labelled, in that order: one worker is enough, as false ones fall out later."""
        return list(dict.fromkeys(category for _, category in self.labels))

    def status(self, stage: str, worker: str) -> str:
        """How far the stage is: for this worker where every worker does it anew, else for all."""
        if stage == "collecting":
            return OPEN if not self.verdicts else LEFT_OUT if self.iconic else DONE
        if self.iconic:
            return LEFT_OUT
        mine = {worker} if stage in EACH else None
        for status, workers in ((DONE, self.finished[stage]), (BEGUN, self.begun[stage])):
            if workers if mine is None else workers & mine:
                return status
        return OPEN


class Progress:
    """What the actions of a store come to, picture by picture.

    Args:
        store: whose actions; what is new in it is taken in by `follow`.

    Example:
        >>> store = AnnotationStore("my.json")
        >>> progress = Progress(store)
        >>> about = {"worker": "ann", "stage": "spotting", "image": "a.jpg"}
        >>> with store.action("cross", category="cup", point=[12, 30], **about):
        ...     pass
        >>> progress.follow(), progress.of("a.jpg").status("spotting", "ann"), progress.of("a.jpg").crosses[0].point
        ({'a.jpg'}, 'begun', [12, 30])
    """

    def __init__(self, store: AnnotationStore):
        self.store = store
        self._taken = 0
        self._of: dict[str, list[Action]] = defaultdict(list)
        self._states: dict[str, PictureState] = {}
        self._judged: list[Action] = []
        self._trained: list[Action] = []
        self._by_id: dict[str, Action] = {}
        self.follow()

    def follow(self) -> set[str]:
        """Take in the actions that are new; the pictures that they are about."""
        touched: set[str] = set()
        for action in self.store.actions[self._taken :]:
            meant = self._by_id.get(str(action.get("of"))) if action["do"] in (UNDO, REDO) else None
            images = images_of(meant or action)
            touched |= images
            if action["do"] in (UNDO, REDO):
                continue
            self._by_id[action["id"]] = action
            for image in images:
                self._of[image].append(action)
            if action["do"] == "judge":
                self._judged.append(action)
            if action["do"] == "train":
                self._trained.append(action)
        self._taken = len(self.store.actions)
        for image in touched:
            self._states.pop(image, None)
        return touched

    def of(self, image: str) -> PictureState:
        """The state of a picture, by its file name."""
        if image not in self._states:
            state = PictureState()
            for action in self._of.get(image, ()):
                if action["id"] not in self.store.undone:
                    _take(state, action, image)
            self._states[image] = state
        return self._states[image]

    def votes(self) -> dict[Id, dict[str, bool]]:
        """Annotation → worker → whether they found it good, in the order of the votes; of the jobs that passed.

        Votes on a segment that was changed afterwards do not count any more.
        """
        votes: dict[Id, dict[str, bool]] = defaultdict(dict)
        for action in self._judged:
            if action["id"] in self.store.undone or not action.get("passed"):
                continue
            given = action.get("seen")
            seen = given if isinstance(given, dict) else {}
            for good, key in ((True, "good"), (False, "bad")):
                for identity in action.get(key, []):
                    if seen.get(str(identity), "") == self.store.changed_by.get(identity, ""):
                        votes[identity][str(action.get("worker", ""))] = good
        return votes

    def drawer(self, annotation: Id) -> str:
        """Who last changed an annotation; "" where it came with the file."""
        action = self._by_id.get(self.store.changed_by.get(annotation, ""))
        return "" if action is None else str(action.get("worker", ""))

    def touched(self) -> list[str]:
        """The pictures of which something is known."""
        return [*self._of]

    def trained(self, worker: str) -> set[str]:
        """The categories for which a worker has passed the training task."""
        passed = [one for one in self._trained if one["id"] not in self.store.undone and one.get("passed")]
        return {str(one.get("category")) for one in passed if one.get("worker") == worker}

    def last(self, worker: str) -> Action | None:
        """The last action of a worker about one picture: where to go on."""
        mine = (one for one in reversed(self.store.actions) if one.get("worker") == worker)
        return next((one for one in mine if isinstance(one.get("image"), str)), None)


def images_of(action: Action) -> set[str]:
    """The names of the pictures that an action is about."""
    several = action.get("images")
    names = [action.get("image"), *(several if isinstance(several, list) else [])]
    return {name for name in names if isinstance(name, str)}


def _take(state: PictureState, action: Action, image: str) -> None:
    """Add an action to the state of a picture; what makes no sense is passed over."""
    do, worker, stage = action["do"], str(action.get("worker", "")), str(action.get("stage", ""))
    category, point = str(action.get("category", "")), action.get("point")
    if do == "finish":
        state.finished[stage].add(worker)
        return
    if do == "reopen":
        _reopen(state, stage, worker)
    state.begun[stage].add(worker)
    if do == "verdict":
        state.verdicts[worker] = bool(action.get("iconic"))
    elif do == "verdicts":
        state.verdicts.setdefault(worker, False)
    elif do == "label" and is_point(point):
        state.labels[worker, category] = point
    elif do == "unlabel":
        state.labels.pop((worker, category), None)
    elif do == "group":
        state.groups[worker].add(str(action.get("supercategory", "")))
    elif do == "cross" and is_point(point):
        state.crosses.append(Cross(action["id"], worker, category, point))
    elif do == "uncross":
        state.crosses = [one for one in state.crosses if one.id != action.get("cross")]
    elif do == "spotted":
        state.spotted[category].add(worker)
    elif do == "claim" and action.get("claim") in CLAIMS:
        state.claims[worker, category] = action["claim"]
    elif do == "judge":
        _give_back(state, action, image)


def _reopen(state: PictureState, stage: str, worker: str) -> None:
    """The stage is not done: for this worker where every worker does it anew, else for all."""
    if stage not in EACH:
        state.finished[stage].clear()
        return
    state.finished[stage].discard(worker)
    if stage == "labelling":
        state.groups.pop(worker, None)
    for workers in state.spotted.values() if stage == "spotting" else ():
        workers.discard(worker)


def _give_back(state: PictureState, action: Action, image: str) -> None:
    """Instances whose segments were discarded are in the pool of those to segment again."""
    for number, one in enumerate(action.get("returned") or []):
        if isinstance(one, dict) and one.get("image") == image and is_point(one.get("point")):
            worker, category = str(action.get("worker", "")), str(one.get("category", ""))
            state.crosses.append(Cross(f"{action['id']}/{number}", worker, category, one["point"], returned=True))
            state.finished["segmentation"].clear()


def is_point(value: Any) -> TypeGuard[Point]:
    """Whether it is x and y."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(type(part) in (int, float) and abs(part) < 1e9 for part in value)
    )
