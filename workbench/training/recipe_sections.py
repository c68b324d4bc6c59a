"""The parts of a recipe as validated data: what it trains on, its stages, steps and changes of images.

Unknown keys are refused with the nearest known one.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from workbench.options import Count, Fraction

Positive = Annotated[float, Field(gt=0)]
Chance = Annotated[float, Field(gt=0, le=1)]


class Section(BaseModel):
    """A part of a recipe: unknown keys are refused with the nearest known one."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, validate_default=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: Any) -> Any:
        unknown = [key for key in value if key not in cls.model_fields] if isinstance(value, dict) else []
        if unknown:
            details = {"key": str(unknown[0]), "known": list(cls.model_fields)}
            raise PydanticCustomError("unknown_key", "unknown key", details)
        return value


class DataSpec(Section):
    """Arguments of `load_data`."""

    name: str = Field(description="as `load_data` knows it")
    split: str = "train"
    root: str | None = Field(default=None, description="folder of the data, for data that live on disk")
    options: dict[str, Any] = Field(default_factory=dict, description="further arguments of `load_data`")
    proposals: dict[str, Any] | None = Field(default=None, description="arguments of `with_proposals`")


class TestSpec(DataSpec):
    """Data that the finished detector is evaluated on."""

    __test__ = False  # pytest takes every Test* for a test

    split: str = "test"
    limit: Count | None = Field(default=None, description="only the first images")


class ValidationSpec(DataSpec):
    """Data that the detector is evaluated on while it trains."""

    split: str = "val"
    every: Count | None = Field(default=None, description="steps; None: at the end only")
    limit: Count | None = Field(default=None, description="only the first images")


class OptimizerSpec(Section):
    """How gradients become steps."""

    kind: Literal["adamw", "sgd"] = "adamw"
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.9, description="beta1 of AdamW")
    grad_clip: Positive | None = Field(default=None, description="largest gradient norm")


class ScheduleSpec(Section):
    """The learning rate over a stage. See `workbench.training.stepping.optimisation.learning_rate`."""

    kind: Literal["one-cycle", "step", "constant"] = "one-cycle"
    warmup: Annotated[float, Field(ge=0)] = Field(default=0.0, description="steps, or a fraction of the stage")
    warmup_factor: Annotated[float, Field(gt=0, le=1)] = 0.001
    peak: Fraction = Field(default=0.3, description="one-cycle: where the top is, fraction of the stage")
    milestones: list[Positive] = Field(default_factory=list, description="step: steps, or fractions of the stage")
    gamma: Annotated[float, Field(gt=0, le=1)] = Field(default=0.1, description="step: factor at each milestone")


class Stage(Section):
    """One part of the training: which player learns, for how long, how fast."""

    train: Literal["detector", "hardener", "both"] = "detector"
    steps: Count
    lr: Positive = Field(description="learning rate for a batch of `lr_batch_size`")
    hardener_lr: Positive | None = Field(default=None, description="that of the hardener; None: the same")
    schedule: ScheduleSpec | None = Field(default=None, description="None: the schedule of the recipe")
    positive_fraction: Fraction | None = Field(default=None, description="of RoIs, in place of roi.positive_fraction")
    sources: Annotated[list[str], Field(min_length=1)] | None = Field(
        default=None, description="of mixed data, those that this stage learns from; None: all"
    )
    loss_factors: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict, description="factors on losses by their names, as {occlusion: 0.01}"
    )
    harden: bool = Field(default=True, description="False: hardener, roi.mining and roi.jitter sit this stage out")


class AffineSpec(Section):
    """A random turn, move and scale; what comes in from outside is black."""

    degrees: Annotated[float, Field(ge=0, le=180)] = Field(default=10.0, description="largest turn")
    shift: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.1, description="largest move, share of each side")
    scale: tuple[Positive, Positive] = Field(default=(0.9, 1.1), description="range of the factor")


class CropSpec(Section):
    """A random part of the image, resized to the whole (Inception's crop, as torchvision has it)."""

    area: tuple[Fraction, Annotated[float, Field(gt=0, le=1)]] = Field(default=(0.08, 1.0), description="share")
    aspect: tuple[Positive, Positive] = Field(default=(3 / 4, 4 / 3), description="width over height")


class AugmentSpec(Section):
    """Random changes of training images; all but `flip` are for classifiers, whose boxes need not follow."""

    flip: bool = Field(default=False, description="mirror every second image, left to right")
    crop: CropSpec | None = None
    affine: AffineSpec | None = None
    erase: Chance | None = Field(default=None, description="chance of random erasing (Zhong et al. 2020)")
    paste: Chance | None = Field(default=None, description="chance of a pattern of the pairs, pasted on the image")
