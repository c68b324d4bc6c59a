"""What the adversaries of A-Fast-RCNN cost: search, rotation, and what ASDN and ASTN add to a training step.

The search is timed against classifying all windows of all RoIs in one batch, the rotation against one `grid_sample`
per block of channels. Before timing: the worst windows are the same, the rotated features bit-equal. What a hardener
adds to the step of a Faster R-CNN (R50-FPN, 300 px, batch 2, 512 RoIs per image, a quarter of them objects) is timed
by itself, with its own backward pass and optimiser.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from bench_faster_rcnn import our_loss, photographs, step_of
from bench_inverted_attention import CONFIGS, PLAIN, detector_of
from measure import Job, Row, added, must_agree, ratio
from torch import Tensor
from torch.nn import functional as F
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead

from workbench.detectors import Detector
from workbench.detectors.layers.head_score import TwoLayerScore
from workbench.hardeners import ASDN, ASTN, Chain, HardDropout, Hardener
from workbench.hardeners.astn import rotate
from workbench.hardeners.layers.window_search import windows
from workbench.training.recipe_sections import Stage

SEARCH_AIM = 0.25
ROTATION_AIM = 0.9  # torch's kernel is 93 % of either side; 0.70 was seen on a CPU with AMX, 0.83 on one without
HEADS = {"R50-FPN": (256, 1024), "VGG16": (512, 4096)}  #: channels, width


def search(name: str, rois: int, rounds: int) -> Row:
    """Losses of all windows: partial products against one batched pass."""
    channels, width = HEADS[name]
    torch.manual_seed(0)
    score = TwoLayerScore(TwoMLPHead(channels * 49, width), FastRCNNPredictor(width, 21))
    features, cells = torch.rand(rois, channels, 7, 7), windows(7, 7)
    labels = torch.randint(1, 21, (rois,))

    @torch.no_grad()
    def batched() -> Tensor:
        variants = (features[:, None] * (~cells)[None, :, None]).flatten(0, 1)
        return score(variants).view(rois, len(cells), -1)

    def worst(logits: Tensor) -> Tensor:
        return logits.softmax(2).gather(2, labels[:, None, None].expand(-1, len(cells), 1))[..., 0].argmin(1)

    def quick() -> Tensor:
        return score.without_cells(features, cells)

    must_agree(f"search, {name}", quick(), batched(), atol=1e-4)
    must_agree(f"worst windows, {name}", worst(quick()), worst(batched()), atol=0)
    job = f"exhaustive search, {name}, {rois} RoIs"
    return ratio(job, quick, batched, peer="one batched pass", aim=SEARCH_AIM, rounds=rounds)


def rotation(rounds: int) -> Row:
    """Four blocks of 256 channels, both directions: one sampling against four."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(256, 256, 7, 7, generator=generator)
    angles = (0.17 * (2 * torch.rand(256, 4, generator=generator) - 1)).requires_grad_()
    upstream = torch.randn(256, 256, 7, 7, generator=generator)

    def loops(features: Tensor, angles: Tensor) -> Tensor:
        cosines, sines = angles.cos(), angles.sin()
        parts = []
        for index, block in enumerate(features.chunk(4, dim=1)):
            cosine, sine = cosines[:, index], sines[:, index]
            zero = torch.zeros_like(sine)
            theta = torch.stack([cosine, -sine, zero, sine, cosine, zero], dim=1).view(-1, 2, 3)
            grid = F.affine_grid(theta, list(block.shape), align_corners=False)
            parts.append(F.grid_sample(block, grid, align_corners=False))
        return torch.cat(parts, dim=1)

    def side(how: Callable[[Tensor, Tensor], Tensor]) -> Job:
        return lambda: torch.autograd.grad(how(features, angles), angles, upstream)

    must_agree("rotation", rotate(features, angles), loops(features, angles), atol=0)
    return ratio("ASTN, rotation", side(rotate), side(loops), peer="four loops", aim=ROTATION_AIM, rounds=rounds)


def own_part(detector: Detector, hardener: Hardener, train: str) -> tuple[Job, Job]:
    """Between pooling and head, both directions: with the hardener and its learning, and without it."""
    generator = torch.Generator().manual_seed(2)
    rois = detector.roi_heads.samples
    channels = detector.roi_heads.layout().channels
    live = torch.rand(2 * rois, 7, 7, channels, generator=generator).permute(0, 3, 1, 2).requires_grad_()
    upstream = torch.randn(2 * rois, channels * 49, generator=generator)
    labels = torch.randint(1, len(detector.classes) + 1, (2 * rois,), generator=generator)
    labels *= torch.arange(2 * rois) % 4 == 0
    detector.take_hardener(hardener)
    detector.hardener = None
    hardener.begin_stage(Stage(steps=1, lr=1.0, train=train))
    own = list(hardener.parameters())
    optimizer = torch.optim.SGD(own, 1e-12, 0.9) if own else None

    def both_ways(features: Tensor) -> None:
        torch.autograd.grad(features.flatten(1), live, upstream)[0].permute(0, 2, 3, 1).contiguous()

    def more() -> None:
        seed = torch.Generator().manual_seed(0)
        batch = detector.roi_heads.batch(live, [live[:0]] * 2, list(labels.split(rois)), seed)
        hardened = hardener(batch)
        both_ways(hardened.features)
        if hardened.adversary_loss is not None:
            optimizer.zero_grad()
            hardened.adversary_loss.backward()
            optimizer.step()

    return more, lambda: both_ways(live)


def steps(rounds: int) -> list[Row]:
    """What each hardener adds to a step in which detector and adversary learn."""
    detector = detector_of(CONFIGS["R50-FPN"][0])
    images, targets = photographs()
    whole = step_of(list(detector.parameters()), our_loss(detector, images, targets, bf16=False), ours=True)
    kinds: dict[str, tuple[Callable[[], Hardener], str]] = {
        "ASDN, paper": (ASDN.paper, "both"),
        "ASDN, released": (ASDN.released, "both"),
        "ASDN, fixed": (ASDN.paper, "detector"),
        "ASTN": (ASTN, "both"),
        "ASDN then ASTN": (lambda: Chain(ASDN.paper(), ASTN()), "both"),
        "hard dropout": (HardDropout, "detector"),
    }
    rows = []
    for name, (make, train) in kinds.items():
        torch.manual_seed(0)
        more, less = own_part(detector, make(), train)
        job = f"{name}, R50-FPN, float32, part"
        rows.append(added(job, more, less, whole, peer=PLAIN, aim=None, rounds=rounds))
    return rows


def run(quick: bool) -> list[Row]:
    """All of it."""
    rounds = 3 if quick else 9
    searches = [search("R50-FPN", 64, rounds), search("R50-FPN", 256, rounds), search("VGG16", 64, 3)]
    return [*searches, rotation(3 * rounds), *steps(2 if quick else 5)]
