"""D-RISE without its detector: masks in batches against one mask after the other, as published code makes them."""

from __future__ import annotations

import torch
from measure import Row, must_agree, peak_bytes, ratio
from torch import Tensor
from torch.nn import functional as F

from workbench.analysis.d_rise import d_rise, similarity
from workbench.analysis.explaining.grid_masks import GridMasks
from workbench.types import Detections

AIM = 0.75
MEGABYTES = 70.0  #: at 640 x 480 px, mostly of one batch; the masks of a thousand would be 1,170
CASES = {
    "D-RISE, 256 masks, 3 detections, 128 x 128 px": (128, 128, 256),
    "D-RISE, 64 masks, 640 x 480 px": (480, 640, 64),
}


class Known:
    """Finds the same things in any image, as quickly as that can be."""

    classes, needs_proposals = ("one", "two"), False

    def __init__(self, found: Detections):
        self.found = found

    def detect(self, images: list[Tensor]) -> list[Detections]:
        """The detections, of a score that depends on the image."""
        out = []
        for image in images:
            score = image[0, :32, :32].float().mean() / 255
            out.append(Detections(self.found.boxes, self.found.labels, score.expand(len(self.found))))
        return out


def naive(detector: Known, image: Tensor, targets: Detections, count: int) -> Tensor:
    """Every mask by itself: enlarged, cut out, laid over the image, and added to the maps."""
    height, width = image.shape[-2:]
    masks = GridMasks((height, width), (16, 16), 0.5, 0)
    large = tuple((cells + 1) * side for cells, side in zip(masks.cells, masks.cell, strict=True))
    weighted, total, similar = torch.zeros(len(targets), height, width), torch.zeros(height, width), 0.0
    for _, (cells, shift) in zip(range(count), masks.drawn(), strict=False):
        whole = F.interpolate(cells[None, None].float(), size=large, mode="bilinear", align_corners=False)[0, 0]
        top, left = shift.tolist()
        mask = whole[top : top + height, left : left + width]
        seen = (image.float() * mask).round().to(torch.uint8)
        score = similarity(targets, detector.detect([seen])[0])
        weighted += score[:, None, None] * mask
        total += mask
        similar = similar + score
    return weighted / total - (similar / count)[:, None, None]


def run(quick: bool) -> list[Row]:
    """Both sizes, after checking that the maps agree; and the most memory that the larger one takes at once."""
    rows = []
    for job, (height, width, count) in CASES.items():
        image = torch.randint(
            0, 256, (3, height, width), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
        )
        boxes = torch.tensor([[8.0, 8, 40, 40], [40, 20, 90, 70], [10, 60, 60, 110]])
        targets = Detections(boxes, torch.tensor([1, 2, 1]), torch.ones(3))
        detector = Known(targets)

        def ours(detector=detector, image=image, targets=targets, count=count) -> Tensor:
            maps = d_rise(detector, image, targets, masks=count)
            return torch.stack([one.map for one in maps])

        def theirs(detector=detector, image=image, targets=targets, count=count) -> Tensor:
            return naive(detector, image, targets, count)

        must_agree(job, ours(), theirs(), atol=1e-4)
        rows.append(ratio(job, ours, theirs, peer="mask by mask", aim=AIM, rounds=3 if quick else 9))
        most = peak_bytes(ours) / 2**20
        aim = MEGABYTES * height * width / (480 * 640)
        rows.append(Row(f"{job}: memory", None, most, most, most, aim, most, None, 1, unit="MB"))
    return rows
