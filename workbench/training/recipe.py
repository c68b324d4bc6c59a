"""Recipes: a whole experiment as validated data, YAML both ways.

A recipe names data, detector, hardeners, stages (who trains, how long, at which learning rate) and the seed.
Unknown keys are refused, and every error names the key, what was expected and what came. The learning rate is
stated for a batch size (`lr_batch_size`) and scaled linearly to the one used (Goyal et al. 2017).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from copy import deepcopy
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import yaml
from pydantic import Field, PrivateAttr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from workbench.cards import never_raises
from workbench.data import check_loading
from workbench.errors import RecipeError, WorkbenchError, did_you_mean
from workbench.files import whole_file
from workbench.registry import DATASETS, DETECTORS, HARDENERS, LOGGERS, PROPOSALS, Registry
from workbench.training.recipe_card import Origin, recipe_html, recipe_text
from workbench.training.recipe_files import Layer, assign, load_layers, recipe_layers, resolve, shipped_names
from workbench.training.recipe_images import image_misfits
from workbench.training.recipe_sections import (
    AugmentSpec,
    Count,
    DataSpec,
    Fraction,
    OptimizerSpec,
    ScheduleSpec,
    Section,
    Stage,
    TestSpec,
    ValidationSpec,
)

if TYPE_CHECKING:
    from workbench.data.dataset import Dataset
    from workbench.detectors import Detector

#: Keys that do not change which weights come out (threads can, in the last bits; the processes do).
NOT_DECISIVE = (
    "name", "notes", "published", "device", "threads", "workers",
    "log_every", "checkpoint_every", "keep", "validation", "loggers",
)  # fmt: skip


class Recipe(Section):
    """A whole experiment. `Recipe.load("digit-scenes/faster-rcnn")` reads a shipped one.

    A file may name another recipe as its `base` and say only what differs (see `workbench.training.recipe_files`);
    a `Recipe` itself holds every value. Values are checked: a `RecipeError` names the key, what was expected and what
    came.

    Example:
        >>> recipe = wb.Recipe.load("digit-scenes/faster-rcnn")
        >>> recipe.steps
        1500
        >>> recipe.replace({"stages.0.steps": 3000}, seed=1).steps
        3000
        >>> recipe.replace({"stages.0.lr": -1})
        Traceback (most recent call last):
        workbench.errors.RecipeError: digit-scenes/faster-rcnn with changes is not a valid recipe:
          stages.0.lr: Input should be greater than 0, got -1
    """

    name: str = "unnamed"
    data: DataSpec
    validation: ValidationSpec | None = None
    test: TestSpec | None = None
    detector: dict[str, Any]
    hardener: dict[str, Any] | list[dict[str, Any]] | None = None
    start: str | None = Field(default=None, description="detector to start from: a name, file or folder of a run")
    stages: Annotated[list[Stage], Field(min_length=1)]
    optimizer: OptimizerSpec = Field(default_factory=OptimizerSpec)
    schedule: ScheduleSpec = Field(default_factory=ScheduleSpec)
    ema: Fraction | None = Field(default=None, description="decay of the running mean of weights; None: off")
    batch_size: Count = Field(default=16, description="images per step, over all processes")
    lr_batch_size: Count = Field(default=16, description="the batch that the learning rates are stated for")
    augment: AugmentSpec = Field(default_factory=AugmentSpec)
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    precision: Literal["float32", "bf16", "auto"] = "auto"
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:1, mps, xpu")
    processes: Count = 1
    threads: Count | None = Field(default=None, description="CPU threads of each process")
    workers: Annotated[int, Field(ge=0)] = Field(default=0, description="loader processes")
    log_every: Count = 10
    loggers: list[str | dict[str, Any]] = Field(
        default_factory=list, description="where metrics go as well: csv, tensorboard, wandb, trackio, with options"
    )
    checkpoint_every: Count = 500
    keep: Count | None = Field(default=2, description="newest checkpoints to keep besides stage ends; None: all")
    notes: str | dict[str, Any] | None = None
    published: dict[str, Any] | None = Field(default=None, description="what the paper states")
    _origin: Origin = PrivateAttr(default=Origin())

    @field_validator("hardener", mode="after")
    @classmethod
    def _none_of_several(cls, hardener: Any) -> Any:
        return None if hardener == [] else hardener  # a recipe with a base leaves out its hardener

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> Recipe:
        for reason in _misfits(self) if (info.context or {}).get("trial", True) else ():
            raise PydanticCustomError("fit", "{reason}", {"reason": reason})
        return self

    def __eq__(self, other: object) -> bool:
        """Whether all values are equal, wherever they come from."""
        return isinstance(other, Recipe) and self.to_dict() == other.to_dict()

    @never_raises
    def __repr__(self) -> str:
        return recipe_text(self)

    __str__ = __repr__

    @never_raises
    def _repr_html_(self) -> str:
        return recipe_html(self)

    @property
    def origin(self) -> Origin:
        """The files that it comes from, and its values before `replace`; says nothing of what it does."""
        return self._origin

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    @property
    def loss_factors(self) -> list[str]:
        """Names of the losses that stages have factors for."""
        return sorted({name for stage in self.stages for name in stage.loss_factors})

    @property
    def lr_scale(self) -> float:
        """Factor from the stated learning rates to those used."""
        return self.batch_size / self.lr_batch_size

    def scaled_lr(self, stage: Stage) -> float:
        """The learning rate of a stage at this recipe's batch size."""
        return stage.lr * self.lr_scale

    @classmethod
    def from_dict(cls, values: Any, *, source: str = "recipe", trial: bool = True) -> Recipe:
        """Check plain data.

        Args:
            values: keys and values, maybe with a `base` (see `workbench.training.recipe_files`).
            source: what messages call it.
            trial: see also whether the parts fit together, which imports torch and builds the detector without
                memory.

        Raises:
            RecipeError: names the key, what was expected and what came.
        """
        if not isinstance(values, dict):
            raise RecipeError(f"{source}: expected keys and values, got {type(values).__name__}")
        if "base" in values:
            return cls._of_layers(recipe_layers(values, source), trial=trial)
        try:
            return cls.model_validate(values, context={"trial": trial})
        except ValidationError as error:
            lines = "\n".join(f"  {line}" for line in _explain(error))
            raise RecipeError(f"{source} is not a valid recipe:\n{lines}") from None

    @classmethod
    def load(cls, name_or_path: str | Path, *, trial: bool = True) -> Recipe:
        """A shipped recipe by name (`digit-scenes/faster-rcnn`), or a YAML file; `trial` as in `from_dict`.

        A file that says no name is called as the file.
        """
        layers = load_layers(name_or_path)
        return cls._of_layers(layers, trial=trial, name=Path(layers[-1].source).stem)

    @classmethod
    def _of_layers(cls, layers: list[Layer], *, trial: bool, **defaults: Any) -> Recipe:
        made = cls.from_dict(defaults | resolve(layers), source=layers[-1].source, trial=trial)
        made._origin = Origin(tuple(layers))
        return made

    @classmethod
    def shipped(cls) -> list[str]:
        """Names of the recipes that come with the workbench."""
        return shipped_names()

    def to_dict(self) -> dict[str, Any]:
        """Plain data with every value spelled out."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        """The recipe as YAML; `from_dict(yaml.safe_load(...))` gives an equal recipe."""
        # ASCII only: PyYAML does not bring back every line break of Unicode otherwise.
        return yaml.safe_dump(self.to_dict(), sort_keys=False, width=110)

    def save(self, path: str | Path) -> Path:
        """Write YAML in one go: readers see the old file or the new one, never half of it."""
        path = Path(path)
        try:
            with whole_file(path) as file:
                file.write(self.to_yaml().encode())
        except OSError as error:
            raise RecipeError(f"{path} cannot be written: {error.strerror}") from error
        return path

    def replace(self, overrides: dict[str, Any] | None = None, /, **values: Any) -> Recipe:
        """A changed copy: `replace({"optimizer.weight_decay": 0, "stages.0.steps": 100}, seed=1)`."""
        changed = deepcopy(self.to_dict())
        for key, value in {**(overrides or {}), **values}.items():
            assign(changed, key, value.model_dump(mode="json") if isinstance(value, Section) else deepcopy(value))
        made = Recipe.from_dict(changed, source=f"{self.name} with changes")
        files, loaded = self._origin
        made._origin = Origin(files, self.to_dict() if loaded is None else loaded)
        return made

    @property
    def hardener_learns(self) -> bool:
        """Whether the hardener has parameters: an adversary."""
        return _try_players(_players(self), Registry.changes).hardener_learns

    def fingerprint(self) -> str:
        """16 hex digits that are equal when two recipes must give the same weights and result."""
        decisive = {key: value for key, value in self.to_dict().items() if key not in NOT_DECISIVE}
        later = {key: value for key, value in decisive["augment"].items() if key == "flip" or value is not None}
        decisive["augment"] = later  # recipes from before these keys keep their fingerprint
        for stage in decisive["stages"]:
            for key in ("positive_fraction", "sources", "loss_factors", "learns"):  # likewise
                if not stage[key]:
                    del stage[key]
        for key in ("audit", "regions") if decisive["test"] else ():  # likewise
            if decisive["test"][key] is None:
                del decisive["test"][key]
        if decisive["data"]["limit"] is None:  # likewise
            del decisive["data"]["limit"]
        text = json.dumps(decisive, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _misfits(recipe: Recipe) -> Iterator[str]:
    """Reasons why the parts of a recipe do not fit together. Detectors are tried without memory or weights."""
    if recipe.batch_size % recipe.processes:
        yield f"batch_size: {recipe.batch_size} images cannot be divided over {recipe.processes} processes"
    for key in ("data", "validation", "test"):
        yield from _data_misfits(key, getattr(recipe, key))
    yield from _test_misfits(recipe)
    yield from _logger_misfits(recipe)
    yield from _source_misfits(recipe)
    name = recipe.detector.get("kind")
    if name in DETECTORS:
        yield from _detector_misfits(recipe, DETECTORS.class_of(name))
    tried = _try_players(_players(recipe), Registry.changes)
    yield from tried.misfits
    yield from _unknown_parameters(recipe, tried.learning)
    if not tried.hardener_learns and any(stage.train == "hardener" for stage in recipe.stages):
        why = "it has no parameters" if recipe.hardener else "there is none"
        yield f"stages: one trains the hardener, but {why}"


def _data_misfits(key: str, spec: DataSpec | None) -> Iterator[str]:
    """What `load_data` and `with_proposals` would refuse; nothing is read."""
    if spec is None:
        return
    from workbench.proposals import TOP  # late, as it imports torch

    try:
        check_loading(spec.name, spec.options, key=key)
        if spec.proposals is not None:
            PROPOSALS.check({"top": TOP} | spec.proposals, place=f"{key}.proposals")
    except WorkbenchError as error:
        yield str(error)


def _test_misfits(recipe: Recipe) -> Iterator[str]:
    """What audits and scored regions of the test would refuse."""
    spec, name = recipe.test, recipe.detector.get("kind")
    if spec is None or (spec.audit is None and spec.regions is None):
        return
    from workbench.detectors.base import Detects, ScoresBoxes  # late, as they import torch
    from workbench.evaluation.occluded_figures import check_figures

    kind = DETECTORS.class_of(name) if name in DETECTORS else None
    for key, ability, what in (("audit", Detects, "no detections"), ("regions", ScoresBoxes, "no scores of boxes")):
        if kind is not None and getattr(spec, key) is not None and not issubclass(kind, ability):
            yield f"test.{key}: {kind.kind} gives {what}; leave it out"
    try:
        check_figures("test", spec.audit, spec.regions)
    except WorkbenchError as error:
        yield str(error) if str(error).startswith("test.") else f"test: {error}"


def _logger_misfits(recipe: Recipe) -> Iterator[str]:
    for place, config in enumerate(recipe.loggers):
        try:
            LOGGERS.check(config, place=f"loggers.{place}")
        except WorkbenchError as error:
            yield str(error)


def _source_misfits(recipe: Recipe) -> Iterator[str]:
    """Stages that learn from sources which the data do not have."""
    asking = [(number, stage.sources) for number, stage in enumerate(recipe.stages) if stage.sources]
    if not asking or recipe.data.name not in DATASETS:
        return
    from workbench.data.mixed import HasSources  # late, as it imports torch

    has_them = issubclass(DATASETS.class_of(recipe.data.name), HasSources)
    there = recipe.data.options.get("sources") if has_them else None
    for number, sources in asking:
        for name in sources:
            if not isinstance(there, dict):
                kinds = [kind for kind in DATASETS.names() if issubclass(DATASETS.class_of(kind), HasSources)]
                what = f"{recipe.data.name} has none; they are for data.name: {' or '.join(kinds)}"
                yield f"stages.{number}.sources: {what}"
                break
            if name not in there:
                yield f"stages.{number}.sources: the data have no source {name!r}{did_you_mean(name, list(there))}"


def _detector_misfits(recipe: Recipe, kind: type[Detector]) -> Iterator[str]:
    """What asks something of a detector, its data or hardener that their kinds cannot do."""
    from workbench.detectors.base import Detects  # late, as it imports torch

    for number, stage in enumerate(recipe.stages):
        roi = recipe.detector.get("roi")
        mines = stage.harden and isinstance(roi, dict) and roi.get("mining")
        if stage.positive_fraction is not None and (kind.hardens != "maps" or mines):
            yield f"stages.{number}.positive_fraction: no RoIs are drawn; leave it out"
    if kind.needs_start and recipe.start is None:
        yield f"start: a {kind.kind} starts from a trained detector; name one, its file or run"
    for key in ("validation", "test"):
        scored = kind.task != "detection" or issubclass(kind, Detects) or kind.proposes
        if not scored and getattr(recipe, key) is not None:
            yield f"{key}: {kind.kind} gives neither detections nor proposals; leave it out"
    learns_from = "detection" if kind.task == "detection" else "classification"
    for key in ("data", "validation", "test"):
        spec = getattr(recipe, key)
        known = spec is not None and spec.name in DATASETS
        if known and DATASETS.class_of(spec.name).task != learns_from:
            yield f"{key}.name: {_other_task(spec.name, kind)}"
    yield from image_misfits(recipe, kind)
    if kind.task == "classification" and recipe.data.name in DATASETS:
        yield from _pair_misfits(recipe, DATASETS.class_of(recipe.data.name))
    if recipe.data.options.get("occlusion") and recipe.data.split != "train":
        yield f"data.split: {recipe.data.split!r} with occlusion is made for tests; the pairs belong to split train"


def _other_task(data: str, kind: type[Detector]) -> str:
    if kind.task == "detection":
        return f"{data} has images of one class; use it with detector.kind: classifier"
    return f"{data} has objects, and a {kind.kind} needs images of one class, such as digits"


def _pair_misfits(recipe: Recipe, data: type[Dataset]) -> Iterator[str]:
    """What needs pairs of clean and occluded images that the data do not have."""
    occlusion, pastes = recipe.data.options.get("occlusion"), recipe.augment.paste is not None
    kinds = [part.get("kind") for part in _parts(recipe.hardener)]
    needs = ["augment.paste"] if pastes else []
    needs += [f"hardener: {kind}" for kind in kinds if kind in HARDENERS and HARDENERS.class_of(kind).needs_pairs]
    if not data.occludes and not occlusion and occlusion != {}:
        yield from (f"{need} needs pairs of clean and occluded images; give data.options.occlusion" for need in needs)
    if pastes and data.occludes:
        yield f"augment.paste: the occlusion of {data.kind} is real, there are no patterns to paste"


def _parts(hardener: dict[str, Any] | list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """The sections of a hardener, one of each method."""
    return hardener if isinstance(hardener, list) else [hardener or {}]


def _players(recipe: Recipe) -> str:
    return json.dumps([recipe.detector, recipe.hardener], sort_keys=True)


class Tried(NamedTuple):
    """What comes of building a detector and its hardener."""

    misfits: tuple[str, ...]  #: why they cannot be built
    hardener_learns: bool  #: whether the hardener has parameters
    learning: tuple[str, ...]  #: names of the detector's parameters that are not frozen; () where it cannot be built


def _unknown_parameters(recipe: Recipe, learning: tuple[str, ...]) -> Iterator[str]:
    """Patterns of stages that no parameter of the detector has a name for."""
    for number, stage in enumerate(recipe.stages):
        if stage.learns and stage.train == "hardener":
            yield f"stages.{number}.learns: only the hardener learns there; leave it out"
        for pattern in (stage.learns or ()) if learning else ():
            if not any(fnmatchcase(name, pattern) for name in learning):
                parts = sorted({name.partition(".")[0] for name in learning})
                what = f"no parameter that is not frozen is named {pattern!r}"
                yield f"stages.{number}.learns: {what}; they begin with {', '.join(f'{part}.' for part in parts)}"


@lru_cache(maxsize=64)
def _try_players(players: str, changes: int) -> Tried:
    """What comes of a detector and its hardener (as JSON).

    Remembered, as many recipes share them, until another kind is registered.
    """
    import torch  # late: most questions about recipes need none

    from workbench.detectors import build_detector
    from workbench.hardeners import build_hardener

    detector, config = json.loads(players)
    misfits, hardener, built = [], None, None
    try:
        hardener = build_hardener(config)
    except Exception as error:  # whatever a plug-in raises, and torch for sizes that are too large
        misfits.append(_at("hardener", error))
    try:
        with torch.device("meta"):
            built = build_detector(detector, ("object",), hardener, pretrained=False)  # adversaries get their network
    except Exception as error:
        misfits.append(_at("detector", error))
    own = [] if built is None else [name for name, each in built.named_parameters() if each.requires_grad]
    learning = tuple(name for name in own if not name.startswith("hardener."))
    return Tried(tuple(misfits), hardener is not None and any(True for _ in hardener.parameters()), learning)


def _at(key: str, error: Exception) -> str:
    if not isinstance(error, WorkbenchError):
        return f"{key} cannot be built ({type(error).__name__}: {str(error).partition(chr(10))[0]})"
    return str(error) if str(error).startswith(f"{key}.") else f"{key}: {error}"


def _explain(error: ValidationError) -> Iterator[str]:
    for item in error.errors(include_url=False):
        path = ".".join(str(part) for part in item["loc"])
        if item["type"] == "unknown_key":
            key = item["ctx"]["key"]
            yield f"{f'{path}.{key}' if path else key}: unknown key{did_you_mean(key, item['ctx']['known'])}"
        elif item["type"] == "missing":
            yield f"{path}: missing"
        elif item["type"] == "fit":
            yield item["msg"]
        else:
            yield f"{path}: {item['msg']}, got {item['input']!r}"
