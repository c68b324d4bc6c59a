"""What workers did, as the actions that worker quality, votes and unions are counted from (`actions.Action`).

The log of a store knows more than these need: which annotation became what, what was looked at, what was undone
(which is left out here). Images are named by file name: the ids in the COCO file that is written are not those of
the data that are annotated.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from workbench.annotation.actions import Action
from workbench.annotation.progress import is_point
from workbench.annotation.recording.action_log import Action as Logged
from workbench.annotation.store import AnnotationStore, changes_of

_NAMES = {
    "collecting": "collect", "labelling": "label", "spotting": "spot", "segmentation": "segment",
    "verification": "verify", "crowd": "crowd",
}  # fmt: skip

Said = dict[str, Any]


def answers(store: AnnotationStore) -> list[Action]:
    """The actions of a store's log, in their order, without what was undone.

    Example:
        >>> store = AnnotationStore("my.json")
        >>> about = {"worker": "ann", "stage": "labelling", "image": "a.jpg"}
        >>> with store.action("label", category="cup", point=[3, 4], **about):
        ...     pass
        >>> [(one.worker, one.stage, one.category, one.point) for one in answers(store)]
        [('ann', 'label', 'cup', (3.0, 4.0))]
    """
    counted = [one for one in store.actions if one["id"] not in store.undone]
    return [Action(**said) for logged in counted for said in _of(logged, store)]


def _of(logged: Logged, store: AnnotationStore) -> Iterator[Said]:
    do, stage = logged["do"], _NAMES.get(str(logged.get("stage")))
    worker, time = logged.get("worker"), _seconds(logged.get("time"))
    if stage is None or not isinstance(worker, str) or not worker or time is None:
        return
    about: Said = {"worker": worker, "time": time, "stage": stage, "image": logged.get("image", "")}
    category = logged.get("category")
    if do == "verdict":
        yield {**about, "kind": "add" if logged.get("iconic") else "remove", "item": "iconic"}
        yield {**about, "kind": "done"}
    elif do == "verdicts":
        yield from ({**about, "image": image, "kind": "done"} for image in logged.get("images", []))
    elif do == "label" and is_point(logged.get("point")):
        yield {**about, "category": category, "value": {"point": logged["point"]}}
    elif do == "unlabel":
        yield {**about, "kind": "remove", "category": category}
    elif do == "cross" and is_point(logged.get("point")):
        yield {**about, "item": logged["id"], "category": category, "value": {"point": logged["point"]}}
    elif do == "uncross":
        yield {**about, "kind": "remove", "item": str(logged.get("cross", "")), "category": category}
    elif do in ("segment", "change", "delete", "paint"):
        yield from _drawn(logged, about, store)
    elif do == "judge" and logged.get("passed"):
        yield from _votes(logged, about, store)
    elif do in ("finish", "spotted"):
        yield {**about, "kind": "done", "category": category}


def _drawn(logged: Logged, about: Said, store: AnnotationStore) -> Iterator[Said]:
    for sort, identity, before, after in changes_of(logged):
        if sort != "annotation":
            continue
        entry = after or before or {}
        said = {**about, "item": str(identity)}
        said["category"] = store.coco.categories.get(entry.get("category_id", ""), {}).get("name")
        if after is None:
            yield {**said, "kind": "remove"}
        else:
            yield {**said, "value": {key: after[key] for key in ("bbox", "segmentation") if key in after}}


def _votes(logged: Logged, about: Said, store: AnnotationStore) -> Iterator[Said]:
    for bad, key in ((False, "good"), (True, "bad")):
        for identity in logged.get(key, []):
            entry = store.coco.annotations.get(identity, {})
            image = store.coco.images.get(entry.get("image_id", ""), {}).get("file_name", "")
            yield {**about, "image": image, "item": str(identity), "value": {"bad": bad}}


def _seconds(time: object) -> float | None:
    try:
        return datetime.fromisoformat(str(time).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None
