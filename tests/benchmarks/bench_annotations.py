"""Annotations at their real size, made up: COCO's training set and VOC's 07+12, loaded in processes of their own.

A first load reads the files and leaves a table in the cache; later loads map it. pycocotools is the peer of COCO.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from made_up import COCO_IMAGES, COCO_OBJECTS, VOC_IMAGES, make_coco, make_voc
from measure import Row

LATER_S, LATER_MB, TARGET_MS, DOCTOR_S, STATISTICS_S = 2.0, 1024.0, 1.5, 60.0, 60.0
#: What a process of its own prints: CPU seconds of the job after all imports, and the memory that it takes at most.
CHILD = """
import json, sys, time
import torch
torch.set_num_threads(1)
from pycocotools.coco import COCO
from workbench import load_data, statistics
import workbench.data.coco, workbench.data.voc, workbench.data.doctor
root, file = sys.argv[1:3]
def peak():
    lines = open("/proc/self/status").read().splitlines()  # getrusage gives the parent's peak where that is higher
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
before = peak()
{prepare}
began = time.process_time()
{job}
print(json.dumps([time.process_time() - began, peak() - before]))
"""
LOAD = 'data = load_data("coco", root=root)'
PEER = "data = COCO(file)"
TARGETS = 'for index in range(0, len(data), max(1, len(data) // 2000)): data.target(index)["masks"]'
PEER_TARGETS = """
ids = sorted(data.imgs)
for index in range(0, len(ids), max(1, len(ids) // 2000)):
    [data.annToMask(one) for one in data.imgToAnns[ids[index]]]
"""
TIMED_TARGETS = 2000
ACTION_OBJECTS, ACTION_MS = 10_000, 200.0
ACTION = """
with store.action("segment", worker="ann", stage="segmentation") as edit:
    edit.add("annotation", image_id=next(iter(edit.coco.images)), category_id=1, segmentation=[[1, 1, 30, 1, 30, 30]])
"""
STORE = """
from workbench.annotation.store import AnnotationStore
store = AnnotationStore(file)
"""
DUMP = "with open(file + '.copy', 'w') as copy: json.dump(content, copy)"
CONTENT = "content = json.load(open(file))"


def run(quick: bool) -> list[Row]:
    """All rows; a tenth of the images where it should be quick, for which the aims in seconds are easier."""
    part = 10 if quick else 1
    with tempfile.TemporaryDirectory() as folder:
        coco, voc = Path(folder, "coco"), Path(folder, "voc")
        file = make_coco(coco, images=COCO_IMAGES // part, objects=COCO_OBJECTS // part)
        make_voc(voc, images=VOC_IMAGES // part)
        for one in [file, *(voc / "Annotations").iterdir()]:
            os.utime(one, (1e9, 1e9))  # files that change while they are looked at are not kept
        rounds = 1 if quick else 3
        rows = [*_coco(coco, file, Path(folder, "cache"), rounds), *_voc(voc, Path(folder, "cache"))]
        return [*rows, *_actions(Path(folder, "annotated"), Path(folder, "cache"), rounds)]


def _coco(root: Path, file: Path, cache: Path, rounds: int) -> list[Row]:
    def child(job: str, prepare: str = "") -> tuple[float, float]:
        return _child(job, prepare, root, file, cache)

    pairs = []
    for _ in range(rounds):  # in turns, as a machine is now quicker and now slower
        shutil.rmtree(cache, ignore_errors=True)
        pairs.append((*child(PEER), *child(LOAD)))
    theirs, their_mb, first, first_mb = np.median(pairs, axis=0).tolist()
    later, later_mb = child(LOAD)
    targets, _ = child(TARGETS, LOAD)
    peer_targets, _ = child(PEER_TARGETS, PEER)
    count = min(TIMED_TARGETS, len(json.loads(file.read_bytes())["images"]))
    doctor, _ = child("workbench.data.doctor.check_data(data, images=False)", LOAD)
    counted, _ = child("statistics(data, progress=False)", LOAD)
    what = f"COCO, {file.stat().st_size / 2**20:.0f} MB of annotations"
    return [
        _ratio(f"{what}: first load", "pycocotools", first, theirs, 1.0),
        _ratio(f"{what}: memory of the first load", "pycocotools", first_mb, their_mb, 1.0, unit="MB", scale=1),
        _plain(f"{what}: later loads", later, LATER_S),
        _plain(f"{what}: memory of later loads", later_mb, LATER_MB, unit="MB", scale=1),
        _ratio(f"{what}: a target with masks", "pycocotools", targets / count, peer_targets / count, None),
        _plain(f"{what}: a target with masks", targets / count, TARGET_MS / 1e3),
        _plain(f"{what}: the doctor looks at all annotations", doctor, DOCTOR_S),
        _plain(f"{what}: statistics", counted, STATISTICS_S),
    ]


def _voc(root: Path, cache: Path) -> list[Row]:
    load = 'data = load_data("voc", split="trainval", root=root)'
    first, _ = _child(load, "", root, root, cache)
    later, _ = _child(load, "", root, root, cache)
    return [_plain("VOC, all XML files: first load", first, None), _plain("VOC: later loads", later, LATER_S)]


def _actions(root: Path, cache: Path, rounds: int) -> list[Row]:
    """Annotating: the first action after a file was opened has it written, and so have all others."""
    pairs = []
    for _ in range(rounds):
        file = make_coco(root, images=ACTION_OBJECTS // 10, objects=ACTION_OBJECTS)
        pairs.append((_child(ACTION, STORE, root, file, cache)[0], _child(DUMP, CONTENT, root, file, cache)[0]))
        for one in file.parent.iterdir():
            one.unlink()
    ours, theirs = np.median(pairs, axis=0).tolist()
    what = f"first action in a file of {ACTION_OBJECTS:,} annotations"
    return [_ratio(what, "json.dump", ours, theirs, 0.2), _plain(what, ours, ACTION_MS / 1e3)]


def _child(job: str, prepare: str, root: Path, file: Path, cache: Path) -> tuple[float, float]:
    """CPU seconds of a job in a process of its own, and by how many MB it raised the peak of the memory."""
    code = CHILD.replace("{prepare}", prepare).replace("{job}", job)
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, str(root), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    seconds, megabytes = json.loads(done.stdout.splitlines()[-1])
    return seconds, megabytes


def _ratio(
    job: str, peer: str, ours: float, theirs: float, aim: float | None, *, unit: str = "ms", scale: float = 1e3
) -> Row:
    value = ours / theirs
    return Row(job, peer, value, value, value, aim, ours * scale, theirs * scale, 1, unit=unit)


def _plain(job: str, value: float, aim: float | None, *, unit: str = "ms", scale: float = 1e3) -> Row:
    shown = value * scale
    return Row(job, None, shown, shown, shown, None if aim is None else aim * scale, shown, None, 1, unit=unit)
