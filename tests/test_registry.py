"""Kinds: found in the files of their room, made from checked options, and those of a plug-in in every room."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Annotated, get_args, get_origin, get_type_hints

import pytest

from workbench import Recipe, launch, load_data, plug_in, plugins, registry
from workbench.data.coco import Coco
from workbench.data.digits import Digits
from workbench.errors import DataError, RecipeError
from workbench.hardeners import ASDN, Hardener, RandomDropout
from workbench.options import Share
from workbench.registry import DATASETS, DETECTORS, HARDENERS, LOSSES, Registry, constructor

REGISTRIES = {name: one for name, one in vars(registry).items() if isinstance(one, Registry)}
PLUG_IN = '''
import torch

from workbench.data.labelled_images import LabelledImages
from workbench.data.digits import Digits
from workbench.detectors import Classifier
from workbench.hardeners import Hardener, MaskDecision
from workbench.options import Count, Share
from workbench.registry import DATASETS, DETECTORS, HARDENERS


@DETECTORS.register("my-classifier")
class MyClassifier(Classifier):
    """A classifier of one's own; its options are those of its parent."""


@DATASETS.register("mine")
class Mine(Digits):
    """The first digits only."""

    def __init__(self, split="train", *, length: Count = 8):
        super().__init__(split)
        self.length, self.name = length, "mine"

    def __len__(self):
        return self.length


@HARDENERS.register("edge-drop")
class EdgeDrop(Hardener):
    """Drop the first row of cells."""

    def __init__(self, *, keep: Share = 0.0):
        super().__init__()
        self.keep = keep

    def decide(self, batch):
        mask = torch.ones_like(batch.features[:, :1])
        mask[:, :, 0] = self.keep
        return MaskDecision(mask)
'''


@pytest.fixture
def plugged(tmp_path, monkeypatch):
    """A plug-in with a kind for three rooms, forgotten afterwards."""
    monkeypatch.setenv(plugins.VARIABLE, "")
    monkeypatch.setattr(plugins, "_loaded", {})
    for one in (DETECTORS, DATASETS, HARDENERS):
        monkeypatch.setattr(one, "_made", dict(one._made))
    path = tmp_path / "my_kinds.py"
    path.write_text(PLUG_IN)
    plug_in(path)
    return path


def bare_numbers(kind: object) -> bool:
    """Whether a type lets any number pass; one beside a text is a name, such as a year."""
    parts = () if get_origin(kind) is Annotated else get_args(kind)
    return kind in (int, float) or (str not in parts and any(map(bare_numbers, parts)))


@pytest.mark.parametrize("name", REGISTRIES)
def test_the_numbers_of_each_kind_have_a_range(name):
    kinds = REGISTRIES[name]
    for kind in kinds.homes:
        maker = constructor(kinds[kind])
        hints = get_type_hints(maker.__init__ if isinstance(maker, type) else maker, include_extras=True)
        bare = [option for option in kinds.options(kind) if bare_numbers(hints.get(option))]
        assert not bare, f"{kind}: give {bare} a type of workbench.options"


@pytest.mark.parametrize("name", REGISTRIES)
def test_each_kind_is_what_its_file_says(name):
    kinds = REGISTRIES[name]
    assert set(kinds.homes) <= set(kinds.names())
    for kind, home in kinds.homes.items():
        assert kinds[kind].__module__ == home
        assert kinds[kind].kind == kind
        assert isinstance(kinds.class_of(kind), type)


def test_names_are_known_before_torch_is_imported():
    code = (
        "import sys; from workbench.registry import DETECTORS, DATASETS\n"
        "assert 'faster-rcnn' in DETECTORS and 'coco' in DATASETS and 'x' not in DATASETS\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"kind": "fcal"},
            "loss.kind 'fcal' does not exist (did you mean 'focal'?); choose one of",
        ),
        ({"kind": "focal", "gamma": "x"}, "loss.gamma is 'x'; expected a valid number"),
        ({"kind": "focal", "gamma": -1}, "loss.gamma is -1; expected at least 0"),
        ({"kind": "focal", "gama": 1}, "loss.gama is not an option of focal (did you mean 'gamma'?); choose from"),
        ({"kind": "focal", "preset": "paper"}, "loss.preset 'paper' does not exist for focal; it has none"),
        ({"kind": ["focal"]}, "loss.kind ['focal'] does not exist"),
        ({"kind": "cross-entropy", "gamma": 2}, "loss.gamma is not an option of cross-entropy; choose from"),
        ({"kind": "focal", "preset": ["x"]}, "loss.preset ['x'] does not exist for focal"),
        ({}, "loss.kind None does not exist"),
        (3, "loss is 3; expected a section of options"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(config, message):
    with pytest.raises(RecipeError, match=re.escape(message)):
        LOSSES.build(config)


def test_options_are_checked_whoever_makes_one():
    with pytest.raises(RecipeError, match=r"hardener.share is 3; expected at most 1"):
        HARDENERS["random-dropout"](share=3)
    with pytest.raises(DataError, match=r"digit-scenes.length is 'x'; expected a valid integer"):
        load_data("digit-scenes", length="x")
    with pytest.raises(DataError, match=re.escape("digits.grund does not exist (did you mean 'ground'?)")):
        load_data("digits", grund="plain")


def test_a_kind_without_options_says_so():
    with pytest.raises(RecipeError, match=r"normaliser\.decay is not an option of batch; it has none"):
        registry.NORMALISERS.build({"kind": "batch", "decay": 0.9})


def test_a_mask_rcnn_says_the_options_of_its_parent_too():
    assert {"mask", "backbone", "roi"} <= set(DETECTORS.options("mask-rcnn"))
    with pytest.raises(RecipeError, match=r"detector.channels is 0; expected at least 1"):
        DETECTORS.build({"kind": "mask-rcnn", "channels": 0}, ("a",))


def test_a_plug_in_cannot_take_the_place_of_what_is_there(plugged):
    plugged.write_text(PLUG_IN.replace('"edge-drop"', '"asdn"'))
    with pytest.raises(RecipeError, match=r"hardener.kind 'asdn' exists already"):
        plug_in(plugged)


def test_a_class_is_one_kind(plugged):
    """Else it would say the last name of both, and could take the place of what is there by a class of the room."""
    for kind in ("asdn", "other"):
        with pytest.raises(RecipeError, match="RandomDropout is the kind 'random-dropout' already"):
            HARDENERS.register(kind)(RandomDropout)
    assert RandomDropout.kind == "random-dropout"
    assert HARDENERS["asdn"] is ASDN
    assert "other" not in HARDENERS


def test_a_plug_in_that_fails_leaves_no_kind_behind(plugged):
    plugged.write_text(PLUG_IN.replace('"edge-drop"', '"new-drop"') + "\n1 / 0\n")
    with pytest.raises(RecipeError, match="division by zero"):
        plug_in(plugged)
    assert "new-drop" not in HARDENERS
    assert "edge-drop" in HARDENERS, "as it was before"
    plugged.write_text(PLUG_IN.replace('"edge-drop"', '"new-drop"'))
    plug_in(plugged)
    assert "new-drop" in HARDENERS
    assert "edge-drop" not in HARDENERS, "which the file has no more"


def test_a_file_may_be_plugged_in_by_its_name_as_well(plugged, monkeypatch):
    monkeypatch.syspath_prepend(plugged.parent)
    plug_in("my_kinds")
    assert "edge-drop" in HARDENERS
    sys.modules.pop("my_kinds")


def test_a_function_says_what_it_returns(plugged):
    @DATASETS.register("nameless")
    def nameless(split="train"):
        return load_data("digits", split)

    with pytest.raises(DataError, match="nameless does not say which class it returns; annotate it, as -> Dataset"):
        load_data("nameless")


def test_options_by_position_are_checked_too(plugged):
    @HARDENERS.register("by-position")
    class ByPosition(Hardener):
        def __init__(self, needed: int, rate: Share = 0.5):
            super().__init__()

    for make in (
        lambda: ByPosition(1, 7),
        lambda: ByPosition(1, rate=7),
        lambda: HARDENERS.build({"kind": "by-position", "needed": 1, "rate": 7}),
    ):
        with pytest.raises(RecipeError, match=r"hardener\.rate is 7; expected at most 1"):
            make()
    with pytest.raises(RecipeError, match=r"hardener\.needed is missing; by-position needs it"):
        HARDENERS.build("by-position")
    assert HARDENERS.options("by-position") == ["rate"]


def test_options_handed_on_to_the_parent_are_known(plugged):
    @DATASETS.register("half-coco")
    class HalfCoco(Coco):
        def __init__(self, root, split="train", *, share: Share = 0.5, **options):
            super().__init__(root, split, **options)

    assert DATASETS.options("half-coco") == ["share", *DATASETS.options("coco")]
    with pytest.raises(DataError, match=re.escape("half-coco.stric does not exist")) as caught:
        DATASETS.check({"kind": "half-coco", "stric": True})
    assert "did you mean 'strict'?" in str(caught.value)


def test_arguments_have_names(plugged):
    @DATASETS.register("part")
    class Part(Digits):
        def __init__(self, part="train"):
            super().__init__(part)

    with pytest.raises(DataError, match="Part takes no 'split'; give it a parameter of that name"):
        load_data("part")


def recipe_of_ones_own(**more):
    backbone = {"name": "small", "widths": [8, 12], "stem": 8}
    plain = {
        "name": "mine",
        "data": {"name": "mine", "options": {"length": 16}},
        "test": {"name": "mine", "split": "test"},
        "detector": {"kind": "my-classifier", "backbone": backbone},
        "stages": [{"steps": 2, "lr": 0.01}],
        "batch_size": 4, "lr_batch_size": 4, "device": "cpu", "threads": 1,
    }  # fmt: skip
    return Recipe.from_dict(plain | more)


def test_kinds_of_ones_own_are_known_in_every_room(plugged, tmp_path):
    assert len(load_data("mine", length=5)) == 5
    with pytest.raises(DataError, match=r"mine.length is 0; expected at least 1"):
        load_data("mine", length=0)
    assert {"my-classifier"} < set(DETECTORS.names())
    assert "mine" in DATASETS.names()
    run = launch(recipe_of_ones_own(), tmp_path / "run")
    assert run.wait(timeout=120) == "done", run.log()
    assert type(run.detector()).__name__ == "MyClassifier"
    assert run.result.data == "mine"


def test_what_does_not_fit_together_is_said_of_ones_own_kinds_too(plugged):
    with pytest.raises(RecipeError, match=r"data.name: mine has images of one class; use it with detector.kind"):
        Recipe.load("digit-scenes/faster-rcnn").replace({"data": {"name": "mine"}})
    with pytest.raises(RecipeError, match=r"detector.size is 'big'"):
        recipe_of_ones_own(detector={"kind": "my-classifier", "backbone": {"name": "small"}, "size": "big"})
    with pytest.raises(RecipeError, match=r"hardener: it hides cells of the maps of RoIs, and a my-classifier has"):
        recipe_of_ones_own(hardener={"kind": "edge-drop"})


def test_the_terminal_loads_data_of_ones_own(plugged):
    command = [sys.executable, "-m", "workbench", "doctor", "--data", "mine", "--option", "length=6"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ})
    assert done.returncode in (0, 1), done.stderr
    assert "mine" in done.stdout
