"""Region proposal network (Ren et al. 2015), over one map or a pyramid; torchvision's head, names and numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection._utils import BoxCoder, Matcher
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RPNHead, concat_box_prediction_layers
from torchvision.ops import batched_nms

from workbench.detectors.layers.dense_anchors import level_anchors
from workbench.detectors.layers.matching import balanced_sample, match_anchors, not_background
from workbench.options import Count, Depth, Share
from workbench.types import Proposals


class RegionProposalNetwork(nn.Module):
    """Proposes boxes and learns objectness; proposals carry no gradient.

    Args:
        anchor_sizes: per level, sides in pixels.
        aspect_ratios: height over width, the same on every level.
        positive_iou, negative_iou: anchors above / below count as object / background.
        samples, positive_fraction: anchors drawn per image for the loss.
        train_proposals, test_proposals: boxes kept per level before NMS, and per image after it.
        nms_iou: overlap above which the lower-scoring proposal goes.
        conv_depth: 3x3 convolutions in the head.
    """

    def __init__(
        self,
        channels: int,
        *,
        anchor_sizes: tuple[tuple[float, ...], ...],
        aspect_ratios: tuple[float, ...] = (0.5, 1.0, 2.0),
        positive_iou: Share = 0.7,
        negative_iou: Share = 0.3,
        samples: Count = 256,
        positive_fraction: Share = 0.5,
        train_proposals: tuple[Count, Count] = (2000, 2000),
        test_proposals: tuple[Count, Count] = (1000, 1000),
        nms_iou: Share = 0.7,
        conv_depth: Depth = 1,
    ):
        super().__init__()
        ratios = (tuple(aspect_ratios),) * len(anchor_sizes)
        self.anchor_generator = AnchorGenerator(tuple(tuple(s) for s in anchor_sizes), ratios)
        self.head = RPNHead(channels, self.anchor_generator.num_anchors_per_location()[0], conv_depth)
        self.box_coder = BoxCoder(weights=(1.0, 1.0, 1.0, 1.0))
        self.matcher = Matcher(positive_iou, negative_iou, allow_low_quality_matches=True)
        self.samples = samples
        self.positive_fraction = positive_fraction
        self.train_proposals = tuple(train_proposals)
        self.test_proposals = tuple(test_proposals)
        self.nms_iou = nms_iou

    def forward(
        self,
        images: ImageList,
        features: list[Tensor],
        targets: list[dict[str, Tensor]] | None = None,
        generator: torch.Generator | None = None,
        *,
        counts: tuple[int, int] | None = None,
    ) -> tuple[list[Proposals], dict[str, Tensor]]:
        """Proposals of each image with their objectness in 0..1, and with targets two losses.

        The losses are `objectness` and `rpn_box`.

        Args:
            features: [B, C, h, w] of each level.
            targets: boxes [N, 4] of each image; None: no losses.
            generator: the only source of sampling (default: torch's own).
            counts: boxes kept per level before NMS and per image after it, other than usual.
        """
        logits, deltas = self.head(features)
        anchors = [torch.cat(level_anchors(self.anchor_generator, images, features))] * len(images.image_sizes)
        per_level = [level[0].numel() for level in logits]
        logits, deltas = concat_box_prediction_layers(logits, deltas)
        logits, deltas = logits.float(), deltas.float()
        before, after = counts or (self.test_proposals if targets is None else self.train_proposals)
        scores = logits.detach().view(len(anchors), -1)
        proposals = self._best(anchors, deltas.detach(), scores, images.image_sizes, per_level, (before, after))
        if targets is None:
            return proposals, {}
        return proposals, self._losses(logits.flatten(), deltas, anchors, targets, generator)

    def _best(
        self,
        anchors: list[Tensor],
        deltas: Tensor,
        scores: Tensor,
        sizes: list[tuple[int, int]],
        per_level: list[int],
        counts: tuple[int, int],
    ) -> list[Proposals]:
        """The best proposals: top per level, decoded, clipped, NMS per level, top per image."""
        before, after = counts
        index, levels, start = [], [], 0
        for level, n in enumerate(per_level):
            top = scores[:, start : start + n].topk(min(before, n), dim=1).indices + start
            index.append(top)
            levels.append(torch.full_like(top[0], level))
            start += n
        chosen, level_of = torch.cat(index, dim=1), torch.cat(levels)
        picked = chosen[:, :, None].expand(-1, -1, 4)
        near = torch.stack(anchors).gather(1, picked).flatten(0, 1)
        boxes = self.box_coder.decode_single(deltas.view(len(anchors), -1, 4).gather(1, picked).flatten(0, 1), near)
        limits = boxes.new_tensor([(width, height, width, height) for height, width in sizes])
        boxes = torch.minimum(boxes.view(*chosen.shape, 4).clamp(min=0), limits[:, None])
        chosen_scores = torch.sigmoid(scores.gather(1, chosen))
        large = ((boxes[..., 2:] - boxes[..., :2]) >= 1e-3).all(dim=2)
        out = []
        for box, score, keep in zip(boxes, chosen_scores, large, strict=True):
            box, score = box[keep], score[keep]
            best = batched_nms(box, score, level_of[keep], self.nms_iou)[:after]
            out.append(Proposals(box[best], score[best]))
        return out

    def _losses(
        self,
        logits: Tensor,
        deltas: Tensor,
        anchors: list[Tensor],
        targets: list[dict[str, Tensor]],
        generator: torch.Generator | None,
    ) -> dict[str, Tensor]:
        sampled, states, matched = [], [], []
        index, state = match_anchors(anchors[0], [target["boxes"] for target in targets], self.matcher)
        start = 0
        for i, (anchor, target) in enumerate(zip(anchors, targets, strict=True)):
            if "boxes_ignored" in target:
                near = not_background(anchor, target["boxes_ignored"], self.matcher)
                state[i].masked_fill_((state[i] == 0) & near, -1)
            drawn = balanced_sample(state[i], self.samples, self.positive_fraction, generator)
            sampled.append(drawn + start)
            states.append(state[i, drawn])
            truth = target["boxes"]
            matched.append(truth[index[i, drawn]] if len(truth) else torch.zeros_like(anchor[drawn]))
            start += len(anchor)
        rows, drawn_states = torch.cat(sampled), torch.cat(states)
        positive = drawn_states >= 1
        goals = self.box_coder.encode_single(torch.cat(matched)[positive], torch.cat(anchors)[rows[positive]])
        box = F.smooth_l1_loss(deltas[rows[positive]], goals, beta=1 / 9, reduction="sum")
        objectness = F.binary_cross_entropy_with_logits(logits[rows], drawn_states.float())
        return {"objectness": objectness, "rpn_box": box / max(1, len(rows))}
