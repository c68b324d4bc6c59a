"""A process that annotates until it is killed, and says after each action how many annotations there are."""

from __future__ import annotations

from multiprocessing.connection import Connection

from workbench.annotation.store import AnnotationStore


def annotate(path: str, said: Connection) -> None:
    store = AnnotationStore(path)
    while True:
        place = len(store.coco.annotations) % 20
        ring = [10 + place, 10, 50, 10 + place, 50, 40]
        with store.action("segment", worker="ann", stage="segmentation", image="a.jpg") as edit:
            edit.add("annotation", image_id=1, category_id=1, segmentation=[ring])
        said.send(len(store.coco.annotations))
