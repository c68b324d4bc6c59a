"""What several workers do to one COCO file: each action at once on the disk, undoable, and none of anybody's lost.

Beside `my.json` lies `my.actions.jsonl`. An action is first added there, as one line with worker, time and what it
changes in the COCO file, and then the COCO file is written, whole or not at all. It says in its key `actions` how
much of the log it holds, so that after a kill at any moment the rest is made up for when the file is next opened.
Whoever acts holds the lock on the log, and has read before what all others did.

The COCO file has images, categories and annotations and nothing about the work; crosses, votes and the like stand in
the log alone (see `progress`). An image comes into the file with its first annotation, or once somebody has said that
it has none: as long as nobody has looked, a detector must not learn from it that there is nothing.
"""

from __future__ import annotations

import copy
import glob
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import IO, Any

from workbench.annotation.recording.action_log import Action, ActionLog
from workbench.annotation.recording.coco_text import CocoText
from workbench.data.annotations import CocoFile, Id, Sort
from workbench.errors import DataError
from workbench.files import check_writable, user_path, whole_file

MARK = "actions"  #: key of a COCO file that says how much of the log it holds
WRITTEN = "written"  #: key of an action: which file the COCO file was before and after it, see `_signature`
UNDO, REDO = "undo", "redo"
Change = list[Any]  #: sort, id, entry before, entry after; None where there is none

_Signature = list[int] | None


class AnnotationStore:
    """A COCO file and the log of what was done to it.

    Args:
        path: of the COCO file; what it holds already stays as it is. It is written with the first action.

    Raises:
        DataError: the file or its log cannot be read or written, or they do not belong together.

    Example:
        >>> store = AnnotationStore("my.json")
        >>> with store.action("segment", worker="ann", stage="segmentation", image="a.jpg") as edit:
        ...     cup = edit.add("category", name="cup")
        ...     photo = edit.add("image", file_name="a.jpg", height=100, width=200)
        ...     _ = edit.add("annotation", image_id=photo, category_id=cup, bbox=[10, 20, 30, 40])
        >>> store.undo("ann")["do"], len(AnnotationStore("my.json").coco.annotations)
        ('segment', 0)
        >>> store.redo("ann")["do"], len(AnnotationStore("my.json").coco.annotations)
        ('segment', 1)
    """

    def __init__(self, path: str | PathLike[str]):
        self.path = user_path(path, DataError)
        check_writable(self.path, DataError)
        self.log = ActionLog(self.path.with_name(f"{self.path.stem}.actions.jsonl"))
        self.coco = CocoFile(path=self.path)
        self.actions: list[Action] = []  #: all, in the order of the log, undone ones and undoings, too
        self.undone: set[str] = set()  #: ids of actions that do not count
        self.changed_by: dict[Id, str] = {}  #: annotation → id of the action that last changed it
        self._done: dict[str, list[Action]] = {}  #: by worker: what can be undone, the newest last
        self._again: dict[str, list[Action]] = {}  #: by worker: what can be redone
        self._text = CocoText()
        self._seen: _Signature = None
        if self.log.path.exists() or self.path.exists():
            self.refresh()

    # ---- reading ---------------------------------------------------------------------------------------------

    def refresh(self) -> list[Action]:
        """Read what others did since the last look; the actions that are new."""
        if not self.log.path.exists():  # nothing was done here yet, and looking makes no log
            if _signature(self.path) != self._seen:
                self._seen = _signature(self.path)
                self._read_file([])
            return []
        with self.log.locked() as descriptor:
            return self._catch_up(descriptor)

    @property
    def stale(self) -> bool:
        """Whether somebody else has written since the last look."""
        return self.log.size() != self.log.read_to or _signature(self.path) != self._seen

    def _catch_up(self, descriptor: int) -> list[Action]:
        start, first = self.log.read_to, len(self.actions)
        lines = self.log.new(descriptor)
        signature = _signature(self.path)
        again = signature is None or self._files(lines) != signature or self.log.read_to < start
        behind = self._read_file(lines) if again else 0
        for action in lines:
            self._count(action, apply=not again)
        self._seen = signature
        if behind:  # somebody was killed between the log and the file
            with self._written() as file:
                file.writelines(self._whole(len(self.actions)))
            self._seen = _signature(self.path)
        return self.actions[first:]

    def _files(self, lines: list[Action]) -> _Signature:
        """The file that actions have led to, if nothing but actions has changed it; else None."""
        last = self._seen
        for action in lines:
            written = action.get(WRITTEN)
            if not isinstance(written, list) or len(written) != 2 or written[0] != last:
                return None
            last = written[1]
        return last

    def _read_file(self, lines: list[Action]) -> int:
        """Read the COCO file, and make up for the actions that it does not hold yet; how many these are."""
        if self.path.exists():
            self.coco = self._text.read(self.path)
            mark = self.coco.content.pop(MARK, None)
            given = mark.get("number") if isinstance(mark, dict) else None
            # A file without the mark was written by another program, which has read all there was.
            known = given if isinstance(given, int) and given >= 0 else len(self.actions) + len(lines)
        else:
            self.coco, self._text, known = CocoFile(path=self.path), CocoText(), 0
        missing = [*self.actions, *lines][known:]
        for action in missing:
            try:
                self._apply(action)
            except DataError as error:
                raise DataError(
                    f"{self.path} and {self.log.path.name} do not belong together ({error}); bring the file back, or "
                    "put the log away to begin anew"
                ) from error
        return len(missing)

    def _count(self, action: Action, *, apply: bool) -> None:
        """Take an action into account, after all before it."""
        if apply:
            self._apply(action)
        worker = str(action.get("worker", ""))
        done, again = self._done.setdefault(worker, []), self._again.setdefault(worker, [])
        if action["do"] in (UNDO, REDO):
            source, to = (done, again) if action["do"] == UNDO else (again, done)
            meant = [one for one in source if one["id"] == action.get("of")]
            source[:] = [one for one in source if one["id"] != action.get("of")]
            to += meant
            (self.undone.add if action["do"] == UNDO else self.undone.discard)(str(action.get("of")))
        else:
            done.append(action)
            again.clear()
        for sort, identity, _, _ in changes_of(action):
            if sort == "annotation":
                self.changed_by[identity] = action["id"]
        self.actions.append(action)

    def _apply(self, action: Action) -> None:
        for sort, identity, _, after in changes_of(action):
            self._put(sort, identity, after)

    def _put(self, sort: Sort, identity: Id, entry: dict[str, Any] | None) -> None:
        self.coco.restore(sort, identity, entry)
        self._text.forget(sort, identity)

    # ---- acting ----------------------------------------------------------------------------------------------

    @contextmanager
    def action(self, do: str, *, worker: str, stage: str, **facts: Any) -> Iterator[Edit]:
        """Do something; it is on the disk when the block has ended well, and else nothing of it is.

        Args:
            do: what, such as "segment" or "cross".
            worker: who.
            stage: in which stage, see `progress.STAGES`.
            facts: what else is known of it, as values of JSON, such as `image`, a file name, and `category`, a name.

        Raises:
            DataError: an edit is wrong, or the disk refuses.
        """
        with self.log.locked() as descriptor:
            self._catch_up(descriptor)
            edit = Edit(self.coco, self._text, self.changed_by)
            try:
                yield edit
                facts |= edit.facts
                about: Action = {"id": uuid.uuid4().hex, "time": now(), "worker": worker, "stage": stage}
                action = {**about, "do": do, **facts}
                if edit.changes:
                    action["changes"] = edit.changes
                self._record(descriptor, action)
            except BaseException:
                edit.take_back()
                raise

    def undo(self, worker: str) -> Action | None:
        """Take back the last action of a worker; that action, None if there is none.

        Raises:
            DataError: somebody else has changed the same since.
        """
        return self._turn(worker, UNDO)

    def redo(self, worker: str) -> Action | None:
        """Do again what the worker undid last, if nothing else was done since; that action, or None.

        Raises:
            DataError: somebody else has changed the same since.
        """
        return self._turn(worker, REDO)

    def can(self, worker: str) -> tuple[bool, bool]:
        """Whether there is something to undo and to redo."""
        return bool(self._done.get(worker)), bool(self._again.get(worker))

    def _turn(self, worker: str, do: str) -> Action | None:
        with self.log.locked() as descriptor:
            self._catch_up(descriptor)
            stack = (self._done if do == UNDO else self._again).get(worker)
            if not stack:
                return None
            meant = stack[-1]
            edit = Edit(self.coco, self._text, self.changed_by)
            changes = changes_of(meant)
            steps = [(s, i, a, b) for s, i, b, a in reversed(changes)] if do == UNDO else changes
            try:
                for sort, identity, before, after in steps:
                    self._step(edit, sort, identity, before, after)
                action: Action = {
                    "id": uuid.uuid4().hex,
                    "time": now(),
                    "worker": worker,
                    "do": do,
                    "of": meant["id"],
                }
                action |= {key: meant[key] for key in ("stage", "image", "category") if key in meant}
                if edit.changes:
                    action["changes"] = edit.changes
                self._record(descriptor, action)
            except BaseException:
                edit.take_back()
                raise
            return meant

    def _step(self, edit: Edit, sort: Sort, identity: Id, before: Any, after: Any) -> None:
        present = _entries(self.coco, sort).get(identity)
        if sort != "annotation":  # others may need an image or a category that came with this action
            key = f"{sort}_id"
            if after is None and any(one.get(key) == identity for one in self.coco.annotations.values()):
                return
            if before is None and present is not None:
                return
        elif present != before:
            raise DataError(f"annotation {identity} was changed by another worker since; look at it again")
        edit.put(sort, identity, after)

    def _record(self, descriptor: int, action: Action) -> None:
        """Log the action and write the file, or leave no trace of it."""
        size = self.log.read_to
        action = copy.deepcopy(action)
        try:
            with self._written() as file:
                file.writelines(self._whole(len(self.actions) + 1))
                file.flush()
                action[WRITTEN] = [self._seen, _signature(file.fileno())]
                self.log.append(descriptor, action)
        except (TypeError, ValueError, RecursionError) as error:
            raise DataError(f"{self.path}: this cannot be written as JSON ({error})") from error
        except OSError as error:
            self.log.take_back(descriptor, size)
            raise DataError(f"{self.path} cannot be written: {error.strerror or error}") from error
        self._seen = _signature(self.path)
        self._count(action, apply=False)

    def _whole(self, number: int) -> Iterator[bytes]:
        """The text of the COCO file, with the mark that it holds so many actions."""
        return self._text.whole(self.coco, **{MARK: {"log": self.log.path.name, "number": number}})

    @contextmanager
    def _written(self) -> Iterator[IO[bytes]]:
        """The COCO file to be written, whole or not at all; what writers that were killed have left goes away.

        We hold the lock, so that nobody else writes now.
        """
        for path in self.path.parent.glob(f".{glob.escape(self.path.name)}.*.tmp"):
            path.unlink(missing_ok=True)
        with whole_file(self.path) as file:
            yield file

    def export(self, path: str | PathLike[str]) -> Path:
        """Write the COCO file to another place, without the mark; the path.

        Raises:
            DataError: it is this file's own place.
            OSError: the disk refuses.
        """
        place = user_path(path, DataError)
        if os.path.realpath(place) == os.path.realpath(self.path):
            raise DataError(f"{place} is the file that is annotated; export it to another place")
        with whole_file(place) as file:
            file.writelines(self._text.whole(self.coco))
        return place


class Edit:
    """What one action changes in the COCO file; each change is checked as `CocoFile` does it.

    Args:
        coco: the file.
        text: of which changed entries are forgotten.
        changed_by: annotation → id of the action that last changed it.
    """

    def __init__(self, coco: CocoFile, text: CocoText, changed_by: Mapping[Id, str]):
        self.coco, self._text, self._changed_by = coco, text, changed_by
        self.changes: list[Change] = []
        self.facts: dict[str, Any] = {}  #: what is known of the action only now

    def add(self, sort: Sort, **values: Any) -> Id:
        """A new entry; its id. See `CocoFile.add_image`, `add_category` and `add_annotation`."""
        if sort == "annotation":
            image, category = values.pop("image_id"), values.pop("category_id")
            identity = self.coco.add_annotation(image, category, **values)
        elif sort == "image":
            identity = self.coco.add_image(values.pop("file_name"), **values)
        else:
            identity = self.coco.add_category(values.pop("name"), **values)
        self._note(sort, identity, None)
        return identity

    def change(self, sort: Sort, id: Id, /, *, seen: str | None = None, **values: Any) -> None:
        """Change an entry, see `CocoFile.change`.

        Args:
            seen: of an annotation, the action that had last changed it when the worker looked, "" for none.

        Raises:
            DataError: it was changed since.
        """
        self._check(sort, id, seen)
        before = copy.deepcopy(_entries(self.coco, sort)[id])
        self.coco.change(sort, id, **values)
        self._note(sort, id, before)

    def remove(self, sort: Sort, id: Id, /, *, seen: str | None = None) -> None:
        """Take an entry out; `seen` and errors as of `change`."""
        self._check(sort, id, seen)
        self.put(sort, id, None)

    def put(self, sort: Sort, identity: Id, entry: dict[str, Any] | None) -> None:
        """Put back an entry as it was at another time."""
        before = copy.deepcopy(_entries(self.coco, sort).get(identity))
        self.coco.restore(sort, identity, entry)
        self._note(sort, identity, before)

    def take_back(self) -> None:
        """Undo all of it."""
        for sort, identity, before, _ in reversed(self.changes):
            self.coco.restore(sort, identity, before)
            self._text.forget(sort, identity)
        self.changes = []

    def _check(self, sort: Sort, identity: Id, seen: str | None) -> None:
        if identity not in _entries(self.coco, sort):
            raise DataError(f"{sort} {identity} is gone; another worker has removed it")
        if seen is not None and self._changed_by.get(identity, "") != seen:
            raise DataError(f"{sort} {identity} was changed by another worker since; look at it again")

    def _note(self, sort: Sort, identity: Id, before: dict[str, Any] | None) -> None:
        after = copy.deepcopy(_entries(self.coco, sort).get(identity))
        self.changes.append([sort, identity, before, after])
        self._text.forget(sort, identity)


def changes_of(action: Action) -> list[tuple[Sort, Id, dict[str, Any] | None, dict[str, Any] | None]]:
    """What an action changed in the COCO file; what is none of it is passed over."""
    changes = action.get("changes")
    good = []
    for one in changes if isinstance(changes, list) else []:
        if isinstance(one, list) and len(one) == 4 and one[0] in ("image", "category", "annotation"):
            entries = all(entry is None or isinstance(entry, dict) for entry in one[2:])
            if entries and isinstance(one[1], int | str) and not isinstance(one[1], bool):
                good.append((one[0], one[1], one[2], one[3]))
    return good


def now() -> str:
    """The time in UTC, as in "2026-01-31T12:00:00.123Z"."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _entries(coco: CocoFile, sort: Sort) -> Mapping[Id, dict[str, Any]]:
    return {"image": coco.images, "category": coco.categories, "annotation": coco.annotations}[sort]


def _signature(file: Path | int) -> _Signature:
    """Which file it is, so that another one, or a changed one, is known: a new name does not change it."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return [found.st_ino, found.st_size, found.st_mtime_ns]
