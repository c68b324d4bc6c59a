"""Options from a recipe: wrong names, types and ranges are reported with their key."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np
import pytest
import torch

from workbench.data import load_data
from workbench.detectors import FasterRCNN, build_detector, load_detector, save_detector
from workbench.errors import RecipeError
from workbench.hardeners import build_hardener
from workbench.options import Count, Share, Size, check_options
from workbench.training import Recipe


def made(
    body: object,
    *,
    count: Count = 1,
    share: Share = 0.5,
    sizes: Sequence[Sequence[Size]] | None = None,
    pair: tuple[Count, Count] = (1, 1),
    switch: bool | dict = True,
    name: str | None = None,
    form: Literal["by form"] | int = 1,
) -> None: ...


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"count": 3, "share": 1, "sizes": [[1, 2.5]], "pair": [3, 4], "switch": {"a": 1}, "name": None},
        {"count": np.int64(3), "share": np.float32(0.5), "sizes": np.ones((2, 2)), "pair": range(1, 3)},
        {"sizes": ((1.0,),), "pair": (1, 2), "switch": False, "name": "x", "form": "by form"},
    ],
)
def test_what_fits_is_given_back(options):
    assert check_options("part", made, options, given=("body",)).keys() == options.keys()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("x", r"part is 'x'; expected a section of options"),
        (
            {"cuont": 1},
            r"part\.cuont does not exist \(did you mean .count.\?\); choose from count, share",
        ),
        ({"body": 1}, r"part\.body does not exist"),
        ({"count": 0}, r"part\.count is 0; expected at least 1"),
        ({"count": "3"}, r"part\.count is '3'; expected a valid integer"),
        ({"count": True}, r"part\.count is True; expected a valid integer"),
        ({"count": 4.5}, r"part\.count is 4.5; expected a valid integer"),
        ({"share": 1.5}, r"part\.share is 1.5; expected at most 1"),
        ({"share": float("nan")}, r"part\.share is nan; expected"),
        ({"sizes": [[1, -2]]}, r"part\.sizes is \[\[1, -2\]\]; expected more than 0"),
        ({"pair": 100}, r"part\.pair is 100; expected a valid array"),
        ({"pair": [1, 2, 3]}, r"part\.pair is \[1, 2, 3\]; "),
        ({"switch": "yes"}, r"part\.switch is 'yes'; expected a valid boolean or an object"),
        ({"form": "300"}, r"part\.form is '300'; expected 'by form' or a valid integer"),
        ({"name": list(range(99))}, r"part\.name is \[0, 1, 2, .*\.\.\.; expected a valid string"),
    ],
)
def test_what_does_not_fit_is_told(options, message):
    with pytest.raises(RecipeError, match=message):
        check_options("part", made, options, given=("body",))


def test_types_that_are_not_plain_and_lists_within_themselves():
    def takes(*, network: torch.nn.Module | None = None, later: Unknown = 1, limit: float = None):  # noqa: F821, RUF013
        ...

    assert check_options("part", takes, {"network": None, "later": "x", "limit": None})
    assert check_options("part", partial(made, count=2), {"share": 0.5}) == {"share": 0.5}
    circle: list = []
    circle.append(circle)
    with pytest.raises(RecipeError, match=r"part\.count is \[\[\.\.\.\]\]; expected plain values"):
        check_options("part", made, {"count": circle})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": 0}, r"detector\.channels is 0; expected at least 1"),
        ({"channels": "64"}, r"detector\.channels is '64'"),
        ({"min_size": "None"}, r"detector\.min_size is 'None'; expected a valid integer or a valid array"),
        ({"min_size": -5}, r"detector\.min_size is -5"),
        ({"pool_size": 0}, r"detector\.pool_size is 0"),
        ({"aspect_ratios": [0]}, r"detector\.aspect_ratios is \[0\]; expected more than 0"),
        ({"head": "two-fc"}, r"detector\.head is 'two-fc'; expected an object"),
        ({"head": {"width": "64"}}, r"detector\.head\.width is '64'"),
        ({"backbone": "small"}, r"detector\.backbone is 'small'"),
        ({"backbone": {"name": "smal", "widths": [8]}}, r"detector\.backbone\.name 'smal' does not exist"),
        ({"backbone": {"name": "small", "width": 8}}, r"detector\.backbone\.width does not exist"),
        ({"roi": {"samples": 0}}, r"detector\.roi\.samples is 0"),
        ({"roi": {"positive_fraction": 3}}, r"detector\.roi\.positive_fraction is 3; expected at most 1"),
        ({"roi": {"mining": "ohem"}}, r"detector\.roi\.mining is 'ohem'; expected an object"),
        (
            {"roi": {"mining": {"kind": "ohem", "nmsiou": 1}}},
            r"roi\.mining\.nmsiou is not an option of ohem \(did you",
        ),
        ({"rpn": {"samples": "x"}}, r"detector\.rpn\.samples is 'x'"),
        ({"rpn": {"train_proposals": 100}}, r"detector\.rpn\.train_proposals is 100; expected a valid array"),
    ],
)
def test_every_section_of_a_detector_is_checked(change, message):
    config = {"kind": "faster-rcnn", "backbone": {"name": "small"}, "min_size": None} | change
    with pytest.raises(RecipeError, match=message):
        build_detector(config, ("a", "b"))


def test_options_of_hardeners_are_checked():
    with pytest.raises(RecipeError, match=r"hardener\.share is 'half'; expected a valid number"):
        build_hardener({"kind": "random-dropout", "share": "half"})
    with pytest.raises(RecipeError, match=r"hardener\.kind 'asdn,astn' does not exist"):
        build_hardener("asdn,astn")


@pytest.mark.parametrize("name", Recipe.shipped())
def test_shipped_recipes_pass(name):
    """Loading checks hardener and detector; here only that none of the strict types refuses a shipped one."""
    assert Recipe.load(name).name == name


def test_what_build_makes_can_be_saved_and_loaded(tmp_path):
    torch.manual_seed(0)  # scores of other weights may be so near each other that their order differs
    detector = FasterRCNN.build(("a", "b"), backbone={"name": "small", "widths": [8, 8]}, min_size=None)
    path = save_detector(detector, tmp_path / "q.safetensors")
    again = load_detector(path)
    image, _ = load_data("digit-scenes", length=1)[0]
    torch.testing.assert_close(again.detect([image])[0].boxes, detector.detect([image])[0].boxes)
    assert again.config == detector.config == {
        "kind": "faster-rcnn", "backbone": {"name": "small", "widths": [8, 8]}, "min_size": None,
    }  # fmt: skip
