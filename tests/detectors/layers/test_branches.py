"""Branches of one's own, on RoIs and on whole images: losses, additions to detections, names, and labels."""

from __future__ import annotations

import copy
import inspect

import pytest
import torch
from small_detectors import FASTER_RCNN, MASK_RCNN, RETINANET
from torch import nn
from torch.nn import functional as F
from torchvision.models.detection.roi_heads import expand_boxes
from torchvision.ops import roi_align

from workbench.detectors import build_detector, load_detector, rcnn, retinanet, save_detector
from workbench.detectors.layers import roi_head
from workbench.detectors.layers.branches import ImageBranch, RoIBranch, RoISamples
from workbench.errors import DataError, WorkbenchError
from workbench.training.stepping.batches import flip_horizontally

RETINA = RETINANET | {"score_threshold": 0.0}
TWO_STAGE = FASTER_RCNN | {"roi": {"samples": 16, "score_threshold": 0.0}}
MASKED = MASK_RCNN | {"roi": TWO_STAGE["roi"]}
ENLARGED = 1.5


class Shapes(RoIBranch):
    """How much wider than high each object is, as a logarithm."""

    def __init__(self, channels: int):
        self.read = nn.Linear(channels, 1)

    @property
    def parts(self):
        return {"shape_head": self.read}

    def predict(self, features, boxes):
        pooled = roi_align(features[0], boxes, 1, spatial_scale=1 / 4)
        return self.read(pooled.flatten(1))[:, 0]

    def losses(self, features, rois, targets):
        rois = rois.objects()
        sides = torch.cat(rois.truth)[:, 2:] - torch.cat(rois.truth)[:, :2]
        goals = (sides[:, 0] / sides[:, 1]).log()
        return {"shape": F.mse_loss(self.predict(features, rois.boxes), goals, reduction="sum") / max(1, len(goals))}

    def extend(self, found, features, boxes, sizes):
        values = self.predict(features, boxes).split([len(box) for box in boxes])
        for detections, value in zip(found, values, strict=True):
            detections.extras["shape"] = value


class Hidden(ImageBranch):
    """Where something hides the objects, from the finest map; shown around each detection."""

    learns_from = ("mask_hidden",)
    needs_every_image = False

    def __init__(self, channels: int):
        self.read = nn.Conv2d(channels, 1, 1)

    @property
    def parts(self):
        return {"hidden_head": self.read}

    def predict(self, batch, features):
        logits = self.read(features[0])
        return F.interpolate(logits, batch.tensors.shape[-2:], mode="bilinear")[:, 0]

    def losses(self, batch, features, targets):
        total, count = 0.0 * self.read.bias.sum(), 0
        for logits, target, (height, width) in zip(
            self.predict(batch, features), targets, batch.image_sizes, strict=True
        ):
            if "mask_hidden" in target:
                assert target["mask_hidden"].shape == (height, width)
                total = total + F.binary_cross_entropy_with_logits(
                    logits[:height, :width], target["mask_hidden"].float()
                )
                count += 1
        return {"hidden": total / max(1, count)}

    def extend(self, found, batch, features, sizes):
        maps = self.predict(batch, features).sigmoid()
        parts = zip(found, maps, batch.image_sizes, sizes, strict=True)
        for detections, chances, (height, width), size in parts:
            whole = F.interpolate(chances[None, None, :height, :width], size, mode="bilinear")
            around = expand_boxes(detections.boxes, ENLARGED)
            detections.extras["hidden"] = roi_align(whole, [around], 8, aligned=True)[:, 0]


def scene(size: int = 64, labelled: bool = True):
    """An image with one object, whose lower half is white where something hides it."""
    generator = torch.Generator().manual_seed(0)
    image = 0.3 * torch.rand(3, size, size, generator=generator)
    hidden = torch.zeros(size, size, dtype=torch.bool)
    hidden[size // 2 : size * 3 // 4, size // 4 : size * 3 // 4] = True
    image[:, hidden] = 1.0
    edge = size // 4
    box = torch.tensor([[edge, edge, 3 * edge, 3 * edge]], dtype=torch.float32)
    target = {"boxes": box, "labels": torch.tensor([1])}
    return image, target | ({"mask_hidden": hidden} if labelled else {})


def made(config: dict, *, on_rois: bool = False):
    torch.manual_seed(0)
    detector = build_detector(config, ("a", "b"))
    torch.manual_seed(1)
    detector.add_branch(Hidden(16))
    if on_rois:
        detector.roi_heads.add_branch(Shapes(16))
    return detector


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("config", [TWO_STAGE, MASKED, RETINA], ids=lambda config: config["kind"])
def test_a_branch_adds_its_losses_and_changes_no_other(config):
    image, target = scene()
    target["masks"] = torch.ones(1, 64, 64, dtype=torch.bool)
    two_stage = config is not RETINA
    detector = made(config, on_rois=two_stage)
    torch.manual_seed(0)
    plain = build_detector(config, ("a", "b")).losses([image], [target], generator())
    found = detector.losses([image], [target], generator())
    assert set(found) - set(plain) == ({"hidden", "shape"} if two_stage else {"hidden"})
    assert list(plain) == [name for name in found if name in plain], "in the same order"
    for name, value in plain.items():
        assert torch.equal(found[name], value)


@pytest.mark.parametrize("config", [TWO_STAGE, RETINA], ids=lambda config: config["kind"])
def test_a_step_of_training_lowers_the_losses_of_branches(config):
    image, target = scene()
    detector = made(config, on_rois=config is TWO_STAGE)
    holders = [detector] if config is RETINA else [detector, detector.roi_heads]
    parts = [part for holder in holders for branch in holder.branches for part in branch.parts.values()]
    optimizer = torch.optim.SGD([p for part in parts for p in part.parameters()], 1e-2)
    before = detector.losses([image], [target], generator())
    optimizer.zero_grad()
    before.total.backward()
    assert all(parameter.grad is not None for parameter in detector.parameters())
    optimizer.step()
    after = detector.losses([image], [target], generator())
    for name in set(before) & {"hidden", "shape"}:
        assert float(after[name].detach()) < float(before[name].detach())


@pytest.mark.parametrize("config", [TWO_STAGE, RETINA], ids=lambda config: config["kind"])
@pytest.mark.parametrize("min_size", [None, 96])
def test_detections_have_what_the_branches_have_learned(config, min_size):
    """Also where the network sees the image, and with it the labels, at another size."""
    image, target = scene()
    detector = made(config | {"min_size": min_size, "max_size": 200}, on_rois=config is TWO_STAGE)
    optimizer = torch.optim.Adam(detector.parameters(), 5e-3)
    for _ in range(40):
        optimizer.zero_grad()
        detector.losses([image], [target], generator()).total.backward()
        optimizer.step()
    (found,) = detector.detect([image])
    assert len(found) > 0
    assert found.extras["hidden"].shape == (len(found), 8, 8)
    around = expand_boxes(found.boxes, ENLARGED)
    want = roi_align(target["mask_hidden"][None, None].float(), [around], 8, aligned=True)[:, 0]
    clear = (want - 0.5).abs() > 0.4
    assert want[clear].max() > 0.9
    assert float(((found.extras["hidden"] > 0.5) == (want > 0.5))[clear].float().mean()) > 0.9
    if config is TWO_STAGE:
        assert found.extras["shape"].shape == (len(found),)
    some = found.above(float(found.scores.median()))
    assert 0 < len(some) < len(found)
    assert torch.equal(some.extras["hidden"], found.extras["hidden"][found.scores >= found.scores.median()])


def test_images_without_labels_teach_nothing_but_leave_gradients():
    images, targets = zip(scene(labelled=False), scene(), strict=True)
    detector = made(TWO_STAGE).eval()
    losses = detector.losses(images[:1], targets[:1], generator())
    assert float(losses["hidden"].detach()) == 0
    losses.total.backward()
    assert detector.hidden_head.bias.grad == 0
    both = detector.losses(images, targets, generator())["hidden"]
    alone = detector.losses(images[1:], targets[1:], generator())["hidden"]
    torch.testing.assert_close(both, alone)


def test_the_parts_have_the_names_that_the_branch_gives_them(tmp_path):
    detector = made(MASKED, on_rois=True)
    names = set(detector.state_dict())
    assert "roi_heads.mask_predictor.mask_fcn_logits.bias" in names, "as in torchvision"
    assert not any("branch" in name for name in names)
    plain = build_detector(MASKED, ("a", "b"))
    assert names - set(plain.state_dict()) == {
        f"{part}.{kind}" for part in ("hidden_head", "roi_heads.shape_head") for kind in ("weight", "bias")
    }
    loaded = load_detector(save_detector(plain, tmp_path / "plain.safetensors"))
    assert set(loaded.state_dict()) == set(plain.state_dict())


def test_a_copy_has_branches_of_its_own():
    detector = made(TWO_STAGE, on_rois=True)
    twin = copy.deepcopy(detector)
    assert twin.branches[0].read is twin.hidden_head
    assert twin.hidden_head is not detector.hidden_head
    assert twin.roi_heads.branches[0].read is twin.roi_heads.shape_head


def test_a_name_that_is_taken_is_refused():
    detector = made(TWO_STAGE)
    with pytest.raises(WorkbenchError, match="Hidden has a part 'hidden_head', and FasterRCNN has that name already"):
        detector.add_branch(Hidden(16))
    assert len(detector.branches) == 1


class Copy(ImageBranch):
    """A branch with whatever losses, and a part of whatever name; it shows what it is given."""

    def __init__(self, losses: dict[str, float], part: str = "copy_head", shows: str | None = None):
        self.values, self.part, self.shows = losses, {part: nn.Linear(2, 2)}, shows

    @property
    def parts(self):
        return self.part

    def losses(self, *seen):
        return {name: torch.tensor(value) for name, value in self.values.items()}

    def extend(self, found, *seen):
        for detections in found if self.shows else ():
            detections.extras[self.shows] = torch.zeros(len(detections))


@pytest.mark.parametrize("name", ["classifier", "objectness", "hidden", "total"])
def test_a_loss_of_a_name_that_is_taken_is_refused(name):
    image, target = scene()
    detector = made(TWO_STAGE)
    detector.add_branch(Copy({name: 1.0}))
    with pytest.raises(WorkbenchError, match=f"a Copy has a loss '{name}', and there is one of that name already"):
        detector.losses([image], [target], generator())


@pytest.mark.parametrize("name", ["objectness", "hidden"])
def test_so_is_one_of_a_branch_on_rois(name):
    image, target = scene()
    detector = made(TWO_STAGE)
    detector.roi_heads.add_branch(Copy({name: 1.0}))
    with pytest.raises(WorkbenchError, match=f"has a loss '{name}', and there is one of that name already"):
        detector.losses([image], [target], generator())


def test_what_another_branch_has_added_is_not_replaced():
    image, _ = scene()
    detector = made(TWO_STAGE)
    detector.add_branch(Copy({}, shows="other"))
    assert set(detector.detect([image])[0].extras) == {"hidden", "other"}
    detector.add_branch(Copy({}, part="again", shows="hidden"))
    with pytest.raises(WorkbenchError, match="a Copy replaces 'hidden' of the detections"):
        detector.detect([image])


@pytest.mark.parametrize("losses", [{}, {"copy": 0.0}, {"copy": 2.0, "more": 1.0}], ids=str)
@pytest.mark.parametrize("config", [TWO_STAGE, RETINA], ids=lambda config: config["kind"])
def test_all_parameters_get_a_gradient_whatever_a_branch_gives(config, losses):
    """Else processes that train together would wait for each other where one has no labels in its batch."""
    image, target = scene()
    torch.manual_seed(0)
    detector = build_detector(config, ("a", "b"))
    holders = [detector] if config is RETINA else [detector, detector.roi_heads]
    plain = detector.losses([image], [target], generator())
    for number, holder in enumerate(holders):
        holder.add_branch(Copy({f"{name}{number}": value for name, value in losses.items()}))
    found = detector.losses([image], [target], generator())
    found.total.backward()
    assert all(parameter.grad is not None for parameter in detector.parameters())
    assert detector.copy_head.weight.grad.eq(0).all()
    for name, value in plain.items():
        assert torch.equal(found[name], value), "and no loss changes"


def test_a_detector_asks_its_branches_what_they_learn_and_give():
    detector = made(TWO_STAGE, on_rois=True)
    assert (detector.needs_labels, detector.mask_key) == ((), None), "labels of what hides are not needed"
    assert made(MASKED).needs_labels == ("masks",)
    assert made(MASKED).mask_key == "masks"
    amodal = MASKED | {"mask": MASKED["mask"] | {"learn": "amodal"}}
    assert made(amodal).mask_key == "masks_amodal"
    detector.branches[0].needs_every_image = True
    assert detector.needs_labels == ("mask_hidden",)


def test_the_labels_must_fit_the_image():
    image, target = scene()
    detector = made(TWO_STAGE)
    with pytest.raises(DataError, match=r"mask_hidden have shape \(1, 64, 64\), expected \(64, 64\)"):
        detector.losses([image], [target | {"mask_hidden": target["mask_hidden"][None]}])


def test_labels_that_every_image_needs_are_missed(monkeypatch):
    monkeypatch.setattr(Hidden, "needs_every_image", True)
    image, target = scene(labelled=False)
    with pytest.raises(DataError, match=r'image 0 has no target\["mask_hidden"\], and .* learns mask_hidden'):
        made(TWO_STAGE).losses([image], [target])


def test_pixels_of_the_image_are_resized_and_mirrored_with_it():
    image, target = scene()
    detector = made(TWO_STAGE | {"min_size": 128, "max_size": 200})
    seen = []
    kept = detector.branches[0].losses
    detector.branches[0].losses = lambda *given: seen.append(given[2]) or kept(*given)
    detector.losses([image], [target], generator())
    big = target["mask_hidden"].repeat_interleave(2, 0).repeat_interleave(2, 1)
    assert torch.equal(seen[0][0]["mask_hidden"].bool(), big)
    _, mirrored = flip_horizontally(image, target)
    assert torch.equal(mirrored["mask_hidden"], target["mask_hidden"].flip(-1))


def test_samples_keep_their_rows_together():
    boxes = torch.arange(16.0).view(4, 4)
    samples = RoISamples([boxes], [torch.tensor([0, 2, 0, 1])], [boxes + 1], [torch.tensor([0, 1, 0, 2])])
    objects = samples.objects()
    assert torch.equal(objects.boxes[0], boxes[[1, 3]])
    assert torch.equal(objects.truth[0], boxes[[1, 3]] + 1)
    assert objects.labels[0].tolist() == [2, 1]
    assert objects.owners[0].tolist() == [1, 2]


@pytest.mark.parametrize("module", [roi_head, rcnn, retinanet], ids=lambda module: module.__name__)
def test_who_holds_branches_knows_none_by_name(module):
    assert "mask" not in inspect.getsource(module).replace("Mask R-CNN", "").lower()
