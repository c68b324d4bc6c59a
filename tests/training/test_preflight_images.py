"""The doctor for changes of images: what would do nothing, or fill a memory for nothing."""

from __future__ import annotations

import pytest
from PIL import Image

from workbench import doctor
from workbench.training.recipe import Recipe

BASE = "digit-scenes/faster-rcnn"
CACHED = {
    "detector.backbone": {"name": "resnet18", "frozen_stages": 4, "cache": True},
    "detector.pyramid": False,
    "detector.channels": None,
    "detector.anchor_sizes": [[18, 36, 64]],
}


def problems(changes: dict) -> list[tuple[str, str, str]]:
    small = {"data.options": {"length": 64}, "stages.0.steps": 40}
    report = doctor(Recipe.load(BASE).replace(small | changes, validation=None, test=None))
    return [
        (problem.level, problem.where, problem.what) for problem in report.problems if "epoch" not in problem.what
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"augment.hide": {"kind": "grid-mask"}}, []),
        ({"augment.hide": {"kind": "paste", "occluders": ["./no.png"]}}, [("error", "augment.hide", "no.png")]),
        ({"augment.hide": {"kind": "adversarial-placement"}},
         [("warning", "augment.hide.ramp", "has learned nothing yet")]),
        ({"augment.hide": {"kind": "adversarial-placement", "ramp": 0.2}}, []),
        ({"augment.hide": {"kind": "adversarial-placement"}, "start": BASE}, []),
        ({"augment.hide": {"kind": "paste", "chance": 0}}, [("warning", "augment.hide.chance", "paste never acts")]),
        ({"augment.hide": {"kind": "paste"}, "stages.0.harden": False},
         [("warning", "augment.hide", "no stage hides")]),
        ({"augment.scale_jitter": {"size": [128, 128]}}, []),
        ({"augment.scale_jitter": {"size": [128, 128]}, "detector.min_size": 128},
         [("warning", "augment.scale_jitter", "which undoes it")]),
        ({"augment.shortest_size": {"sizes": [128, 160]}, "detector.min_size": 128},
         [("warning", "augment.shortest_size", "which undoes it")]),
        ({"augment.scale_jitter": {"size": [128, 128]}, "augment.fixed_size": {"size": [128, 128]},
          "detector.min_size": 128}, []),
    ],
)  # fmt: skip
def test_what_would_do_nothing_or_cannot_be_done(changes, expected):
    found = problems(changes)
    assert [(level, where) for level, where, _ in found] == [(level, where) for level, where, _ in expected]
    for (_, _, what), (_, _, words) in zip(found, expected, strict=True):
        assert words in what


@pytest.mark.parametrize(
    ("augment", "levels"),
    [
        ({"flip": True}, {}),
        ({"hide": {"kind": "paste"}}, {"paste": "error"}),
        ({"hide": {"kind": "paste", "chance": 0.25}}, {"paste changes 25% of the images": "warning"}),
        ({"hide": {"kind": "adversarial-placement", "ramp": 0.2}}, {"adversarial-placement": "error"}),
        ({"photometric": {}}, {"augment.photometric changes every image": "error"}),
        ({"scale_jitter": {"size": [128, 128]}, "hide": {"kind": "hide-and-seek"}},
         {"augment.scale_jitter": "error", "hide-and-seek changes 80%": "warning"}),
    ],
)  # fmt: skip
def test_a_trunk_that_remembers_images_needs_images_that_come_again(augment, levels):
    found = problems(CACHED | {f"augment.{key}": value for key, value in augment.items()})
    cached = [(level, what) for level, where, what in found if where == "detector.backbone.cache"]
    assert len(cached) == len(levels)
    for words, level in levels.items():
        assert any(words in what and level == said for said, what in cached)
    without = problems(CACHED | {"detector.backbone.cache": False} | {f"augment.{k}": v for k, v in augment.items()})
    assert not [where for _, where, _ in without if where == "detector.backbone.cache"]


def test_data_without_masks_cannot_be_cut_out(tmp_path):
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (tmp_path / folder).mkdir(parents=True)
    box = "<xmin>5</xmin><ymin>5</ymin><xmax>50</xmax><ymax>60</ymax>"
    size = "<size><width>80</width><height>80</height><depth>3</depth></size>"
    for number in range(4):
        Image.new("RGB", (80, 80), (9 * number, 99, 200)).save(tmp_path / "JPEGImages" / f"{number}.jpg")
        text = f"<annotation>{size}<object><name>cat</name><bndbox>{box}</bndbox></object></annotation>"
        (tmp_path / "Annotations" / f"{number}.xml").write_text(text)
    (tmp_path / "ImageSets" / "Main" / "trainval.txt").write_text("0\n1\n2\n3\n")
    data = {"name": "voc", "split": "trainval", "root": str(tmp_path)}
    changes = {"data": data, "augment.hide": {"kind": "copy-paste"}, "batch_size": 2}
    report = doctor(Recipe.load(BASE).replace(changes, validation=None, test=None))
    (found,) = [problem for problem in report.problems if problem.where == "augment.hide"]
    assert found.level == "error"
    assert found.what.startswith("copy-paste: voc has no masks to cut objects out by")
