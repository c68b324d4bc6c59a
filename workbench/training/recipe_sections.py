"""The parts of a recipe as validated data: what it trains on, its stages, steps and changes of images.

Unknown keys are refused with the nearest known one.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from workbench.options import Count, Fraction

Positive = Annotated[float, Field(gt=0)]
Chance = Annotated[float, Field(gt=0, le=1)]
Byte = Annotated[int, Field(ge=0, le=255)]
Turn = Annotated[float, Field(ge=-0.5, le=0.5)]


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
    limit: Count | None = Field(default=None, description="only the first images")


class TestSpec(DataSpec):
    """Data that the finished detector is evaluated on."""

    __test__ = False  # pytest takes every Test* for a test

    split: str = "test"
    audit: dict[str, Any] | None = Field(
        default=None, description="hide objects as well: options of `audit`, and `limit`; {}: as they stand"
    )
    regions: dict[str, Any] | None = Field(
        default=None, description="score given boxes as well: options of `score_regions`, and `limit`"
    )


class ValidationSpec(DataSpec):
    """Data that the detector is evaluated on while it trains."""

    split: str = "val"
    every: Count | None = Field(default=None, description="steps; None: at the end only")


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
    learns: Annotated[list[str], Field(min_length=1)] | None = Field(
        default=None,
        description='of the detector, the parameters that learn, as ["rpn.*"]; None: all that are not frozen',
    )
    harden: bool = Field(default=True, description="False: hardener, augment.hide, roi.mining and roi.jitter sit out")


class AffineSpec(Section):
    """A random turn, move and scale; what comes in from outside is black."""

    degrees: Annotated[float, Field(ge=0, le=180)] = Field(default=10.0, description="largest turn")
    shift: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.1, description="largest move, share of each side")
    scale: tuple[Positive, Positive] = Field(default=(0.9, 1.1), description="range of the factor")


class CropSpec(Section):
    """A random part of the image, resized to the whole (Inception's crop, as torchvision has it)."""

    area: tuple[Fraction, Annotated[float, Field(gt=0, le=1)]] = Field(default=(0.08, 1.0), description="share")
    aspect: tuple[Positive, Positive] = Field(default=(3 / 4, 4 / 3), description="width over height")


class ScaleJitterSpec(Section):
    """Another scale: a random factor of the largest size that fits into `size` (Ghiasi et al. 2021)."""

    size: tuple[Count, Count] = Field(description="height and width in pixels that a factor of 1 fills")
    range: tuple[Positive, Positive] = Field(default=(0.1, 2.0), description="of the factor")


class ShortestSizeSpec(Section):
    """Another scale: the shorter side gets one of several sizes (torchvision's RandomShortestSize)."""

    sizes: Annotated[list[Count], Field(min_length=1)] = Field(description="pixels, each drawn with equal chance")
    longest: Count | None = Field(default=None, description="pixels that the longer side never exceeds")


class FixedSizeSpec(Section):
    """A part of this size, filled up where the image is smaller (torchvision's FixedSizeCrop)."""

    size: tuple[Count, Count] = Field(description="height and width, pixels")
    fill: tuple[Byte, Byte, Byte] = Field(default=(123, 117, 104), description="colour of what is filled up")


class PhotometricSpec(Section):
    """Other colours (Liu et al. 2016, SSD), as torchvision's RandomPhotometricDistort has them."""

    brightness: tuple[Positive, Positive] = Field(default=(0.875, 1.125), description="range of the factor")
    contrast: tuple[Positive, Positive] = Field(default=(0.5, 1.5), description="range of the factor")
    saturation: tuple[Positive, Positive] = Field(default=(0.5, 1.5), description="range of the factor")
    hue: tuple[Turn, Turn] = Field(default=(-0.05, 0.05), description="range of the shift, share of the circle")
    chance: Chance = Field(default=0.5, description="of each of these, and of another order of the channels")


class AugmentSpec(Section):
    """Random changes of training images; colours are changed first, and what is hidden comes last.

    `crop`, `affine`, `erase` and `paste` are for classifiers, whose boxes need not follow; `scale_jitter`,
    `shortest_size` and `fixed_size` are for detectors; the others for both.
    """

    flip: bool = Field(default=False, description="mirror every second image, left to right")
    crop: CropSpec | None = None
    affine: AffineSpec | None = None
    erase: Chance | None = Field(default=None, description="chance of random erasing (Zhong et al. 2020)")
    paste: Chance | None = Field(default=None, description="chance of a pattern of the pairs, pasted on the image")
    scale_jitter: ScaleJitterSpec | None = None
    shortest_size: ShortestSizeSpec | None = None
    fixed_size: FixedSizeSpec | None = None
    photometric: PhotometricSpec | None = None
    hide: dict[str, Any] | list[dict[str, Any]] | None = Field(
        default=None, description="what hides parts of the images, see `workbench.hiders`; several act in order"
    )

    @field_validator("hide", mode="after")
    @classmethod
    def _none_of_several(cls, hide: Any) -> Any:
        return None if hide == [] else hide  # a recipe with a base leaves out what that hides

    @field_validator("scale_jitter", "photometric", mode="after")
    @classmethod
    def _lower_first(cls, spec: Section | None) -> Section | None:
        for name, ends in () if spec is None else spec:
            if name != "size" and isinstance(ends, tuple) and ends[0] > ends[1]:
                details = {"name": name, "ends": list(ends)}
                raise PydanticCustomError("range", "{name} is {ends}; expected the lower value first", details)
        return spec
