"""What workers did as plain answers: who said what of which image, in the form that worker quality is counted from.

Each answer is a dict with `worker`, `time` (seconds since 1970), `stage` ("collect", "label", "spot", "segment",
"verify" or "crowd"), `image` (its file name), `kind` ("add", "remove" or "done"), `item`, `category` and `value`.
What was undone is not in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from workbench.annotation.progress import is_point
from workbench.annotation.recording.action_log import Action
from workbench.annotation.store import AnnotationStore, changes_of

_NAMES = {
    "collecting": "collect", "labelling": "label", "spotting": "spot", "segmentation": "segment",
    "verification": "verify", "crowd": "crowd",
}  # fmt: skip

Answer = dict[str, Any]


def answers(store: AnnotationStore) -> list[Answer]:
    """All answers of a log, in their order.

    Example:
        >>> store = AnnotationStore("my.json")
        >>> about = {"worker": "ann", "stage": "labelling", "image": "a.jpg"}
        >>> with store.action("label", category="cup", point=[3, 4], **about):
        ...     pass
        >>> [(one["stage"], one["kind"], one["category"], one["value"]) for one in answers(store)]
        [('label', 'add', 'cup', {'point': [3, 4]})]
    """
    counted = [one for one in store.actions if one["id"] not in store.undone]
    return [answer for action in counted for answer in _of(action, store)]


def _of(action: Action, store: AnnotationStore) -> Iterator[Answer]:
    do, stage = action["do"], _NAMES.get(str(action.get("stage")))
    worker, time = action.get("worker"), _seconds(action.get("time"))
    if stage is None or not isinstance(worker, str) or not worker or time is None:
        return
    about: Answer = {"worker": worker, "time": time, "stage": stage, "image": action.get("image", ""), "kind": "add"}
    about |= {"item": "", "category": action.get("category"), "value": {}}
    if do == "verdict":
        yield {**about, "kind": "add" if action.get("iconic") else "remove", "item": "iconic"}
        yield {**about, "kind": "done"}
    elif do == "verdicts":
        yield from ({**about, "image": image, "kind": "done"} for image in action.get("images", []))
    elif do == "label" and is_point(action.get("point")):
        yield {**about, "value": {"point": action["point"]}}
    elif do == "unlabel":
        yield {**about, "kind": "remove"}
    elif do == "cross" and is_point(action.get("point")):
        yield {**about, "item": action["id"], "value": {"point": action["point"]}}
    elif do == "uncross":
        yield {**about, "kind": "remove", "item": str(action.get("cross", ""))}
    elif do in ("segment", "change", "delete", "paint"):
        yield from _drawn(action, about)
    elif do == "judge" and action.get("passed"):
        yield from _votes(action, about, store)
    elif do in ("finish", "spotted"):
        yield {**about, "kind": "done"}


def _drawn(action: Action, about: Answer) -> Iterator[Answer]:
    for sort, identity, _, after in changes_of(action):
        if sort != "annotation":
            continue
        if after is None:
            yield {**about, "kind": "remove", "item": str(identity)}
        else:
            kept = {key: after[key] for key in ("bbox", "segmentation") if key in after}
            yield {**about, "item": str(identity), "value": kept}


def _votes(action: Action, about: Answer, store: AnnotationStore) -> Iterator[Answer]:
    for bad, key in ((False, "good"), (True, "bad")):
        for identity in action.get(key, []):
            entry = store.coco.annotations.get(identity, {})
            image = store.coco.images.get(entry.get("image_id", ""), {}).get("file_name", "")
            yield {**about, "image": image, "item": str(identity), "value": {"bad": bad}}


def _seconds(time: object) -> float | None:
    try:
        return datetime.fromisoformat(str(time).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None
