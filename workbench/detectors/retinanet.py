"""RetinaNet: one stage, dense anchors, focal loss (Lin et al. 2017; Lin's thesis, ch. 5); forms: `retina_forms`.

Parameters have torchvision's names: state dicts of `retinanet_resnet50_fpn` and `retinanet_resnet50_fpn_v2` load into
the forms `torchvision` and `torchvision-v2`, both ways, and give the same detections and losses.

Hardeners need RoIs, and here there are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection._utils import BoxCoder, Matcher
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import resize_boxes
from torchvision.ops import clip_boxes_to_image

from workbench.detectors.base import Detector, evaluating
from workbench.detectors.branches.build import Branches, add_branches
from workbench.detectors.layers.branches import HoldsBranches, ImageBranch
from workbench.detectors.layers.dense_anchors import AnchorScores, Assignment, Selection, assign, best_logits
from workbench.detectors.layers.inputs import check_batch, is_empty
from workbench.detectors.layers.matching import overlaps
from workbench.detectors.layers.proposing import SeesAnchors
from workbench.detectors.layers.retina_forms import BY_FORM, ByForm, Form, with_form
from workbench.detectors.layers.retina_head import (
    BoxLoss,
    Subnets,
    build_anchors,
    build_box_loss,
    build_upper_pyramid,
    octaves,
)
from workbench.detectors.layers.trunk import Resize, build_transform
from workbench.errors import RecipeError
from workbench.losses import (
    AnchorLoss,
    AnchorOHEM,
    anchor_losses,
    build_anchor_loss,
    build_anchor_mining,
    build_normaliser,
    focal_loss,
)
from workbench.options import Count, Fraction, Share, Size
from workbench.registry import DETECTORS
from workbench.types import Detections, Losses, Proposals, Target

CODER = BoxCoder(weights=(1.0, 1.0, 1.0, 1.0))


@DETECTORS.register("retinanet")
class RetinaNet(HoldsBranches[ImageBranch], SeesAnchors, Detector):
    """One-stage detector; build one with `RetinaNet.build`.

    Args:
        backbone: images → list of maps, fine to coarse.
        head: maps → logits and deltas of each level.
        anchor_generator: torchvision's, or `ExactAnchors`.
        transform: resizes, normalises and batches the images.
        classes: names of labels 1..K.
        matcher: which anchors are objects and which background.
        selection: which anchors become detections.
        loss, box_loss: of one anchor.
        normaliser: counts of positive anchors [B] → factors [B] of the images' losses.
        mining: which anchors count; None: all.
        background_logit: the first logit of each anchor stands for background, and is always taught to be absent.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: Subnets,
        anchor_generator: AnchorGenerator,
        transform: Resize,
        classes: Sequence[str],
        *,
        matcher: Matcher,
        selection: Selection,
        loss: AnchorLoss,
        box_loss: BoxLoss,
        normaliser: nn.Module,
        mining: AnchorOHEM | None = None,
        background_logit: bool = False,
    ):
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.anchor_generator = anchor_generator
        self.transform = transform
        self.classes = tuple(classes)
        self.matcher, self.selection = matcher, selection
        self.loss, self.box_loss = loss, box_loss
        self.normaliser, self.mining = normaliser, mining
        self.first_class = int(background_logit)  #: the logit of label 1

    @classmethod
    def build(
        cls,
        classes: Sequence[str],
        *,
        form: Form = "thesis",
        backbone: dict | None = None,
        channels: Count | None = None,
        finest_stride: Count = 8,
        anchor_sizes: Sequence[Sequence[Size]] | None = None,
        scales: Count = 3,
        aspect_ratios: Sequence[Size] = (0.5, 1.0, 2.0),
        min_size: Count | Sequence[Count] | ByForm | None = BY_FORM,
        max_size: Count | ByForm | None = BY_FORM,
        prior: Fraction = 0.01,
        loss: dict | None = None,
        mining: dict | None = None,
        normaliser: str | dict = BY_FORM,
        box_loss: dict | str = BY_FORM,
        p6_from: str = BY_FORM,
        exact_anchors: bool | ByForm = BY_FORM,
        background_logit: bool | ByForm = BY_FORM,
        head_norm: str | None = BY_FORM,
        positive_iou: Share = 0.5,
        negative_iou: Share = 0.4,
        score_threshold: Share = 0.05,
        candidates: Count = 1000,
        nms_iou: Share = 0.5,
        max_detections: Count | ByForm = BY_FORM,
        branches: Branches | None = None,
    ) -> RetinaNet:
        """A RetinaNet from plain values, as a recipe gives them.

        Args:
            form: one of `FORMS`; what it says can be said otherwise by the option of that name.
            backbone: {"name": "small" | "resnet18" ... "resnext101_64x4d", and its options}.
            channels: of pyramid and subnets; 256 for ResNets, 96 for the small one.
            finest_stride: of the first level, P3's 8 in Lin's thesis. Two levels come on top of the backbone's.
            anchor_sizes: per level, sides in pixels of the network's input; None: 4 strides by `scales` per octave.
            aspect_ratios: height over width.
            min_size, max_size: pixels; images are resized to this short side, but never above this long side.
                None for `min_size` keeps every image as it is.
            prior: probability of each class before training; 0.5 is the usual initialisation.
            loss: of the classes, see `losses.focal`: {"kind": "focal", "gamma": 2.0, "alpha": 0.25}.
            mining: {"kind": "ohem" or "ohem-1:3", ...} learns from the hardest anchors only, see `losses.mining`.
                The losses are then means over these, and there is no normaliser.
            normaliser: "image", "batch" or "moving-average", see `losses.normalisers`.
            p6_from: "c5" or "p5", the map that P6 is made from.
            exact_anchors: anchors of exactly these sizes; False rounds them to whole pixels, as torchvision does.
            background_logit: one more logit of each anchor, which is not used, as in torchvision's weights.
            head_norm: "group" puts GroupNorm into the subnets.
            box_loss: {"kind": "smooth-l1", "beta": ...} or {"kind": "giou"}.
            positive_iou, negative_iou: anchors at or above the first are objects, below the second background.
            score_threshold, candidates, nms_iou, max_detections: what `detect` keeps: of each level the best
                `candidates` above the threshold, of all levels together the best after suppression by class.
            branches: what is predicted beside boxes; see `FasterRCNN.build`.

        Raises:
            RecipeError: options that do not exist or do not fit together.
        """
        values: dict[str, Any] = {
            "normaliser": normaliser,
            "box_loss": box_loss,
            "p6_from": p6_from,
            "exact_anchors": exact_anchors,
        }
        values |= {"background_logit": background_logit, "head_norm": head_norm, "max_detections": max_detections}
        said = with_form(form, values | {"min_size": min_size, "max_size": max_size})
        trunk = {"name": "resnet50"} | (backbone or {})
        pyramid, width, strides = build_upper_pyramid(trunk, channels, finest_stride, said["p6_from"])
        exact = said["exact_anchors"]
        sizes = octaves(strides, scales, whole_pixels=not exact) if anchor_sizes is None else anchor_sizes
        anchors = build_anchors(sizes, aspect_ratios, strides, exact=exact)
        if not 0 <= negative_iou <= positive_iou <= 1:
            raise RecipeError(
                f"detector.negative_iou is {negative_iou} and positive_iou {positive_iou}; expected 0 <= the first "
                "<= the second <= 1"
            )
        logits, per_place = len(classes) + int(said["background_logit"]), anchors.num_anchors_per_location()[0]
        keep: dict[str, Any] = {"score_threshold": score_threshold, "candidates": candidates, "nms_iou": nms_iou}
        detector = cls(
            pyramid,
            Subnets(width, per_place, logits, prior=prior, norm=said["head_norm"]),
            anchors,
            build_transform(said["min_size"], said["max_size"]),
            classes,
            matcher=Matcher(positive_iou, negative_iou, allow_low_quality_matches=True),
            selection=Selection(CODER, **keep, max_detections=said["max_detections"]),
            loss=build_anchor_loss(loss),
            box_loss=build_box_loss(said["box_loss"]),
            normaliser=build_normaliser(said["normaliser"]),
            mining=build_anchor_mining(mining),
            background_logit=said["background_logit"],
        )
        add_branches(detector, branches, width, strides)
        return detector.to(memory_format=torch.channels_last)

    def losses(
        self, images: Sequence[Tensor], targets: Sequence[Target], generator: torch.Generator | None = None
    ) -> Losses:
        """`classifier`, `box` and those of branches; only the size of images is drawn, where there are several.

        Raises:
            DataError: images or targets that are not what `workbench.types` says.
        """
        batch, truth = self.prepare_to_learn(images, targets, self.branches, generator)
        maps = self.maps(batch)
        logits, deltas, anchors = self._predict(batch, maps)
        deltas, anchors = torch.cat(deltas, dim=1).float(), torch.cat(anchors)
        assigned = assign(anchors, truth, self.matcher)
        labels = assigned.labels
        if self.mining is None:
            factors = self.normaliser((labels > 0).sum(dim=1))
        else:
            labels = self._mine(logits, deltas, anchors, assigned)
            factors = 1 / ((labels >= 0).sum(dim=1).clamp(min=1) * len(labels))
        per_level = zip(logits, labels.split([level.shape[1] for level in logits], dim=1), strict=True)
        each = [
            focal_loss(level, self._columns(label), self.loss, weights=factors[:, None]) for level, label in per_level
        ]
        image, anchor = torch.where(labels > 0)
        box = self.box_loss(CODER, deltas[image, anchor], anchors[anchor], assigned.goals(image, anchor))
        losses = Losses(classifier=torch.stack(each).sum(), box=(box * factors[image]).sum())
        self.add_branch_losses(losses, batch, maps, truth)
        return losses

    def detect(
        self, images: Sequence[Tensor], proposals: Sequence[Proposals | Tensor] | None = None
    ) -> list[Detections]:
        """Detections of each image in its own pixels, highest score first."""
        if is_empty(images):
            return []
        out = []
        with evaluating(self):
            batch = self.prepare(images)
            maps = self.maps(batch)
            logits, deltas, anchors = self._predict(batch, maps)
            for row, (image, size) in enumerate(zip(images, batch.image_sizes, strict=True)):
                classes = [level[row, :, self.first_class :] for level in logits]
                found = self.selection(classes, [level[row] for level in deltas], anchors, size)
                found.boxes = resize_boxes(found.boxes, size, image.shape[-2:])
                out.append(found)
            self.extend_detections(out, batch, maps, [tuple(image.shape[-2:]) for image in images])
        return out

    def score_boxes(self, images: Sequence[Tensor], boxes: Sequence[Tensor]) -> list[Tensor]:
        """Probability of each class at given boxes: [N, K+1] for boxes [N, 4] of each image.

        There is no RoI to look into, so those predictions answer whose own, decoded boxes overlap the box by IoU 0.5
        or more; where none does, the one that overlaps most. Each class has the highest probability among them: what
        a detection of that class at that place would score. Classes are independent of each other here; the first
        column, background, is 1 minus the highest of them, and rows do not sum to 1.
        """
        with evaluating(self):
            classes = [torch.sigmoid(logits[:, 1:]) for logits in self.box_logits(images, boxes)]
        return [torch.cat([1 - one.amax(dim=1, keepdim=True), one], dim=1) for one in classes]

    def box_logits(self, images: Sequence[Tensor], boxes: Sequence[Tensor]) -> list[Tensor]:
        """Logits [N, K+1] whose sigmoids are the scores of `score_boxes`, with their graph: of the best anchors."""
        check_batch(images, boxes=boxes)
        batch = self.prepare(images)
        logits, deltas, anchors = self._predict(batch, self.maps(batch))
        logits, deltas, anchors = torch.cat(logits, 1), torch.cat(deltas, 1).detach().float(), torch.cat(anchors)
        out = []
        for row, (image, size) in enumerate(zip(images, batch.image_sizes, strict=True)):
            predicted = clip_boxes_to_image(CODER.decode_single(deltas[row], anchors), size)
            predicted = resize_boxes(predicted, size, image.shape[-2:])
            wanted = boxes[row].as_subclass(Tensor).to(self.device).float().reshape(-1, 4)
            best = best_logits(logits[row, :, self.first_class :].float(), overlaps(wanted, predicted))
            out.append(torch.cat([-best.amax(dim=1, keepdim=True), best], dim=1))
        return out

    def anchor_scores(self, images: Sequence[Tensor], targets: Sequence[Target]) -> list[AnchorScores]:
        """Logits of all anchors of each image, with the labels that training would give them; without gradients."""
        with evaluating(self):
            batch, truth = self.prepare_to_learn(images, targets)
            logits, _, anchors = self._predict(batch, self.maps(batch))
            logits, anchors = torch.cat(logits, 1)[:, :, self.first_class :].float(), torch.cat(anchors)
            labels = assign(anchors, truth, self.matcher).labels
            sizes = zip(images, batch.image_sizes, strict=True)
            boxes = [resize_boxes(anchors, size, image.shape[-2:]) for image, size in sizes]
            return [AnchorScores(*one) for one in zip(boxes, labels, logits, strict=True)]

    def _predict(self, batch: ImageList, maps: list[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Logits [B, n, K] and deltas [B, n, 4] of each level, and its anchors [n, 4], which all images share."""
        logits, deltas = self.head(maps)
        return logits, deltas, self.level_anchors(batch, maps)

    def _columns(self, labels: Tensor) -> Tensor:
        """Labels counted from the first logit on, which may be that of background."""
        return labels + self.first_class * (labels > 0)

    @torch.no_grad()
    def _mine(self, logits: list[Tensor], deltas: Tensor, anchors: Tensor, assigned: Assignment) -> Tensor:
        """The labels [B, A], -1 where `mining` leaves an anchor out."""
        mining: Any = self.mining
        logits, kept = torch.cat(logits, dim=1), torch.full_like(assigned.labels, -1)
        for row, label in enumerate(assigned.labels):
            each = anchor_losses(logits[row], self._columns(label), self.loss)
            objects = torch.where(label > 0)[0]
            goals = assigned.goals(torch.full_like(objects, row), objects)
            each[objects] += self.box_loss(CODER, deltas[row, objects], anchors[objects], goals)
            rows = mining(anchors, label, each)
            kept[row, rows] = label[rows]
        return kept
