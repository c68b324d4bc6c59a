"""The occlusion branch: its loss by hand, what it teaches, what it finds, and the detectors that can have it."""

from __future__ import annotations

import math

import pytest
import torch
from small_detectors import FAST_RCNN, FASTER_RCNN, MASK_RCNN, RETINANET
from torchvision.models.detection.image_list import ImageList

from workbench.detectors import build_detector, load_detector, save_detector
from workbench.detectors.branches.occlusion import OcclusionBranch, covered, inside
from workbench.errors import WorkbenchError
from workbench.types import Detections

BRANCH = {"kind": "occlusion", "layers": [16], "weight": 1e-3, "stride": 4}


def unsure(**options) -> OcclusionBranch:
    """A branch that gives both classes one half everywhere."""
    branch = OcclusionBranch(4, (4, 8), layers=[8], **options)
    torch.nn.init.zeros_(branch.head[-1].weight)
    torch.nn.init.zeros_(branch.head[-1].bias)
    return branch


def seen(height: int = 32, width: int = 40) -> tuple[ImageList, list[torch.Tensor]]:
    """Two images, the second one smaller, and their maps of strides 4 and 8."""
    maps = [torch.rand(2, 4, height // stride, width // stride) for stride in (4, 8)]
    return ImageList(torch.zeros(2, 3, height, width), [(height, width), (24, 32)]), maps


def labelled(size: tuple[int, int], *box: float) -> dict[str, torch.Tensor]:
    boxes = torch.tensor([box]).reshape(-1, 4)
    return {"boxes": boxes, "mask_occluder": torch.zeros(size, dtype=torch.uint8)}


@pytest.mark.parametrize("stride", [4, 16])
def test_the_loss_of_an_unsure_branch_is_ln2_for_each_pixel_of_the_enlarged_boxes(stride):
    branch = unsure(stride=stride, weight=0.5, enlarge=1.5)
    batch, maps = seen()
    # 8 x 12 px become 12 x 18; the box at the corner of the second image is cut off at 0: 15 x 15 of 18 x 18.
    targets = [labelled((32, 40), 10, 8, 18, 20), labelled((24, 32), 0, 0, 12, 12)]
    loss = branch.losses(batch, maps, targets)["occlusion"]
    assert float(loss.detach()) == pytest.approx(0.5 * math.log(2) * (12 * 18 + 15 * 15) / 2, rel=1e-5)
    whole = unsure(stride=stride, weight=0.5, region="image").losses(batch, maps, targets)["occlusion"]
    assert float(whole.detach()) == pytest.approx(0.5 * math.log(2) * (32 * 40 + 24 * 32) / 2, rel=1e-5)


def test_an_image_without_the_label_or_without_objects_counts_as_zero():
    branch = unsure(weight=1.0, enlarge=1)
    batch, maps = seen()
    bare = {"boxes": torch.tensor([[2.0, 2, 30, 20]])}
    loss = branch.losses(batch, maps, [labelled((32, 40), 0, 0, 8, 8), bare])["occlusion"]
    assert float(loss.detach()) == pytest.approx(math.log(2) * 64 / 2, rel=1e-5)
    assert float(branch.losses(batch, maps, [labelled((32, 40)), bare])["occlusion"].detach()) == 0.0


def test_pixels_are_inside_by_their_centres():
    found = inside(torch.tensor([[0.6, 1.0, 2.5, 2.0], [5.0, 0.0, 5.0, 3.0]]), (3, 4))
    assert found.int().tolist() == [[[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]], [[0] * 4] * 3]


@pytest.mark.parametrize("number", [0, 1, 300])
def test_what_boxes_cover_is_what_is_inside_any(number):
    boxes = 40 * torch.rand(number, 4, generator=torch.Generator().manual_seed(number)) - 5  # some without area
    boxes[:, 2:] -= 20 * (torch.arange(number) % 3 > 0)[:, None]
    with torch.autocast("cpu", torch.bfloat16):
        found = covered(boxes, (24, 32))
    assert torch.equal(found, inside(boxes, (24, 32)).any(dim=0))


def test_what_it_finds_is_kept_inside_the_enlarged_boxes():
    branch = OcclusionBranch(1, (4,), layers=[], threshold=0.6)
    with torch.no_grad():
        branch.head[-1].weight[:, 0, 0, 0] = torch.tensor([0.0, 1.0])
        branch.head[-1].bias.zero_()
    maps = torch.full((1, 1, 8, 8), -9.0)
    maps[..., 4:] = 9.0  # the right half of 32 px is occluded
    found = [Detections(torch.tensor([[20.0, 20.0, 40.0, 40.0]]), torch.tensor([1]), torch.tensor([0.9]))]
    branch.extend(found, ImageList(torch.zeros(1, 3, 32, 32), [(32, 32)]), [maps], [(64, 64)])  # shown twice as large
    hidden = found[0].extras["masks_occluder"]
    assert hidden.shape == (1, 64, 64)
    rows, columns = hidden[0].any(1).nonzero()[:, 0], hidden[0].any(0).nonzero()[:, 0]
    assert (int(rows[0]), int(rows[-1]), int(columns[-1])) == (17, 42, 42), "20 px become 26 around 30"
    assert 32 <= int(columns[0]) <= 34


@pytest.fixture(scope="module")
def faces():
    """Four images, each with one bright object whose lower half is dark where something hides it."""
    images, targets = [], []
    for number in range(4):
        image, hidden = 0.2 * torch.rand(3, 64, 64), torch.zeros(64, 64, dtype=torch.bool)
        left = 6 * number
        image[:, 16:48, left : left + 32] = 0.9
        hidden[32:48, left : left + 32] = True
        image[0, hidden] = 0.1
        box = torch.tensor([[left, 16.0, left + 32, 48.0]])
        images.append(image)
        targets.append({"boxes": box, "labels": torch.tensor([1]), "mask_occluder": hidden})
    return images, targets


@pytest.mark.parametrize("config", [FASTER_RCNN, MASK_RCNN, RETINANET, FAST_RCNN], ids=lambda one: one["kind"])
def test_any_detector_with_maps_can_have_it(faces, config, tmp_path):
    torch.manual_seed(0)
    detector = build_detector(config | {"branches": [BRANCH]}, ("face",))
    images, targets = faces
    more = [{"masks": target["mask_occluder"][None], "proposals": target["boxes"]} for target in targets]
    losses = detector.losses(images, [one | two for one, two in zip(targets, more, strict=True)])
    losses["occlusion"].backward(retain_graph=True)
    assert any(one.grad is not None and one.grad.abs().sum() > 0 for one in detector.backbone.parameters())
    given = {"proposals": [target["boxes"] for target in targets]} if detector.needs_proposals else {}
    found = detector.detect(images, **given)
    assert all(one.extras["masks_occluder"].shape == (len(one), 64, 64) for one in found)
    loaded = load_detector(save_detector(detector, tmp_path / "d.safetensors"))
    assert torch.equal(loaded.occlusion_head[0].weight, detector.occlusion_head[0].weight)


def test_images_without_labels_teach_the_branch_nothing_and_the_rest_what_it_learns_anyway(faces):
    images, targets = faces
    bare = [{key: value for key, value in target.items() if key != "mask_occluder"} for target in targets]
    grads = []
    for config in (FASTER_RCNN | {"branches": [BRANCH]}, FASTER_RCNN):
        torch.manual_seed(0)
        detector = build_detector(FASTER_RCNN, ("face",))
        with_branch = build_detector(config, ("face",))
        with_branch.load_state_dict(detector.state_dict(), strict=False)
        with_branch.losses(images, bare, torch.Generator().manual_seed(0)).total.backward()
        grads.append({name: one.grad for name, one in with_branch.named_parameters()})
    own = [grads[0].pop(name) for name in list(grads[0]) if name.startswith("occlusion_head.")]
    assert len(own) == 4
    assert all(torch.equal(one, torch.zeros_like(one)) for one in own)
    assert all(torch.equal(grads[0][name], grads[1][name]) for name in grads[1])


def test_it_learns_where_something_hides_an_object(faces):
    torch.manual_seed(0)
    detector = build_detector(FASTER_RCNN | {"branches": [BRANCH]}, ("face",))
    optimizer = torch.optim.Adam(detector.parameters(), 3e-3)
    images, targets = faces
    for step in range(60):
        optimizer.zero_grad()
        detector.losses(images, targets, torch.Generator().manual_seed(step)).total.backward()
        optimizer.step()
    ious = []
    for found, target in zip(detector.detect(images), targets, strict=True):
        hidden = found.above(0.3).extras["masks_occluder"].any(0)
        truth = target["mask_occluder"]
        ious.append(float((hidden & truth).sum() / (hidden | truth).sum()))
    assert min(ious) > 0.6


@pytest.mark.parametrize(
    ("branches", "said"),
    [
        ([{"kind": "occlusion", "stride": 0}], "detector.branches.0.stride is 0; expected at least 1"),
        ([{"kind": "occlusion", "weight": -1}], r"detector.branches.0.weight is -1; expected at least 0"),
        ([{"kind": "oclusion"}], "did you mean 'occlusion'"),
        ("occlusion", "expected a valid array"),
        (["occlusion", "occlusion"], "has a part 'occlusion_head'"),
    ],
)
def test_what_does_not_fit_is_refused(branches, said):
    with pytest.raises(WorkbenchError, match=said):
        build_detector(FASTER_RCNN | {"branches": branches}, ("face",))
