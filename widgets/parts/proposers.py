"""What proposes: detectors and runs, data with proposals, and functions of an image, each asked in the same way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from widgets.parts.sources import LAST, Source
from workbench.analysis.mask_proposals import ranked_windows
from workbench.data import Dataset
from workbench.detectors.base import Detector, Detects, asked
from workbench.detectors.deep_mask import DeepMask
from workbench.detectors.layers.found_windows import Ranked
from workbench.detectors.load import DetectorLike
from workbench.errors import DataError
from workbench.proposals import searched
from workbench.types import Detections, Proposals

Proposes = Callable[[Tensor], Proposals | Detections | Tensor]  #: of an image uint8 [3, H, W]


class Given:
    """Data or a function in the place of a detector, which has no classes."""

    classes: tuple[str, ...] = ()

    def __init__(self, thing: Dataset | Proposes):
        self.thing = thing


class ProposalSource(Source):
    """What gives proposals: a detector or a `Run` as for `Source`, a `Dataset` with proposals, or a function.

    A detector whose proposals are not its own serves with its detections; one that needs proposals itself gets those
    of a selective search.

    Args:
        thing: one of these.
        data: what the widget leafs through.

    Raises:
        DataError: none of these, or data of other images.
    """

    def __init__(self, thing: DetectorLike | Dataset | Proposes, data: object):
        if isinstance(thing, Dataset):
            _check_same(thing, data)
        if not isinstance(thing, Dataset) and not _is_function(thing):
            super().__init__(thing)
            return
        self.run, self._fixed = None, Given(thing)

    def proposals(self, image: Tensor, index: int, top: int, step: int = LAST) -> tuple[Proposals, Ranked | None]:
        """The best `top` of an image uint8 [3, H, W], on the CPU, and of a DeepMask the windows they are from.

        Args:
            index: of the image in the data.
            step: of a run's checkpoint.

        Raises:
            DataError: data without proposals.
            WorkbenchError: a detector that gives no detections.
        """
        detector = self.detector(step)
        if isinstance(detector, DeepMask):
            ranked = ranked_windows(detector, image, top)
            return ranked.proposals.to("cpu"), ranked
        if isinstance(detector, Given):
            found = _given(detector.thing, image, index)
        elif isinstance(detector, Detector) and not detector.needs_proposals:
            found = detector.proposals([image], top)[0]
        else:
            needed = ([searched(image)],) if getattr(detector, "needs_proposals", False) else ()
            found = asked(detector, Detects).detect([image], *needed)[0]
        return Proposals.of(found).to("cpu").top(top), None


def _is_function(thing: object) -> bool:
    """Whether it is no detector, and can be called; modules can be called as well."""
    return callable(thing) and not isinstance(thing, str | Path | Detector | Detects)


def _check_same(given: Dataset, data: object) -> None:
    """Raise a DataError unless `given` may be of the images of `data`."""
    if not isinstance(data, Dataset):
        raise DataError("data with proposals need data of the same images to leaf through; a single image was given")
    if len(given) != len(data):
        raise DataError(f"the data with proposals have {len(given)} images, those to look at {len(data)}")


def _given(thing: Dataset | Proposes, image: Tensor, index: int) -> Proposals | Detections | Tensor:
    """What data or a function propose for an image."""
    if not isinstance(thing, Dataset):
        return thing(image)
    if (size := tuple(thing.size(index))) != tuple(image.shape[-2:]):
        what = f"{thing.where(index)} has {size[1]} × {size[0]} pixels"
        raise DataError(
            f"{what}, and the image {image.shape[-1]} × {image.shape[-2]}; give proposals of the same images"
        )
    target = thing.target(index)
    if "proposals" not in target:
        raise DataError(f"{thing.where(index)}: there are no proposals; give them by with_proposals(data, ...)")
    return target["proposals"]
