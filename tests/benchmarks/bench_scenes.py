"""Making digit scenes, and how long OcclusionLab takes to answer a moved occluder with two detectors (no browser)."""

from __future__ import annotations

import itertools

import torch
from measure import Row, milliseconds

from widgets import OcclusionLab
from workbench.data import load_data
from workbench.detectors import build_detector
from workbench.training.recipe import Recipe

SCENE_MS, ANSWER_MS = 10.0, 150.0
PER_ROUND = 20


def scenes(quick: bool) -> list[Row]:
    """Milliseconds per scene; every scene is a new one, so that nothing comes from a cache."""
    rows = []
    for family in ("digits", "parts"):
        for size in (128, 256):
            data = load_data("digit-scenes", split="train", size=size, family=family)
            image, target = data[0]
            if image.shape != (3, size, size) or len(target["boxes"]) == 0:
                raise SystemExit(f"digit-scenes {family} {size}: not a scene")
            fresh = itertools.count(1)

            def job(data=data, fresh=fresh) -> None:
                for _ in range(PER_ROUND):
                    data[next(fresh) % len(data)]

            aim = SCENE_MS if size == 128 else None
            rounds = 3 if quick else 9
            name = f"digit-scenes, one scene, {family}, {size} px"
            rows.append(milliseconds(name, job, aim=aim, rounds=rounds, inner=PER_ROUND))
    return rows


def answers(quick: bool) -> list[Row]:
    """From the message of the browser to the answer with its picture; the detectors have random weights."""
    recipe = Recipe.load("digit-scenes/faster-rcnn")
    data = load_data("digit-scenes", split="test")
    image, target = data[0]
    detectors = {}
    for seed, name in enumerate(("baseline", "hardened")):
        torch.manual_seed(seed)
        detectors[name] = build_detector(recipe.detector, data.classes)
    lab = OcclusionLab(detectors, image, target, classes=data.classes)
    numbers = itertools.count(1)

    def move() -> None:
        seq = next(numbers)
        x = seq * 7 % 90
        content = {"kind": "change", "seq": seq, "state": {"box": [x, 30, x + 30, 70]}}
        lab._on_message(None, content, [])
        if lab.box != [x, 30, x + 30, 70] or set(lab.result["detectors"]) != set(detectors):
            raise SystemExit("OcclusionLab did not answer for the new place of the occluder")

    rows = 10 if quick else 40
    return [milliseconds("OcclusionLab, one answer, two detectors", move, aim=ANSWER_MS, rounds=rows)]


def run(quick: bool) -> list[Row]:
    """Both."""
    return scenes(quick) + answers(quick)
