"""Mask proposals of a pyramid: losses by hand, who learns what, what is proposed, and that it learns."""

from __future__ import annotations

import math

import pytest
import torch
from small_detectors import FPN_MASK
from torch import nn

from workbench.data import load_data
from workbench.data.dataset import Dataset
from workbench.detectors import build_detector, load_detector, save_detector
from workbench.detectors.fpn_mask import FPNMask
from workbench.detectors.layers.window_masks import window_proposals
from workbench.errors import DataError, RecipeError
from workbench.evaluation import evaluate
from workbench.evaluation.proposal_recall import ProposalRecall, proposal_recall
from workbench.proposals import with_proposals
from workbench.training.preflight import check_recipe
from workbench.training.recipe import Recipe
from workbench.training.trainer import train

DIGITS = tuple("0123456789")
LN2 = math.log(2)


def made(**options) -> FPNMask:
    torch.manual_seed(0)
    return build_detector(FPN_MASK | options, DIGITS).eval()


def unsure(**options) -> FPNMask:
    """One that says the same everywhere: score and masks of one half, until their biases are set."""
    detector = made(**options)
    for mlp in detector.head.mlps:
        for layer in (mlp.score, mlp.mask):
            nn.init.zeros_(layer.weight)
    return detector


def set_bias(detector: FPNMask, part: str, value: float | torch.Tensor) -> None:
    for mlp in detector.head.mlps:
        with torch.no_grad():
            getattr(mlp, part).bias.copy_(torch.as_tensor(value).expand_as(getattr(mlp, part).bias))


def scenes(length: int = 2) -> Dataset:
    return load_data("digit-scenes", split="train", length=length, size=64)


def samples(length: int = 2) -> tuple[list, list]:
    images, targets = zip(*(scenes(length)[i] for i in range(length)), strict=True)
    return list(images), [dict(target) for target in targets]


def losses(detector: FPNMask, images: list, targets: list):
    return detector.losses(images, targets, torch.Generator().manual_seed(0))


def square(label: int = 1) -> dict[str, torch.Tensor]:
    """An object of 16 x 16 px, whose centre is that of a cell: (30, 30)."""
    mask = torch.zeros(1, 64, 64, dtype=torch.bool)
    mask[0, 22:38, 22:38] = True
    return {"boxes": torch.tensor([[22.0, 22, 38, 38]]), "labels": torch.tensor([label]), "masks": mask}


EMPTY = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long), "masks": torch.zeros(0, 64, 64)}
GREY = torch.full((3, 64, 64), 0.5)


def test_losses_by_hand():
    """Nine cells have the object, and the rest of 36 samples has none. A region of 20 px in 10 cells of 2 px."""
    detector = unsure(samples=36, mask_size=10, mask_weight=3.0)
    found = losses(detector, [GREY], [square()])
    assert set(found) == {"score", "mask"}
    assert found["score"].item() == pytest.approx(LN2)
    assert found["mask"].item() == pytest.approx(3 * LN2)
    set_bias(detector, "score", math.log(3))  # a quarter of the samples is right
    assert losses(detector, [GREY], [square()])["score"].item() == pytest.approx(
        -(9 * math.log(0.75) + 27 * math.log(0.25)) / 36
    )
    set_bias(detector, "mask", 100.0)  # which costs 100 in each cell of the background
    share = (7 + 8 + 7) ** 2 / 900  # rows and columns of the object in the regions of the three rows and columns
    assert losses(detector, [GREY], [square()])["mask"].item() == pytest.approx(300 * (1 - share), rel=1e-5)


def test_without_objects_the_score_alone_learns():
    detector = made()
    losses(detector, [GREY, GREY + 0.1], [EMPTY, EMPTY]).total.backward()
    for mlp in detector.head.mlps:
        assert not mlp.mask.weight.grad.any()
        assert not mlp.mask.bias.grad.any()
        assert mlp.score.weight.grad.any()
        assert mlp.hidden.weight.grad.any()
    assert all(parameter.grad is not None for parameter in detector.parameters())


def test_with_objects_masks_learn_where_they_are():
    """The object has the scale of the 5 x 5 window, so the other learns the score only."""
    detector = made()
    losses(detector, [GREY], [square()]).total.backward()
    small, large = detector.head.mlps
    assert small.mask.weight.grad.any()
    assert not large.mask.weight.grad.any()
    assert large.score.weight.grad.any()


def test_an_object_without_a_mask_teaches_the_score_only():
    detector = made()
    images, targets = [GREY, GREY], [square(), square(2)]
    whole = losses(detector, images, targets)
    targets[1]["masks"] = targets[1]["masks"] & False
    half = losses(detector, images, targets)
    assert half["score"] == whole["score"]
    assert half["mask"].item() == pytest.approx(losses(detector, [GREY], [square()])["mask"].item())
    none = losses(detector, [GREY], [square() | {"masks": torch.zeros(1, 64, 64)}])
    none.total.backward()
    assert none["mask"] == 0
    assert none["score"] == losses(detector, [GREY], [square()])["score"]
    assert not any(mlp.mask.weight.grad.any() for mlp in detector.head.mlps)


@pytest.mark.parametrize("flag", ["difficult", "iscrowd"])
def test_difficult_objects_and_crowds_are_left_out(flag):
    detector, (images, targets) = made(), samples()
    for target in targets:
        target[flag] = torch.arange(len(target["labels"])) % 2 == 0
    given = losses(detector, images, targets)
    for target in targets:
        keep = ~target[flag]
        target |= {key: target[key][keep] for key in ("boxes", "labels", "masks")}
        del target["difficult"], target["iscrowd"]
    left = losses(detector, images, targets)
    assert all(torch.equal(given[name], left[name]) for name in given)


def test_visible_or_amodal_masks():
    """Each looks at its own key alone."""
    images, targets = samples()
    found = {}
    for learn, key, other in (("visible", "masks", "masks_amodal"), ("amodal", "masks_amodal", "masks")):
        detector = made(learn=learn)
        assert (detector.needs_labels, detector.mask_key) == ((key,), key)
        given = [target | {other: torch.zeros(1), key: torch.ones_like(target[key])} for target in targets]
        found[learn] = losses(detector, images, given)["mask"].item()
    assert found["visible"] == found["amodal"]


def test_it_learns_the_same_in_both_modes_and_from_images_of_any_size():
    images, targets = samples()
    images.append(torch.rand(3, 50, 90, generator=torch.Generator().manual_seed(0)))
    targets.append({key: torch.zeros(0, *size) for key, size in {"boxes": (4,), "masks": (50, 90)}.items()})
    targets[-1]["labels"] = torch.zeros(0, dtype=torch.long)
    detector = made()
    looking = losses(detector, images, targets)
    assert all(value.isfinite() for value in looking.values())
    for module in detector.modules():
        module.training = not isinstance(module, nn.BatchNorm2d)
    learning = losses(detector, images, targets)
    assert all(torch.equal(learning[name], looking[name]) for name in looking)


def test_proposals_are_the_best_places_with_the_masks_of_the_networks():
    detector = made()
    (image,), _ = samples(1)
    for mlp in detector.head.mlps:
        nn.init.normal_(mlp.mask.weight, std=0.5)
    with torch.no_grad():
        batch = detector.prepare([image])
        maps = detector.maps(batch)
        places, scores = detector.windows.places(maps), detector.head(maps)[0].sigmoid()
        dense = [mlp.mask(torch.relu(mlp.hidden(level)))[0] for level in maps for mlp in detector.head.mlps]
        masks = torch.cat([each.flatten(1) for each in dense], dim=1).T.unflatten(1, (14, 14))
    (found,) = detector.proposals([image], 40)
    best = scores.topk(40).indices
    wanted = window_proposals(masks[best], places.take(best).regions(), scores[best], (64, 64))
    assert len(found) == len(wanted) > 20
    torch.testing.assert_close(found.scores, wanted.scores, atol=1e-5, rtol=0)
    differ = (found.decode_masks() != wanted.decode_masks()).float().mean()
    assert differ < 1e-4, "but for pixels at the threshold"


def test_proposals_lie_in_pixels_of_the_image_as_given():
    """Masks that are full cover their regions: 20 px and 28 px at the finest level of the network's input."""
    detector = unsure(min_size=128, max_size=256)
    set_bias(detector, "mask", 9.0)
    (found,) = detector.proposals([torch.rand(3, 64, 64)], 10**6)
    assert len(found) == 2 * (32**2 + 16**2 + 8**2), "all places of an input of 128 px"
    height, width = (found.boxes[:, i + 2] - found.boxes[:, i] for i in (0, 1))
    sides = [side * math.sqrt(2) ** i for side in (10, 20, 40) for i in (0, 1)]
    inner = (found.boxes > 0).all(dim=1) & (found.boxes < 64).all(dim=1)
    assert inner.sum() > 1000
    assert all(min(abs(side - one) for one in sides) <= 1 for side in height[inner].unique().tolist())
    assert ((height - width)[inner].abs() <= 1).all()
    assert found.boxes.min() == 0
    assert found.boxes.max() == 64


def test_what_fills_up_a_batch_is_not_proposed():
    detector = unsure()
    set_bias(detector, "mask", 9.0)
    small, large = torch.rand(3, 32, 40), torch.rand(3, 96, 64)
    alone, together = detector.proposals([small], 10**6)[0], detector.proposals([large, small], 10**6)[1]
    assert len(alone) == len(together) == 2 * (8 * 10 + 4 * 5 + 2 * 3)
    assert together.boxes.max() <= 40
    assert [len(one) for one in detector.proposals([large, small], 7)] == [7, 7]
    assert detector.proposals([], 7) == []


def test_masks_without_a_pixel_are_left_out():
    detector = unsure()
    set_bias(detector, "mask", -9.0)
    (found,) = detector.proposals([GREY], 20)
    assert len(found) == 0
    assert found.masks == []


@pytest.mark.parametrize("windows", [[5], [7], [5, 7]])
def test_it_learns_to_propose_masks(windows, tmp_path):
    """In forty steps on four scenes the loss falls by half, and masks reach objects that they did not reach."""
    data, (images, targets) = scenes(4), samples(4)
    detector = made(windows=windows, width=64).train()
    before = proposed(detector, data, tmp_path)
    optimizer = torch.optim.AdamW(detector.parameters(), 5e-3)
    generator, totals = torch.Generator().manual_seed(0), []
    for _ in range(40):
        optimizer.zero_grad()
        found = detector.losses(images, targets, generator)
        found.total.backward()
        optimizer.step()
        totals.append(found.total.item())
    assert sum(totals[-5:]) < 0.5 * sum(totals[:5])
    after = proposed(detector, data, tmp_path)
    assert after > before + 0.3


def proposed(detector: FPNMask, data: Dataset, folder) -> float:
    """Recall of the masks of objects at IoU 0.5 by 200 proposals per image."""
    name = save_detector(detector, folder / "detector.safetensors")
    given = with_proposals(data, kind="detector", name=name, top=200, cache=folder / "cache")
    return proposal_recall(given, iou_type="segm").table().loc["all", "recall@0.5"]


def test_saved_and_loaded(tmp_path):
    detector = made(windows=[7], mask_size=28, learn="amodal")
    again = load_detector(save_detector(detector, tmp_path / "a.safetensors"))
    assert again.mask_key == "masks_amodal"
    (image,), _ = samples(1)
    one, other = (each.proposals([image], 20)[0] for each in (detector, again))
    assert torch.equal(one.boxes, other.boxes)
    assert torch.equal(one.scores, other.scores)
    assert one.masks == other.masks


def test_it_is_judged_by_the_recall_of_its_proposals():
    result = evaluate(made(), scenes(1), progress=False)
    assert isinstance(result, ProposalRecall)
    assert result.masks.iou_type == "segm"


def test_missing_masks_are_named():
    target = {key: square()[key] for key in ("boxes", "labels")} | {"image_id": 7}
    with pytest.raises(DataError, match=r'image 7 has no target\["masks"\], and the detector learns masks'):
        made().losses([GREY], [target])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"windows": [5, 3]}, r"detector\.windows is \[5, 3\]; expected 5 or 7"),
        ({"windows": []}, r"detector\.windows is \[\]; expected .*at least 1"),
        ({"windows": [7, 7]}, r"detector\.windows is \[7, 7\]; expected each size once"),
        ({"finest_scale": 0}, r"detector\.finest_scale is 0; expected more than 0"),
        ({"padding": 0.9}, r"detector\.padding is 0\.9; expected at least 1"),
        ({"mask_size": 0}, r"detector\.mask_size is 0; expected at least 1"),
        ({"width": "wide"}, r"detector\.width is 'wide'"),
        ({"positive_fraction": 2}, r"detector\.positive_fraction is 2; expected at most 1"),
        ({"mask_weight": -1}, r"detector\.mask_weight is -1; expected at least 0"),
        ({"threshold": 1}, r"detector\.threshold is 1; expected less than 1"),
        ({"learn": "hidden"}, r"detector\.learn is 'hidden'; expected 'visible' or 'amodal'"),
        ({"window": [5]}, r"detector\.window is not an option of fpn-mask \(did you mean 'windows'\?\)"),
    ],
)
def test_bad_options_are_named(change, message):
    with pytest.raises(RecipeError, match=message):
        build_detector(FPN_MASK | change, DIGITS)


@pytest.mark.parametrize("pyramid", [False, {"finest": True}, {"top_down": False}])
def test_it_works_on_what_is_left_of_a_pyramid(pyramid):
    detector = made(pyramid=pyramid, finest_scale=None)
    images, targets = samples()
    losses(detector, images, targets).total.backward()
    assert detector.windows.scales[0] == 8 * detector.windows.strides[0]
    assert len(detector.proposals(images, 5)) == 2


def test_the_paper_s_network():
    """d = 128, P2 to P6, hidden layers of 512, masks of 14 x 14."""
    recipe = Recipe.load("fpn-mask/coco")
    with torch.device("meta"):
        detector = build_detector(recipe.detector, ("a",), pretrained=False)
        maps = detector.backbone(torch.zeros(1, 3, 256, 320))
    assert [one.shape[1:] for one in maps] == [(128, 256 // stride, 320 // stride) for stride in (4, 8, 16, 32, 64)]
    assert detector.windows.scales[::2] == [32, 64, 128, 256, 512]
    assert [mlp.hidden.weight.shape for mlp in detector.head.mlps] == [(512, 128, 5, 5), (512, 128, 7, 7)]
    assert [mlp.mask.weight.shape for mlp in detector.head.mlps] == [(196, 512, 1, 1)] * 2
    assert Recipe.load("fpn-mask/coco+28").detector["mask_size"] == 28
    long = Recipe.load("fpn-mask/coco+28-2x")
    assert (long.steps, long.schedule.milestones) == (2 * recipe.steps, [120000])


def test_a_recipe_is_looked_at_before_it_trains():
    """There are no anchors to hold against the objects; masks must be there."""
    recipe = Recipe.load("fpn-mask/digits").replace({"data.options": {"length": 8}})
    assert [problem for problem in check_recipe(recipe).problems if problem.level == "error"] == []


def test_a_recipe_trains(tmp_path):
    """Two steps, with a factor for a loss; what the run has saved proposes masks."""
    few = {"data.options": {"length": 4, "size": 64}, "batch_size": 2, "detector.width": 16}
    stage = {"train": "detector", "steps": 2, "lr": 1e-3, "loss_factors": {"score": 0.5}}
    recipe = Recipe.load("fpn-mask/digits").replace({**few, "stages": [stage]})
    assert train(recipe, tmp_path / "run")
    given = with_proposals(scenes(1), kind="detector", name=tmp_path / "run", top=30, cache=tmp_path / "cache")
    assert len(given.target(0)["proposals"].decode_masks()) > 0
