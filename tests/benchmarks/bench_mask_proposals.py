"""Mask proposals with ResNet-50 at the thesis's sizes: refinement shared by windows, and inference by convolution.

Random weights, as times do not depend on them; BatchNorm is frozen and scaled so that numbers stay moderate. Masks of
both sides are compared before anything is timed.
"""

from __future__ import annotations

import numpy as np
import torch
from bench_faster_rcnn import calm
from measure import Job, Row, cpu_seconds, milliseconds, must_agree, peak_bytes, ratio
from torch import Tensor
from torchvision import tv_tensors
from torchvision.models.detection import maskrcnn_resnet50_fpn
from torchvision.transforms.v2 import RandomResizedCrop

from workbench.data.dataset import Dataset, make_target
from workbench.data.patches import Patches
from workbench.detectors import build_detector
from workbench.detectors.deep_mask import DeepMask
from workbench.detectors.layers.mask_refinement import TopDown, Windows
from workbench.detectors.sharp_mask import SharpMask
from workbench.types import Target

WINDOWS, HEIGHT, WIDTH = 500, 480, 640
SOME = 25  #: windows whose refinement one by one is timed
MARGIN = 3  #: cells that three 3x3 convolutions see around a window
TIMED_ALONE = 8  #: windows that are looked at one by one
MEGABYTES = 2000.0
KINDS = ("deep-mask", "sharp-mask")


def run(quick: bool) -> list[Row]:
    """Patches, refinement of 500 windows, whole images window by window, Mask R-CNN, and memory."""
    rounds = 2 if quick else 5
    return [_patches(rounds), _refinement(rounds), *_whole_images(rounds)]


class OneImage(Dataset):
    """An image in memory, seen `length` times, with three objects."""

    name, split, classes = "one", "train", ("object",)

    def __init__(self, length: int):
        self.length = length
        self.pixels = tv_tensors.Image(torch.randint(256, (3, HEIGHT, WIDTH), dtype=torch.uint8))
        masks = torch.zeros(3, HEIGHT, WIDTH, dtype=torch.bool)
        self.boxes = torch.tensor([[40.0, 60, 140, 200], [300, 100, 600, 400], [200, 300, 260, 340]])
        for mask, (left, top, right, bottom) in zip(masks, self.boxes.int().tolist(), strict=True):
            mask[top:bottom, left:right] = True
        self.masks, self.area = masks, masks.sum(dim=(1, 2))

    def __len__(self) -> int:
        return self.length

    def size(self, index: int) -> tuple[int, int]:
        return HEIGHT, WIDTH

    def image(self, index: int) -> tv_tensors.Image:
        return self.pixels

    def target(self, index: int) -> Target:
        known = {"boxes": self.boxes, "labels": torch.ones(3), "area": self.area, "masks": self.masks}
        return make_target(image_id=index + 1, size=(HEIGHT, WIDTH), **known)


def _patches(rounds: int) -> Row:
    """A patch with its mask against torchvision's random crop of the same size, both of a decoded photograph."""
    data = OneImage(100)
    patches, crop = Patches(data), RandomResizedCrop(192)
    mask = tv_tensors.Mask(data.masks[:1])
    job, peer = "100 patches of 192 pixels for masks and scores", "torchvision's RandomResizedCrop"
    return ratio(
        job,
        lambda: [patches[index] for index in range(100)],
        lambda: [crop(data.pixels, mask) for _ in range(100)],
        peer=peer,
        aim=None,
        rounds=rounds,
    )


def detectors() -> tuple[DeepMask, SharpMask]:
    """DeepMask and SharpMask of the thesis, with ResNet-50."""
    torch.manual_seed(0)
    pair = [build_detector({"kind": kind, "backbone": {"weights": None}}, ("object",)) for kind in KINDS]
    for one in pair:
        calm(one)
    return pair[0], pair[1]


def _refinement(rounds: int) -> Row:
    """Skip features once for an image of the largest scale against once for each window, and joined."""
    torch.manual_seed(0)
    channels = (1024, 512, 256, 64)
    top_down = TopDown(512, 10, channels).eval()
    rows, columns = HEIGHT // 16 + 10, WIDTH // 16 + 10
    maps = [torch.randn(1, width, rows * 2**i, columns * 2**i) for i, width in enumerate(channels)]
    row, column = (torch.randint(MARGIN, side - 10 - MARGIN, (WINDOWS,)) for side in (rows, columns))
    where, vectors = Windows(torch.zeros_like(row), row, column), torch.randn(WINDOWS, 512)

    @torch.no_grad()
    def shared() -> Tensor:
        skips = top_down.skips(maps)
        parts = zip(vectors.split(128), *(part.split(128) for part in where), strict=True)
        return torch.cat([top_down(vector, skips, Windows(*place)) for vector, *place in parts])

    @torch.no_grad()
    def joined() -> Tensor:
        return _by_window(top_down, vectors[:SOME], maps, Windows(*(part[:SOME] for part in where)))

    must_agree("refined masks", shared()[:SOME], joined(), atol=1e-5, rtol=1e-5)
    seconds = np.median(cpu_seconds([shared, joined], rounds, warm_up=1), axis=0) * (1, WINDOWS / SOME)
    mine, other = (seconds * 1e3).tolist()
    value, job = mine / other, f"refinement of {WINDOWS} windows, k = 32"
    return Row(job, f"joined window by window ({SOME} timed)", value, value, value, 1 / 6, mine, other, rounds)


def _by_window(top_down: TopDown, vectors: Tensor, maps: list[Tensor], where: Windows) -> Tensor:
    """Fig. 3.7a for each window: its own cut of the maps, convolved, and joined with the encoding."""
    encoding = top_down.encode(vectors).unflatten(1, (top_down.first, 10, 10))
    for i, (stage, one) in enumerate(zip(top_down.stages, maps, strict=True)):
        own = stage.skip(where.cut(one, 10, 2**i, halo=MARGIN))
        encoding = stage.joined(encoding, own[..., MARGIN - 1 : 1 - MARGIN, MARGIN - 1 : 1 - MARGIN])
    return top_down.last(encoding)[:, 0]


def _whole_images(rounds: int) -> list[Row]:
    deep, sharp = detectors()
    image = torch.rand(3, HEIGHT, WIDTH)
    with torch.no_grad():
        number = sum(one.scores.numel() for one in deep.scales(image))
    patches = torch.rand(TIMED_ALONE, 3, deep.size + deep.context, deep.size + deep.context)

    @torch.no_grad()
    def alone() -> None:
        for patch in patches:
            vectors, _ = deep.head(deep.trunk(patch[None])[0][..., 1:11, 1:11])
            deep.head.masks(vectors[:, :, 0, 0])

    peer = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None).eval()

    @torch.no_grad()
    def mask_rcnn() -> None:
        peer([image])

    rows = []
    for name, detector in zip(KINDS, (deep, sharp), strict=True):
        what = f"{name}, {WIDTH} x {HEIGHT}, 500 of {number} windows"
        job = _proposing(detector, image)
        rows.append(ratio(what, job, mask_rcnn, peer="torchvision's Mask R-CNN", aim=None, rounds=rounds))
        each = milliseconds(f"{name}: a window", job, aim=None, rounds=1, inner=number)
        single = milliseconds("a window by itself", alone, aim=None, rounds=rounds, inner=TIMED_ALONE)
        value = each.value / single.value
        times = (each.value, single.value)
        rows.append(Row(f"{name}, a window", "a window by itself", value, value, value, None, *times, 1))
        most = peak_bytes(job) / 2**20
        rows.append(Row(f"{name}: memory", None, most, most, most, MEGABYTES, most, None, 1, unit="MB"))
    return rows


def _proposing(detector: DeepMask, image: Tensor) -> Job:
    return lambda: detector.proposals([image], WINDOWS)
