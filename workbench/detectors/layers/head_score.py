"""The head of two linear layers as a `Score`: what is exact and cheap because linear layers are linear.

Dropout layers of the head are left out: a score does not depend on chance.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead

from workbench.types import Score, rows_at_once


class TwoLayerScore(Score):
    """Score W_c relu(W_7 relu(W_6 x + b_6) + b_7) + b_c of features x, with two short cuts.

    *Gradient.* That of the logit of class y, averaged over cells, is [((W_c[y] * 1[a_2 > 0]) W_7) * 1[a_1 > 0]] W̄_6,
    with W̄_6 the mean of W_6 over cells: exact, and 1 / (h w) of the cost of back-propagating through the first layer.

    *Without some cells.* W_6 x is a sum of one product per cell. These are made once per RoI, at the price of one
    pass through the first layer, and any set of cells is left out by leaving out its products.
    """

    def __init__(self, head: TwoMLPHead, predictor: FastRCNNPredictor):
        super().__init__(self._forward)
        self._layers = (head.fc6, head.fc7, predictor.cls_score)

    def _forward(self, features: Tensor) -> Tensor:
        fc6, _, _ = self._layers
        return self._from_first(F.linear(features.flatten(1), fc6.weight.detach(), fc6.bias.detach()))

    def _from_first(self, first: Tensor) -> Tensor:
        """Logits [..., K+1] from the outputs [..., width] of the first layer."""
        _, fc7, cls = self._layers
        second = F.linear(first.relu(), fc7.weight.detach(), fc7.bias.detach())
        return F.linear(second.relu(), cls.weight.detach(), cls.bias.detach())

    @torch.no_grad()
    def without_cells(self, features: Tensor, cells: Tensor) -> Tensor:
        """Class logits [R, W, K+1] with each of W sets of cells [W, h, w] bool zeroed; see the class."""
        fc6, kind = self._layers[0], _product_type(features)
        width, count = fc6.out_features, cells[0].numel()
        by_cell = fc6.weight.to(kind).view(width, -1, count).transpose(1, 2).contiguous()  # [width, hw, C]
        kept = (~cells).flatten(1).float()  # [W, hw]
        logits = []
        for part in features.split(rows_at_once(max(len(cells), count) * width)):
            columns = part.to(kind).flatten(2).permute(2, 0, 1)  # [hw, r, C]
            products = torch.bmm(columns, by_cell.permute(1, 2, 0)).float()  # [hw, r, width]
            first = (kept @ products.flatten(1)).view(len(cells), len(part), width) + fc6.bias
            logits.append(self._from_first(first.to(kind)).transpose(0, 1))
        return torch.cat(logits)

    @torch.no_grad()
    def gradient(self, features: Tensor, labels: Tensor) -> Tensor:
        """d logit[label] / d features, [R, C, h, w]."""
        w6, back = self._back_to_first(features, labels)
        return (back @ w6).view(features.shape)

    @torch.no_grad()
    def pooled_gradient(self, features: Tensor, labels: Tensor) -> Tensor:
        """Mean over cells of d logit[label] / d features, [R, C]."""
        w6, back = self._back_to_first(features, labels)
        cells = features[0, 0].numel()
        mean = w6.new_full((cells,), 1 / cells)
        return F.linear(back, torch.mv(w6.view(-1, cells), mean).view(len(w6), -1).t())  # quicker than mean()

    def _back_to_first(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """W_6, and the gradient of the logits at its outputs [R, width]."""
        fc6, fc7, cls = self._layers
        kind = _product_type(features)
        w6, w7 = fc6.weight.to(kind), fc7.weight.to(kind)  # once, for both their uses
        first = F.linear(features.to(kind).flatten(1), w6, fc6.bias.to(kind))
        second = F.linear(first.relu(), w7, fc7.bias.to(kind))
        back = cls.weight[labels].to(kind) * (second > 0)
        return w6, F.linear(back, w7.t()) * (first > 0)


def _product_type(values: Tensor) -> torch.dtype:
    """What matrix products of `values` are computed in: autocast's type inside autocast."""
    kind = values.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else values.dtype
