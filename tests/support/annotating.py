"""A process that annotates until it is killed, and says after each action how many annotations there are."""

from __future__ import annotations

import os

from workbench.annotation.store import AnnotationStore


def annotate(path: str, report: str) -> None:
    """report: a file that gets a line after each action."""
    store = AnnotationStore(path)
    said = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while True:
        place = len(store.coco.annotations) % 20
        ring = [10 + place, 10, 50, 10 + place, 50, 40]
        with store.action("segment", worker="ann", stage="segmentation", image="a.jpg") as edit:
            edit.add("annotation", image_id=1, category_id=1, segmentation=[ring])
        os.write(said, b"%d\n" % len(store.coco.annotations))
