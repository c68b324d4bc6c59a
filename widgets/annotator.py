"""Annotate pictures in the six stages of COCO (T.-Y. Lin's thesis, sec. 2.3, 2.4 and app. A).

What is drawn while the mouse moves is drawn in the browser; each action comes here, goes to the disk at once (see
`workbench.annotation.store`), and what it has led to goes back to all views.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from os import PathLike
from typing import Any

import anywidget
import traitlets

from widgets.parts.annotator_acts import Acts, checked_rings
from widgets.parts.annotator_grid import Grid
from widgets.parts.annotator_list import SHOWN, PictureList
from widgets.parts.annotator_objects import annotation_rows, drawn_object, name_of, outlines_for_editing, thumbnail
from widgets.parts.annotator_problems import problems_of
from widgets.parts.annotator_still import candidate_pieces, example_pieces, grid_pieces, picture_pieces
from widgets.parts.annotator_suggestions import Suggestions
from widgets.parts.annotator_training import Example, Training
from widgets.parts.javascript import script, style
from widgets.parts.panel import Whole
from widgets.parts.pictures import encode
from widgets.parts.selection import BOX, Selects
from workbench.annotation.actions import Action
from workbench.annotation.answers import answers
from workbench.annotation.outlines import covered
from workbench.annotation.pictures import Pictures
from workbench.annotation.progress import BEGUN, MOST_CROSSES, OPEN, STAGES, Progress
from workbench.annotation.store import AnnotationStore
from workbench.data import Dataset
from workbench.data.annotations import CocoFile
from workbench.data.reading.problems import Report
from workbench.errors import DataError, WorkbenchError
from workbench.figures.drawing.colours import BRIGHT, CHOSEN
from workbench.figures.still import Piece

PAGE = 48  #: candidates on a page of the stage collecting (Lin's thesis has 128)
LONGEST = 4096  #: pixels of a picture in the browser, so that it can be looked at closely
DRAFT = 200_000  #: characters of what is being drawn


class Annotator(Selects, Whole, anywidget.AnyWidget):
    """Annotate pictures by mouse or keyboard, alone or with others, into a COCO file.

    Stages: "collecting" (iconic pictures are clicked away), "labelling" (icons on one instance of each category, by
    super-category), "spotting" (crosses on up to ten instances), "segmentation" (outlines), "verification" (bad
    segments in a grid) and "crowd" (a brush for all beyond). Any can be skipped. Each action is on the disk before
    it shows: in `file`, which `load_data("coco")` and pycocotools read, and with worker and time in a log beside it,
    as in `my.actions.jsonl`. Several kernels may work on one file. Running the cell again goes on where it ended.

    Args:
        source: a folder of pictures, or a data set.
        file: the COCO file; one that is there is gone on with, and what it holds stays.
        categories: names, or super-category → names; None: those of the file, or else of the data.
        gold: data with masks. Before a worker can segment a category that it has, an object of it must be
            segmented as well as `training_iou` says.
        training_iou: in 0..1.
        suggest: a detector, a run, a name, or a function that proposes, or several: outlines to begin with.
        problems: what `wb.doctor` found; the pictures in question can be listed, and the first one is opened.
        state: any of the traitlets that can be set.

    `worker`, `stage`, `picture` (its place in the list), `category`, and which pictures the list has, `show` and
    `having` (a category; None: any), are traitlets that may be set from Python or in the browser. `coco` is the
    file's content as a `CocoFile`. `selection` are the annotations of the picture, in collecting those of the
    page; `annotation` is the id in the file, and a picture without any has a row of its own.

    Example:
        >>> data = wb.load_data("digit-scenes", split="test", length=20)
        >>> annotator = widgets.Annotator(data, "my.json", worker="ann", picture=7)
        >>> ring = [20, 20, 60, 20, 60, 70, 20, 70]
        >>> annotator.act("segment", image=data.file_name(7), category="3", rings=[ring])
        {'annotation': 1}
        >>> annotator.coco.annotations[1]["area"], annotator.undo(), len(annotator.coco.annotations)
        (2000, True, 0)
    """

    _esm = script("annotator.js", BRIGHT=BRIGHT, CHOSEN=CHOSEN, MOST_CROSSES=MOST_CROSSES)
    _css = style("shared/panel.css", "annotator.css")

    COLUMNS = ("image", "file_name", "annotation", "class", *BOX, "area")
    STATE = ("worker", "stage", "category", "show", "having", "picture", "page")

    worker = traitlets.Unicode("me")
    stage = traitlets.Enum(STAGES, "segmentation")
    category = traitlets.Unicode(None, allow_none=True)
    show = traitlets.Enum(SHOWN, "all")
    having = traitlets.Unicode(None, allow_none=True)
    picture = traitlets.Int(0, min=0)
    page = traitlets.Int(0, min=0)

    def __init__(
        self,
        source: Dataset | str | PathLike[str],
        file: str | PathLike[str] = "my.json",
        *,
        categories: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        gold: Dataset | None = None,
        training_iou: float = 0.75,
        suggest: Any = None,
        problems: Report | None = None,
        **state: Any,
    ):
        super().__init__()
        self._check_names(state)
        if not 0 < training_iou <= 1:
            raise DataError(f"training_iou is {training_iou}; expected more than 0 and at most 1")
        self._training = None if gold is None else Training(gold)
        self._store = AnnotationStore(file)
        self._pictures = Pictures(source, self._store.coco.images)
        if len(self._pictures) == 0:
            raise DataError(f"{self._pictures.title} has no pictures to annotate")
        self._add_categories(categories, source)
        self._progress = Progress(self._store)
        self._acts = Acts(self._store, self._progress, self._pictures, self._groups)
        self._training_iou = training_iou
        self._suggestions = Suggestions(suggest, source)
        self._problems = problems_of(problems, self._store.coco, self._pictures)
        self._small = lru_cache(maxsize=2 * PAGE)(lambda name: thumbnail(self._pictures.image(name)))
        self._list = PictureList(self._progress, self._pictures, self._problems)
        self._grid: Grid | None = None
        self._draft: Any = None
        self._answers: dict[str, int] = {}
        self._go_on({"show": "with problems"} if any(self._problems) and "show" not in state else {}, state)
        self.on_msg(self._on_message)
        self._when_changed(self._on_change)

    def __repr__(self) -> str:
        return f"Annotator({self._pictures.title}, {len(self._pictures)} pictures, {self._store.path.name})"

    @property
    def coco(self) -> CocoFile:
        """The content of the file; change it by actions only."""
        return self._store.coco

    def act(self, do: str, **values: Any) -> dict[str, Any]:
        """Do what a worker can do in the browser, such as "segment" or "cross"; see `annotator_acts.Acts`.

        Raises:
            DataError: there is no such action, or it makes no sense.
        """
        done = self._acts.do(do, self._named_worker(), self.stage, values)
        self._follow_store()
        return done

    def undo(self) -> bool:
        """Take back the worker's last action; False where there is none."""
        return self._turn(self._store.undo)

    def redo(self) -> bool:
        """Do again what was undone last; False where there is none."""
        return self._turn(self._store.redo)

    def export(self, path: str | PathLike[str]) -> None:
        """Write the COCO file to another place, without the key that says how much of the log it holds."""
        self._store.export(path)

    def answers(self) -> list[Action]:
        """What all workers did, for `workbench.annotation.worker_quality`, `combine` and `verdicts`."""
        return answers(self._store)

    # ---- state -----------------------------------------------------------------------------------------------

    def _go_on(self, first: dict[str, Any], state: Mapping[str, Any]) -> None:
        """Be where the worker last was, unless the state says otherwise."""
        self._apply({name: value for name, value in state.items() if name in ("worker", "stage")})
        last = self._progress.last(self.worker) or {}
        if last.get("stage") in STAGES and "stage" not in state:
            first["stage"] = last["stage"]
        if last.get("category") in self._groups:
            first["category"] = last["category"]
        if last.get("image") in self._pictures.positions and "show" not in first:
            first["picture"] = self._pictures.positions[last["image"]]
        self._apply({**first, **state})
        listed = self._listed()
        if listed and "picture" not in state and self.picture not in listed:
            self._apply({"picture": listed[0]})

    def _add_categories(self, given: Any, source: Any) -> None:
        """Take over the file's categories, and add those that are asked for."""
        self._groups: dict[str, str] = {}
        self._read_categories()
        if given is None and not self._groups and isinstance(source, Dataset):
            given = list(source.classes)
        wanted = _by_name(given)
        if not self._groups and not wanted:
            raise DataError('which categories are there? Give them: categories=["cup", ...] or {"kitchen": ["cup"]}')
        missing = {name: group for name, group in wanted.items() if name not in self._groups}
        if missing:
            with self._store.action("open", worker="", stage="") as edit:
                known = {entry.get("name") for entry in edit.coco.categories.values()}
                for name, group in missing.items():
                    if name not in known:
                        edit.add("category", name=name, **({"supercategory": group} if group else {}))
            self._read_categories()

    def _read_categories(self) -> None:
        """Offer the categories of the file; one that is worked on and was undone is none any more."""
        present = self._store.coco.categories.values()
        self._groups.clear()
        self._groups |= {str(one.get("name")): str(one.get("supercategory") or "") for one in present}
        with self._silently():
            if self.category not in self._groups:
                self.category = next(iter(self._groups), None)
            if self.having not in self._groups:
                self.having = None

    @traitlets.validate("picture")
    def _exists(self, proposal: dict[str, Any]) -> int:
        if not 0 <= proposal["value"] < len(self._pictures):
            raise traitlets.TraitError(f"picture {proposal['value']} of {len(self._pictures)} does not exist")
        return proposal["value"]

    @traitlets.validate("category", "having")
    def _known_category(self, proposal: dict[str, Any]) -> str | None:
        if proposal["value"] is not None and proposal["value"] not in self._groups:
            raise traitlets.TraitError(f"there is no category {proposal['value']!r}")
        return proposal["value"]

    @traitlets.validate("worker")
    def _has_name(self, proposal: dict[str, Any]) -> str:
        name = proposal["value"].strip()
        if not 0 < len(name) <= 80 or not name.isprintable():
            raise traitlets.TraitError("a worker has a name of 1 to 80 characters")
        return name

    def _on_change(self, change: dict[str, Any]) -> None:
        self._draft = None
        if change["name"] in ("worker", "stage"):
            self._grid = None
        if (
            change["name"] in ("show", "having", "stage")
            and (listed := self._listed())
            and self.picture not in listed
        ):
            with self._silently():
                self.picture = listed[0]
        self._send_state()
        self._send_view(anew=True)

    def _turn(self, action: Any) -> bool:
        done = action(self._named_worker())
        if done is not None and done.get("image") in self._pictures.positions:
            place = self._pictures.positions[done["image"]]  # so that it is seen what was undone
            with self._silently():
                moved, self.picture = place != self.picture, place
            if moved:
                self._send_view(anew=True)
        self._follow_store()
        return done is not None

    def _named_worker(self) -> str:
        return self.worker

    def _follow_store(self) -> None:
        """What was done, here or elsewhere, is seen."""
        touched = self._progress.follow()
        self._read_categories()
        self._send_state()
        name = self._pictures.names[self.picture]
        if self.stage == "collecting":
            self._say({"kind": "verdicts", "items": [self._candidate(each) for each in self._candidates()]})
        elif self.stage != "verification" and (name in touched or self._example() is None):
            self._send_view(anew=False)

    def _name(self) -> str:
        return self._pictures.names[self.picture]

    def _listed(self) -> list[int]:
        """The places of the pictures that the list has."""
        return self._list.places(self.show, self.having, self.stage, self.worker)

    def _next(self) -> None:
        """Go to the next picture that is not done in this stage, from here on and then from the beginning."""
        listed = self._listed()
        order = [place for place in listed if place > self.picture] + [p for p in listed if p < self.picture]
        for place in order:
            if self._list.status(place, self.stage, self.worker) in (OPEN, BEGUN):
                self.picture = place
                return
        raise DataError("all pictures of the list are done in this stage")

    def _chosen_rows(self) -> list[dict[str, Any]]:
        if self.stage == "verification":
            return []
        names = self._candidates() if self.stage == "collecting" else [self._name()]
        found = [row for name in names for row in annotation_rows(self.coco, name)]
        return [{"image": self._pictures.positions[row["file_name"]], **row} for row in found]

    # ---- messages --------------------------------------------------------------------------------------------

    def _on_message(self, _: object, content: dict[str, Any], buffers: list[bytes]) -> None:
        about: dict[str, Any] = {"kind": "done", "seq": content.get("seq"), "view": content.get("view"), "ok": True}
        start = time.perf_counter()
        try:
            about["result"] = self._answer(content)
        except Exception as error:  # whatever goes wrong, the browser's request must be answered
            about |= {"ok": False, "text": str(error) if isinstance(error, WorkbenchError) else repr(error)}
        about["milliseconds"] = round(1000 * (time.perf_counter() - start), 1)
        self._say(about)

    def _answer(self, content: dict[str, Any]) -> Any:
        kind = content["kind"]
        if kind == "hello":
            self._look()
            self._send_state()
            self._send_view(anew=True)
        elif kind == "set":
            self._set(content["state"])
        elif kind == "act":
            return self._act_in_browser(content)
        elif kind in ("undo", "redo"):
            return self.undo() if kind == "undo" else self.redo()
        elif kind == "next":
            self._next()
        elif kind == "draft":
            self._draft = content["draft"] if len(json.dumps(content["draft"])) <= DRAFT else None
        elif kind == "suggest":
            image = self._pictures.image(self._name())
            return self._suggestions.of(self._name(), image, self.picture, self._groups)
        elif kind == "trace":
            return self._trace(content["annotation"])
        elif kind == "train":
            return self._train(content["rings"], content["category"])
        elif kind == "judge":
            return self._judge(content["bad"])
        elif kind == "news":
            self._look()
        else:
            raise DataError(f"there is no message {kind!r:.40}")
        return None

    def _look(self) -> None:
        """See what other kernels did."""
        if self._store.stale:
            self._store.refresh()
            self._follow_store()

    def _set(self, state: dict[str, Any]) -> None:
        self._check_names(state)
        with self._all_or_nothing():
            for name in self.STATE:
                if name in state:
                    setattr(self, name, state[name])

    def _act_in_browser(self, content: dict[str, Any]) -> Any:
        values = {key: value for key, value in content["values"].items() if isinstance(key, str)}
        if content["do"] in ("segment", "change"):
            self._check_training(values.get("category"))
            self._draft = None
        done = self.act(content["do"], **values)
        if content.get("next"):
            self._next()
        return done

    def _trace(self, annotation: Any) -> list[list[float]]:
        entry = self.coco.annotations.get(annotation)
        if entry is None:
            raise DataError("this segment is gone; another worker has removed it")
        return outlines_for_editing(entry, self._pictures.size(self._name()))

    # ---- training and verification ---------------------------------------------------------------------------

    def _example(self) -> Example | None:
        """What the worker has to practise on before segmenting the present category."""
        if self._training is None or self.stage != "segmentation" or self.category is None:
            return None
        if self.category in self._progress.trained(self.worker):
            return None
        return self._training.example(self.category)

    def _check_training(self, category: Any) -> None:
        if self._training is None or category in self._progress.trained(self.worker):
            return
        if isinstance(category, str) and self._training.example(category) is not None:
            raise DataError(f"first segment the example of {category!r}: choose the category, and it is shown")

    def _train(self, rings: Any, category: Any) -> dict[str, Any]:
        example = self._example()
        if example is None or example.category != category:
            raise DataError("there is nothing to practise on")
        judged = example.judge(checked_rings(rings, example.mask.shape))
        judged["passed"] = judged["overlap"] >= self._training_iou
        facts = {key: judged[key] for key in ("overlap", "passed")}
        with self._store.action("train", worker=self.worker, stage="segmentation", category=category, **facts):
            pass
        self._draft = None
        self._progress.follow()  # what is shown stays, so that the outlines can be compared
        return judged

    def _judge(self, bad: Any) -> dict[str, Any]:
        if self._grid is None or not isinstance(bad, list):
            raise DataError("there is nothing to judge")
        judged = self._grid.judge(bad)
        if judged["passed"]:
            self._grid = None
        self._follow_store()
        if judged["passed"]:
            self._send_view(anew=True)
        return judged

    # ---- what is sent ----------------------------------------------------------------------------------------

    def _say(self, content: dict[str, Any], buffers: Sequence[bytes] = ()) -> None:
        self.send(content, [*buffers])

    def _send_state(self) -> None:
        self._announce()
        undo, redo = self._store.can(self.worker)
        about = {
            **{name: getattr(self, name) for name in self.STATE},
            "title": self._pictures.title, "file": self._store.path.name, "stages": STAGES, "shown": SHOWN,
            "groups": [*map(list, self._groups.items())], "pages": -(-len(self._pictures) // PAGE),
            "undo": undo, "redo": redo, "suggests": bool(self._suggestions), "problems": self._problems.get("", []),
        }  # fmt: skip
        self._say(
            {"kind": "state", **about, **self._list.seen(self._listed(), self.picture, self.stage, self.worker)}
        )

    def _send_view(self, *, anew: bool) -> None:
        """The picture or grid of the stage; only `anew` with its pixels."""
        if self.stage == "collecting":
            self._send_candidates()
        elif self.stage == "verification":
            self._send_grid()
        else:
            self._send_picture(anew=anew)

    def _send_picture(self, *, anew: bool) -> None:
        name, example, buffers = self._name(), self._example(), []
        about: dict[str, Any] = {"kind": "picture", "place": self.picture, "name": name, "anew": anew}
        about["problems"] = self._problems.get(name, [])
        try:
            if example is not None:
                about["example"] = {"category": example.category, "box": example.box, "iou": self._training_iou}
                image = self._training.image(example)
                about |= {"height": image.shape[-2], "width": image.shape[-1]}
                buffers = [encode(image, LONGEST)]
                about["anew"] = True
            elif anew:
                image = self._pictures.image(name)
                about |= {"height": image.shape[-2], "width": image.shape[-1]}
                buffers = [encode(image, LONGEST)]
            else:
                height, width = self._pictures.size(name)
                about |= {"height": height, "width": width}
            if example is None:
                about |= self._marks(name, (about["height"], about["width"]))
            about["draft"] = self._draft
        except (WorkbenchError, OSError) as error:
            about["error"] = str(error)
        self._say(about, buffers)

    def _marks(self, name: str, size: tuple[int, int]) -> dict[str, Any]:
        """What was done with a picture."""
        state, coco = self._progress.of(name), self.coco
        entries = self._entries(name)
        names = [name_of(coco.categories, one.get("category_id")) for one in entries]
        changed = self._store.changed_by
        objects = [
            drawn_object(one, each, changed.get(one["id"], ""), size)
            for one, each in zip(entries, names, strict=True)
        ]
        shapes = [one["segmentation"] for one in entries if one.get("segmentation")]
        hidden = covered([one.point for one in state.crosses], shapes, size)
        crosses = [
            {"id": one.id, "mine": one.worker == self.worker, "category": one.category, "point": one.point,
             "returned": one.returned, "covered": is_covered}
            for one, is_covered in zip(state.crosses, hidden, strict=True)
        ]  # fmt: skip
        labels = [
            {"mine": worker == self.worker, "category": category, "point": point}
            for (worker, category), point in state.labels.items()
        ]
        claims = {category: claim for (_, category), claim in state.claims.items()}
        mine = sorted(category for category, workers in state.spotted.items() if self.worker in workers)
        about = {"objects": objects, "crosses": crosses, "labels": labels, "claims": claims, "spotted": mine}
        return {**about, "looked": sorted(state.groups.get(self.worker, ()))}

    def _entries(self, name: str) -> list[dict[str, Any]]:
        """The annotations of a picture."""
        return [one for image in self._images(name) for one in self.coco.annotations_of(image)]

    def _images(self, name: str) -> list[Any]:
        return [one for one, entry in self.coco.images.items() if entry.get("file_name") == name]

    def _candidates(self) -> list[str]:
        return self._pictures.names[self.page * PAGE : (self.page + 1) * PAGE]

    def _candidate(self, name: str) -> dict[str, Any]:
        state = self._progress.of(name)
        return {"name": name, "iconic": state.verdicts.get(self.worker), "status": state.status("collecting", "")}

    def _page(self) -> tuple[list[dict[str, Any]], list[bytes]]:
        """The candidates of the present page, and their small pictures."""
        items, buffers = [], []
        for name in self._candidates():
            item = self._candidate(name)
            try:
                buffers.append(self._small(name))
            except (WorkbenchError, OSError) as error:
                item["error"] = str(error)
                buffers.append(b"")
            items.append(item)
        return items, buffers

    def _send_candidates(self) -> None:
        items, buffers = self._page()
        self._say({"kind": "candidates", "items": items, "page": self.page}, buffers)

    def _present_grid(self) -> Grid:
        if self._grid is None:
            seed = len(self._store.actions)
            self._grid = Grid(self._store, self._progress, self._pictures, self.worker, seed)
        return self._grid

    def _send_grid(self) -> None:
        grid = self._present_grid()
        tiles = grid.tiles
        items = [{"category": one.category} for one in tiles]
        own = sum(drawer == self.worker for drawer in grid.segments.values())
        about = {"segments": len(grid.segments), "own": own, "planted": sum(one.bad for one in tiles)}
        self._say({"kind": "grid", "items": items, **about}, [one.picture for one in tiles])

    # ---- as a still picture ----------------------------------------------------------------------------------

    def _pieces(self) -> list[Piece]:
        if self.stage == "collecting":
            return candidate_pieces(*self._page())
        if self.stage == "verification":
            return grid_pieces(self._present_grid().tiles)
        if (example := self._example()) is not None:
            return example_pieces(self._training.image(example), example)
        name = self._name()
        try:
            image = self._pictures.image(name)
        except (WorkbenchError, OSError) as error:
            return [str(error)]
        marks = self._marks(name, (image.shape[-2], image.shape[-1]))
        return picture_pieces(image, self._entries(name), marks, list(self._groups))

    def _settings(self) -> list[str]:
        many = self.stage in ("collecting", "verification")
        where = [] if many else [f"picture {self.picture + 1} of {len(self._pictures)}: {self._name()}"]
        page = [f"page {self.page + 1}"] if self.stage == "collecting" else []
        return [self.stage, *where, *page, *([] if many or self.category is None else [self.category]), self.worker]


def _by_name(given: Any) -> dict[str, str]:
    """Category → super-category of what is given as names, or as super-category → names."""
    if given is None:
        return {}
    groups = given if isinstance(given, Mapping) else {"": given}
    found: dict[str, str] = {}
    for group, names in groups.items():
        if isinstance(names, str) or not isinstance(names, Sequence):
            raise DataError(f"categories are names, or super-category → names; got {names!r:.60} for {group!r:.60}")
        for name in names:
            if not isinstance(name, str) or not name.strip():
                raise DataError(f"a category has a name, not {name!r:.60}")
            found[name] = str(group)
    return found
