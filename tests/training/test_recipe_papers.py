"""Recipes of the papers: small ones run, and those of one table differ in what the table says they differ in."""

from __future__ import annotations

import pytest

from workbench.training import Run
from workbench.training.recipe import Recipe
from workbench.training.trainer import train

SMALL = [
    "fpn/shared-digits",
    "retinanet/digits+hinge",
    *(f"inverted-attention/digits+{one}" for one in ("random", "overturn", "hard", "spatial", "channel")),
]


@pytest.mark.parametrize("name", SMALL)
def test_the_small_ones_run(name, tmp_path):
    """Two steps of each stage, on four scenes."""
    recipe = Recipe.load(name)
    few = {f"stages.{number}.steps": 2 for number in range(len(recipe.stages))}
    few |= {"data.options.length": 4, "validation": None, "test.limit": 1, "batch_size": 2, "lr_batch_size": 2}
    assert train(recipe.replace(few), tmp_path)
    run = Run.open(tmp_path)
    assert run.status == "done"
    losses = run.metrics()["loss"]
    assert losses.notna().all()
    assert losses.iloc[-1] > 0


def steps(recipe, *players):
    """Steps of the stages in which these learn."""
    return sum(stage.steps for stage in recipe.stages if stage.train in players)


PAIRS = {
    "voc07-vgg16": ("+asdn", "+astn", "+asdn+astn"),
    "voc07-alexnet": ("+asdn", "+astn", "+asdn+astn", "+fixed-asdn", "+random-dropout", "+hard-dropout", "+jitter"),
    "voc07-resnet101": ("+asdn+astn",),
    "voc12-vgg16": ("+asdn+astn", "+ohem"),
    "coco-vgg16": ("+asdn+astn",),
}


@pytest.mark.parametrize(("base", "ends"), PAIRS.items(), ids=PAIRS)
def test_detectors_of_a_fast_rcnns_tables_learn_equally_long_at_equal_rates(base, ends):
    """As long as the baseline; and the rate falls after as many steps of the detector, whoever learns beside it."""
    plain = Recipe.load(f"a-fast-rcnn/{base}", trial=False)
    whole, (fall,) = plain.steps, plain.schedule.milestones
    assert (whole, fall) == ((320_000, 280_000) if base.startswith("coco") else (80_000, 60_000))
    for end in ends:
        recipe = Recipe.load(f"a-fast-rcnn/{base}{end}", trial=False)
        assert steps(recipe, "detector", "both") == whole
        last = recipe.stages[-1]
        before = steps(recipe, "detector", "both") - last.steps
        assert before + (last.schedule or recipe.schedule).milestones[0] == fall
        assert {stage.lr for stage in recipe.stages} == {1e-3}
        same = ("score_threshold", "max_detections", "crowd_share")
        kept = [{key: one.detector.get("roi", {}).get(key) for key in same} for one in (plain, recipe)]
        assert kept[0] == kept[1]


def test_schedules_of_inverted_attention_are_its_epochs():
    """Two images a step on VOC, six epochs and two; 16 a step on COCO, eight, three and one."""
    images = {"voc07-faster-vgg16": 5011, "voc0712-faster-vgg16": 5011 + 11540}
    images |= {"voc12-faster-resnet101": 5011 + 4952 + 11540, "voc07-fast-vgg16": 5011}
    for name, number in images.items():
        recipe = Recipe.load(f"inverted-attention/{name}", trial=False)
        epoch = number / 2
        assert recipe.batch_size == recipe.lr_batch_size == 2
        assert [stage.lr for stage in recipe.stages] == [2e-3]
        assert recipe.steps == pytest.approx(8 * epoch, abs=1)
        assert recipe.schedule.milestones == pytest.approx([6 * epoch], abs=1)
    for name, times in {"coco-r50-fpn": 1, "coco-r101-fpn-2x": 2, "coco-mask-r101-fpn": 1}.items():
        recipe = Recipe.load(f"inverted-attention/{name}", trial=False)
        epoch = times * 118_287 / 16
        assert recipe.batch_size == 16
        assert [stage.lr for stage in recipe.stages] == [1e-2]
        assert recipe.steps == pytest.approx(12 * epoch, abs=2)
        assert recipe.schedule.milestones == pytest.approx([8 * epoch, 11 * epoch], abs=2)
        assert recipe.schedule.gamma == 0.1


def test_with_inverted_attention_all_else_is_that_of_the_baseline():
    names = [name for name in Recipe.shipped() if name.startswith("inverted-attention/") and name.endswith("+ia")]
    assert len(names) == 13
    for name in names:
        with_it, plain = (Recipe.load(one, trial=False) for one in (name, name.removesuffix("+ia")))
        assert with_it.hardener == {"kind": "inverted-attention", "preset": "paper"}
        changed = with_it.replace({"hardener": None, "name": plain.name})
        assert changed.fingerprint() == plain.fingerprint()
        first = next(name for name in with_it.published if name != "split")  # the papers' main figure
        assert with_it.published[first] > plain.published[first] > 30


def test_table_5_2_of_the_thesis_is_longer_and_no_more():
    short, long, jittered = (
        Recipe.load(f"retinanet/coco-r101-800{end}", trial=False) for end in ("", "-1.5x", "-1.5x+scale-jitter")
    )
    assert long.steps == 1.5 * short.steps
    assert long.schedule.milestones == [1.5 * mark for mark in short.schedule.milestones]
    assert long.detector == short.detector
    assert jittered.replace({"detector.min_size": 800}).fingerprint() == long.fingerprint()
